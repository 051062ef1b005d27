//! Waits that double with every failure, so that what fails for long costs little. Pure: the time is passed in.

use std::time::Duration;

use odi_manifest::Timestamp;

/// A wait that doubles from `first` with every failure, up to `most`.
pub(crate) fn backoff(first: Duration, most: Duration, failures: u32) -> Duration {
    first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u32::MAX)).min(most)
}

/// When something may be tried that has failed, or not yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    first: Duration,
    most: Duration,
    failures: u32,
    failed: Timestamp,
}

impl Attempts {
    /// None yet; after the first failure one waits for `first`, and never longer than `most`.
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0, failed: Timestamp(0) }
    }

    /// Whether the next may begin. A clock that jumped back holds up nothing for longer than the wait.
    pub(crate) fn may_begin(&self, now: Timestamp) -> bool {
        let wait = backoff(self.first, self.most, self.failures);
        self.failures == 0 || now.0.abs_diff(self.failed.0) >= wait.as_secs()
    }

    /// One has failed.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
    }

    /// One went well, or is about something else from now on.
    pub(crate) fn begin_anew(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_success() {
        let mut attempts = Attempts::new(Duration::from_secs(60), Duration::from_secs(3600));
        let mut now = Timestamp(1_000_000);
        assert!(attempts.may_begin(now), "the first at once");
        for wait in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            attempts.failed(now);
            assert!(!attempts.may_begin(now) && !attempts.may_begin(Timestamp(now.0 + wait - 1)));
            now = Timestamp(now.0 + wait);
            assert!(attempts.may_begin(now), "after {wait} s");
        }
        attempts.failed(now);
        assert!(attempts.may_begin(Timestamp(5)), "the clock has jumped back");
        attempts.begin_anew();
        assert!(attempts.may_begin(now));
        attempts.failed(now);
        assert!(attempts.may_begin(Timestamp(now.0 + 60)), "from the shortest again");
    }
}
