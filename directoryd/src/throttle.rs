//! Token buckets: one for what the whole directory may cause, and one per network for what a caller may.
//!
//! Pure: the time is passed in. A [`Throttle`] forgets the keys that have been quiet longest once it is
//! full, so its memory is bounded whatever calls; a forgotten one begins again with a full bucket.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use odi_manifest::Timestamp;

use crate::network::Network;

/// How much may happen: `burst` at once, then `per_minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The most that may happen at one moment.
    pub burst: u32,
    /// How many per minute come back. At least 1.
    pub per_minute: u32,
}

/// A bucket of permits, counted in sixtieths so that seconds refill it exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    pace: Pace,
    sixtieths: u64,
    refilled: Timestamp,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub(crate) const fn new(pace: Pace, now: Timestamp) -> Self {
        Self { pace, sixtieths: pace.burst as u64 * 60, refilled: now }
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// There is none; the error says how long until the next, at least a second.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let per_second = u64::from(self.pace.per_minute.max(1));
        let gained = now.since(self.refilled).as_secs().saturating_mul(per_second);
        self.sixtieths = self.sixtieths.saturating_add(gained).min(u64::from(self.pace.burst) * 60);
        self.refilled = now;
        match self.sixtieths.checked_sub(60) {
            Some(left) => {
                self.sixtieths = left;
                Ok(())
            }
            None => Err(Duration::from_secs((60 - self.sixtieths).div_ceil(per_second).max(1))),
        }
    }
}

/// One bucket per network.
pub(crate) type NetworkThrottle = Throttle<Network>;

/// One bucket per key, for at most `keys_max` of them.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    pace: Pace,
    keys_max: usize,
    buckets: HashMap<K, TokenBucket>,
}

impl<K: Eq + Hash> Throttle<K> {
    /// Every bucket is full.
    #[must_use]
    pub(crate) fn new(pace: Pace, keys_max: usize) -> Self {
        Self { pace, keys_max, buckets: HashMap::new() }
    }

    /// Takes a permit of a key.
    ///
    /// # Errors
    /// It has none left; the error says how long until its next.
    pub(crate) fn take(&mut self, key: K, now: Timestamp) -> Result<(), Duration> {
        if self.buckets.len() >= self.keys_max && !self.buckets.contains_key(&key) {
            self.forget_quiet_half();
        }
        self.buckets.entry(key).or_insert_with(|| TokenBucket::new(self.pace, now)).take(now)
    }

    /// Half at a time, so that a flood of new keys costs a sort only every `keys_max / 2` calls.
    fn forget_quiet_half(&mut self) {
        let mut times: Vec<Timestamp> = self.buckets.values().map(|bucket| bucket.refilled).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        let mut to_drop = middle + 1;
        self.buckets.retain(|_, bucket| {
            let drop = to_drop > 0 && bucket.refilled <= median;
            to_drop -= usize::from(drop);
            !drop
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const PACE: Pace = Pace { burst: 3, per_minute: 6 };

    #[test]
    fn a_burst_then_the_pace() {
        let mut bucket = TokenBucket::new(PACE, Timestamp(100));
        assert!((0..3).all(|_| bucket.take(Timestamp(100)).is_ok()));
        assert_eq!(bucket.take(Timestamp(100)), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(Timestamp(109)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(Timestamp(110)), Ok(()));
        assert!(bucket.take(Timestamp(110)).is_err());
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing_away_and_never_panics() {
        let mut bucket = TokenBucket::new(PACE, Timestamp(1_000_000));
        assert!((0..3).all(|_| bucket.take(Timestamp(5)).is_ok()));
        assert!(bucket.take(Timestamp(5)).is_err());
        assert!((0..3).all(|_| bucket.take(Timestamp(u64::MAX)).is_ok()));
        assert!(bucket.take(Timestamp(u64::MAX)).is_err());
    }

    #[test]
    fn memory_is_bounded_whatever_calls() {
        let mut throttle = NetworkThrottle::new(PACE, 100);
        for i in 0..10_000u32 {
            let network = Network::of(IpAddr::V4(Ipv4Addr::from(i << 8)));
            assert!(throttle.take(network, Timestamp(u64::from(i / 50))).is_ok());
            assert!(throttle.buckets.len() <= 100);
        }
        let same = Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!((0..5).filter(|_| throttle.take(same, Timestamp(500)).is_ok()).count(), 3);
    }
}
