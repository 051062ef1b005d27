//! A day of UTC: the finest that statistics know.

use std::fmt;
use std::time::Duration;

use odi_manifest::Timestamp;

const SECONDS: u64 = 86_400;

/// A day, counted since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day of a moment.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        Self(u32::try_from(now.0 / SECONDS).unwrap_or(u32::MAX))
    }

    /// The day so many days before.
    #[must_use]
    pub const fn back(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// When it begins.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(u64::from(self.0) * SECONDS))
    }
}

/// `2026-11-23`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.begins().rfc3339();
        f.write_str(moment.split('T').next().unwrap_or_default())
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_of_utc() {
        let day = Day::of(Timestamp(1_795_365_600));
        assert_eq!((day.to_string(), day.back(22).to_string()), ("2026-11-22".into(), "2026-10-31".into()));
        assert_eq!(Day::of(day.begins()), day);
        assert_eq!(Day::of(Timestamp(day.begins().0 - 1)), day.back(1));
        assert_eq!(Day(1).back(9), Day(0));
    }
}
