//! How often a directory may have this relay look at others: one look at a time, and so many in a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{PublicKey, Timestamp};

/// Looks in a minute for each directory.
const PER_MINUTE: u32 = 30;
const MINUTE: u64 = 60;

/// The turns of all directories; no more of them than the configuration has.
#[derive(Debug, Default)]
pub struct Looks(Mutex<BTreeMap<PublicKey, Turns>>);

#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    /// Which minute is counted.
    minute: u64,
    taken: u32,
    busy: bool,
}

impl Turns {
    fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let minute = now.0 / MINUTE;
        if self.minute != minute {
            (self.minute, self.taken) = (minute, 0);
        }
        if self.busy {
            return Err(Duration::from_secs(1));
        }
        if self.taken >= PER_MINUTE {
            return Err(Duration::from_secs(MINUTE - now.0 % MINUTE));
        }
        (self.taken, self.busy) = (self.taken + 1, true);
        Ok(())
    }
}

/// A look under way; its turn ends when this is dropped.
#[derive(Debug)]
pub struct Turn<'l>(&'l Looks, PublicKey);

impl Looks {
    /// Takes a directory's turn, or says when to come back.
    ///
    /// # Errors
    /// It has one already, or has had its share of the minute.
    pub fn take(&self, directory: PublicKey, now: Timestamp) -> Result<Turn<'_>, Duration> {
        self.turns().entry(directory).or_default().take(now)?;
        Ok(Turn(self, directory))
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<PublicKey, Turns>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.0.turns().get_mut(&self.1) {
            turns.busy = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn one_at_a_time_and_so_many_a_minute_for_each() {
        let key = |seed| SigningKey::from_seed(&[seed; 32]).public_key();
        let at = |seconds: u64| Timestamp(6000 + seconds);
        let looks = Looks::default();
        let first = looks.take(key(1), at(0)).unwrap();
        assert_eq!(looks.take(key(1), at(0)).unwrap_err(), Duration::from_secs(1));
        assert!(looks.take(key(2), at(0)).is_ok(), "another directory has its own");
        drop(first);
        for _ in 1..PER_MINUTE {
            assert!(looks.take(key(1), at(1)).is_ok());
        }
        assert_eq!(looks.take(key(1), at(15)).unwrap_err(), Duration::from_secs(45));
        assert!(looks.take(key(1), at(60)).is_ok());
    }
}
