//! What is asked for most *lately*: counts that halve every so often.
//!
//! Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, 2009): instead of making all counts smaller as time goes on, what comes later
//! counts more, and a look divides by how much a count of now would be. So [`SpaceSaving`] and its bound serve unchanged. Pure.

use std::time::Duration;

use odi_manifest::Timestamp;
use serde::{Deserialize, Serialize};

use super::space_saving::{Heavy, KeptCounter, SpaceSaving};

/// After how long a download counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(86_400);
/// After so many half-lives all counts are brought back to a handy size.
const REBASED_AFTER: f64 = 32.0;

/// Counts that fade.
#[derive(Clone, Debug, PartialEq)]
pub struct Fading {
    sketch: SpaceSaving,
    /// When a count of 1 is 1.
    since: Timestamp,
}

/// The same as it is kept on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFading {
    since: Timestamp,
    counters: Vec<KeptCounter>,
}

impl Fading {
    /// None yet.
    #[must_use]
    pub fn new(capacity: usize, now: Timestamp) -> Self {
        Self { sketch: SpaceSaving::new(capacity), since: now }
    }

    /// Counts one.
    pub fn add(&mut self, path: &str, size: u64, now: Timestamp) {
        if self.half_lives(now) > REBASED_AFTER {
            self.sketch.scale(self.worth(now).recip());
            self.since = now;
        }
        self.sketch.add(path, size, self.worth(now));
    }

    /// What has the most now, as so many downloads of now.
    pub fn heaviest(&self, now: Timestamp) -> impl Iterator<Item = Heavy> + '_ {
        let worth = self.worth(now);
        self.sketch.heaviest().map(move |heavy| Heavy {
            count: heavy.count / worth,
            error: heavy.error / worth,
            ..heavy
        })
    }

    /// As it is kept.
    #[must_use]
    pub fn kept(&self) -> KeptFading {
        KeptFading { since: self.since, counters: self.sketch.kept() }
    }

    /// What was kept.
    #[must_use]
    pub fn restored(capacity: usize, kept: KeptFading) -> Self {
        Self { sketch: SpaceSaving::restored(capacity, kept.counters), since: kept.since }
    }

    /// None before `since`: a clock that was set back makes nothing worth less than nothing.
    #[expect(clippy::cast_precision_loss, reason = "seconds of some centuries fit")]
    fn half_lives(&self, now: Timestamp) -> f64 {
        now.since(self.since).as_secs() as f64 / HALF_LIFE.as_secs() as f64
    }

    fn worth(&self, now: Timestamp) -> f64 {
        self.half_lives(now).min(1000.0).exp2()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn count(fading: &Fading, path: &str, now: Timestamp) -> f64 {
        fading.heaviest(now).find(|heavy| &*heavy.path == path).map_or(0.0, |heavy| heavy.count)
    }

    #[test]
    fn a_day_halves_and_what_is_new_overtakes() {
        let mut fading = Fading::new(8, START);
        (0..100).for_each(|_| fading.add("old", 1, START));
        assert!((count(&fading, "old", START.plus(HALF_LIFE)) - 50.0).abs() < 1e-9);
        let later = START.plus(HALF_LIFE * 2);
        (0..26).for_each(|_| fading.add("new", 1, later));
        let order: Vec<_> = fading.heaviest(later).map(|heavy| heavy.path.to_string()).collect();
        assert_eq!(order, ["new", "old"]);
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing() {
        let mut fading = Fading::new(4, START);
        for at in [0, u64::MAX, 5, START.0, u64::MAX / 2] {
            fading.add("x", 1, Timestamp(at));
            assert!(
                fading.heaviest(Timestamp(at)).all(|heavy| heavy.count.is_finite() && heavy.count >= 0.0)
            );
        }
    }

    proptest! {
        /// With room for all, a count is the sum of what each download is still worth, over rebasing and restarts.
        #[test]
        fn counts_are_what_is_left_of_each(
            steps in proptest::collection::vec((0u8..5, 0u64..20 * 86_400, any::<bool>()), 1..60)
        ) {
            let (mut fading, mut now) = (Fading::new(8, START), START);
            let mut downloads = Vec::new();
            for (name, pause, restarts) in steps {
                now = now.plus(Duration::from_secs(pause));
                fading.add(&name.to_string(), 1, now);
                downloads.push((name.to_string(), now));
                if restarts {
                    fading = Fading::restored(8, fading.kept());
                }
            }
            for name in (0u8..5).map(|name| name.to_string()) {
                let left = |at: Timestamp| (-(now.since(at).as_secs_f64() / HALF_LIFE.as_secs_f64())).exp2();
                let truth: f64 = downloads.iter().filter(|(of, _)| *of == name).map(|(_, at)| left(*at)).sum();
                let counted = count(&fading, &name, now);
                prop_assert!((counted - truth).abs() <= 1e-6 * truth.max(1.0), "{counted} for {truth}");
            }
        }
    }
}
