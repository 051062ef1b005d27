//! Which signatures have been used.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use odi_manifest::Timestamp;

use super::profile::{KeyId, Nonce};
use crate::limits::{NONCES_MAX, SIGNATURE_WINDOW};
use crate::refusal::Refusal;

/// Remembers nonces for as long as a signature that carries one could still be valid. Bounded: when full, valid
/// requests wait, since forgetting early would let one be replayed.
#[derive(Debug, Default)]
pub struct NonceCache {
    seen: HashSet<(KeyId, Nonce)>,
    /// The same in order of time.
    order: VecDeque<(Timestamp, (KeyId, Nonce))>,
}

/// A message made by a clock that is ahead by the window stays valid for twice that.
const LIFE: Duration = SIGNATURE_WINDOW.saturating_mul(2);

impl NonceCache {
    /// Spends a nonce of a key.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] if it was spent before, [`Refusal::Busy`] if there is no room to remember it.
    pub fn spend(&mut self, key: KeyId, nonce: Nonce, now: Timestamp) -> Result<(), Refusal> {
        while let Some((spent, used)) = self.order.front()
            && now.since(*spent) > LIFE
        {
            self.seen.remove(used);
            self.order.pop_front();
        }
        if self.seen.contains(&(key, nonce)) {
            return Err(Refusal::Unauthorized);
        }
        if self.order.len() >= NONCES_MAX {
            return Err(Refusal::Busy { retry_after: LIFE });
        }
        self.seen.insert((key, nonce));
        self.order.push_back((now, (key, nonce)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId { directory: [1; 32], generation: 1 };

    #[test]
    fn a_nonce_is_spent_once_per_key_until_no_signature_could_carry_it() {
        let mut cache = NonceCache::default();
        assert_eq!(cache.spend(KEY, [1; 16], Timestamp(1000)), Ok(()));
        assert_eq!(cache.spend(KEY, [1; 16], Timestamp(1120)), Err(Refusal::Unauthorized));
        assert_eq!(cache.spend(KeyId { generation: 2, ..KEY }, [1; 16], Timestamp(1120)), Ok(()));
        assert_eq!(cache.spend(KEY, [1; 16], Timestamp(1121)), Ok(()));
    }

    #[test]
    fn a_full_cache_forgets_nothing_early() {
        let mut cache = NonceCache::default();
        let nonce = |i: usize| -> Nonce { (i as u128).to_be_bytes() };
        for i in 0..NONCES_MAX {
            assert_eq!(cache.spend(KEY, nonce(i), Timestamp(1000)), Ok(()));
        }
        assert!(matches!(cache.spend(KEY, nonce(NONCES_MAX), Timestamp(1001)), Err(Refusal::Busy { .. })));
        assert_eq!(cache.spend(KEY, nonce(0), Timestamp(1001)), Err(Refusal::Unauthorized));
        assert_eq!(cache.spend(KEY, nonce(NONCES_MAX), Timestamp(1121)), Ok(()));
        assert_eq!((cache.seen.len(), cache.order.len()), (1, 1));
    }
}
