//! Time windows: other bandwidth on some days and hours. Pure.
//!
//! The first window that a time falls in counts. One that ends before it begins goes on after midnight and belongs to the day on
//! which it began. Hours are the local time of one zone, so a day of changing clocks is as long as people there see it.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use odi_manifest::Timestamp;

use crate::config::Rate;

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// On which days it begins.
    pub days: Vec<Weekday>,
    /// From when.
    pub from: Time,
    /// Until when, not included; the same as `from` is a whole day.
    pub to: Time,
    /// The most that is sent per second meanwhile.
    pub bandwidth: Rate,
}

/// The bandwidth by time of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Outside of every window.
    pub otherwise: Option<Rate>,
    /// The windows, the first match first.
    pub windows: Vec<Window>,
    /// Whose hours are meant.
    pub zone: TimeZone,
}

impl Window {
    fn holds(&self, day: Weekday, time: Time) -> bool {
        let (today, yesterday) = (self.days.contains(&day), self.days.contains(&day.previous()));
        if self.from < self.to {
            today && self.from <= time && time < self.to
        } else {
            (today && self.from <= time) || (yesterday && time < self.to)
        }
    }
}

impl Schedule {
    /// The most that may be sent per second now; `None` is no limit.
    #[must_use]
    pub fn bandwidth(&self, now: Timestamp) -> Option<Rate> {
        let seconds =
            i64::try_from(now.0).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let Some(time) = seconds else { return self.otherwise };
        let local = time.to_zoned(self.zone.clone());
        let window = self.windows.iter().find(|window| window.holds(local.weekday(), local.time()));
        window.map_or(self.otherwise, |window| Some(window.bandwidth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_at(windows: &[(&[Weekday], &str, &str, u64)], zone: &str, local: &str) -> Option<u64> {
        let window = |(days, from, to, rate): &(&[Weekday], &str, &str, u64)| Window {
            days: days.to_vec(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            bandwidth: Rate(*rate),
        };
        let schedule = Schedule {
            otherwise: Some(Rate(9)),
            windows: windows.iter().map(window).collect(),
            zone: TimeZone::get(zone).unwrap(),
        };
        let time: jiff::Timestamp = local.parse().unwrap();
        schedule.bandwidth(Timestamp(time.as_second().try_into().unwrap())).map(|rate| rate.0)
    }

    #[test]
    fn table() {
        use Weekday::{Friday, Monday, Saturday};
        let office: &[(&[Weekday], &str, &str, u64)] = &[(&[Monday, Friday], "08:00", "18:00", 1)];
        let night: &[(&[Weekday], &str, &str, u64)] =
            &[(&[Friday], "22:00", "06:00", 2), (&[Saturday], "00:00", "00:00", 3)];
        for (windows, zone, time, rate) in [
            (office, "UTC", "2026-11-20T07:59:59Z", 9),
            (office, "UTC", "2026-11-20T08:00:00Z", 1),
            (office, "UTC", "2026-11-20T17:59:59Z", 1),
            (office, "UTC", "2026-11-20T18:00:00Z", 9),
            (office, "UTC", "2026-11-21T12:00:00Z", 9),
            (night, "UTC", "2026-11-20T21:59:59Z", 9),
            (night, "UTC", "2026-11-20T23:00:00Z", 2),
            (night, "UTC", "2026-11-21T05:59:59Z", 2),
            (night, "UTC", "2026-11-21T06:00:00Z", 3),
            (night, "UTC", "2026-11-21T23:59:59Z", 3),
            (night, "UTC", "2026-11-22T00:00:00Z", 9),
        ] {
            assert_eq!(rate_at(windows, zone, time), Some(rate), "{time}");
        }
    }

    #[test]
    fn without_windows_the_bandwidth_is_what_it_is() {
        let schedule = Schedule { otherwise: None, windows: Vec::new(), zone: TimeZone::UTC };
        assert_eq!(schedule.bandwidth(Timestamp(u64::MAX)), None);
        assert_eq!(schedule.bandwidth(Timestamp(1_800_000_000)), None);
    }
}
