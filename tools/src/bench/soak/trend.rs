//! Whether a figure levels off. Pure.
//!
//! A line is fitted by least squares through the second half of the samples: the first half is for caches to fill and heads to
//! gather. What that line rises over the half is compared with a bound that grows with the mean: what a program takes may waver,
//! and something that is lost with every request, head or connection makes a line that no bound of this form lets through.

/// Fewer samples in a half make no line.
const SAMPLES_MIN: usize = 8;

/// A figure over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Seconds since the start, and the figure.
    samples: Vec<(f64, f64)>,
}

/// What a figure may rise over the second half of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// Of the mean.
    pub(super) share: f64,
    /// And so much beside it.
    pub(super) more: f64,
}

/// The second half of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    pub(super) mean: f64,
    /// How much the fitted line rises from the beginning of the half to its end; below zero if it falls.
    pub(super) rise: f64,
}

impl Series {
    pub(super) fn note(&mut self, seconds: f64, value: f64) {
        self.samples.push((seconds, value));
    }

    /// The greatest value of all.
    pub(super) fn peak(&self) -> f64 {
        self.samples.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }

    /// The trend of the second half, if there are enough samples to see one.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer samples than an f64 can count")]
    pub(super) fn trend(&self) -> Option<Trend> {
        let (first, last) = (self.samples.first()?.0, self.samples.last()?.0);
        let middle = first.midpoint(last);
        let half: Vec<(f64, f64)> = self.samples.iter().filter(|(at, _)| *at >= middle).copied().collect();
        if half.len() < SAMPLES_MIN {
            return None;
        }
        let count = half.len() as f64;
        let mean_at = half.iter().map(|(at, _)| at).sum::<f64>() / count;
        let mean = half.iter().map(|(_, value)| value).sum::<f64>() / count;
        let spread: f64 = half.iter().map(|(at, _)| (at - mean_at).powi(2)).sum();
        let along: f64 = half.iter().map(|(at, value)| (at - mean_at) * (value - mean)).sum();
        let slope = if spread > 0.0 { along / spread } else { 0.0 };
        Some(Trend { mean, rise: slope * (last - middle) })
    }
}

impl Bound {
    /// The most that a figure with this mean may rise.
    pub(super) fn of(self, mean: f64) -> f64 {
        self.share * mean + self.more
    }

    pub(super) fn holds(self, trend: Trend) -> bool {
        trend.rise <= self.of(trend.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { share: 0.05, more: 4.0 };

    /// A minute of samples, one a second.
    fn series(value: impl Fn(f64) -> f64) -> Trend {
        let mut series = Series::default();
        (0..=60_u32).map(f64::from).for_each(|at| series.note(at, value(at)));
        series.trend().unwrap()
    }

    #[test]
    fn what_is_lost_at_a_steady_rate_is_found() {
        let leak = series(|at| 100.0 + at);
        assert!((leak.rise - 30.0).abs() < 1e-6 && (leak.mean - 145.0).abs() < 1e-6, "{leak:?}");
        assert!(!BOUND.holds(leak));
        let beside_noise = series(|at| 100.0 + 0.5 * at + 20.0 * (at * 2.4).sin());
        assert!(!BOUND.holds(beside_noise), "{beside_noise:?}");
    }

    #[test]
    fn what_fills_first_and_wavers_then_is_none() {
        let cache = series(|at| 100.0 * (at / 20.0).min(1.0));
        assert!(BOUND.holds(cache) && cache.rise.abs() < 1e-6, "{cache:?}");
        let noise = series(|at| 100.0 + 20.0 * (at * 2.4).sin());
        assert!(BOUND.holds(noise), "{noise:?}");
        assert!(BOUND.holds(series(|at| 300.0 - at)), "what is given back is no leak");
    }

    #[test]
    fn a_moment_makes_no_trend() {
        let mut series = Series::default();
        (0..10_u32).for_each(|at| series.note(f64::from(at), 1.0));
        assert_eq!(series.trend(), None);
        assert_eq!(Series::default().trend(), None);
    }
}
