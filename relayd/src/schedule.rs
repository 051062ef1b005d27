//! Time windows: other bandwidth on some days and hours. Pure.
//!
//! The first window that a time falls in counts. One that ends before it begins goes on after midnight and belongs to the day on
//! which it began. Hours are the local time of one zone, so a day of changing clocks is as long as people there see it.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use odi_manifest::Timestamp;

use crate::config::Rate;

/// After so many days windows begin and end as they do now.
const DAYS: i64 = 8;

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
        let Some(local) = self.local(now) else { return self.otherwise };
        let window = self.windows.iter().find(|window| window.holds(local.weekday(), local.time()));
        window.map_or(self.otherwise, |window| Some(window.bandwidth))
    }

    /// When that will be another number, if it ever will.
    #[must_use]
    pub fn changes(&self, now: Timestamp) -> Option<Timestamp> {
        let begins = self.local(now)?;
        let days = (0..=DAYS).filter_map(|days| begins.date().checked_add(days.days()).ok());
        let edges = days.flat_map(|day| self.windows.iter().map(move |window| (day, window)));
        let edges =
            edges.flat_map(|(day, window)| [window.from, window.to].map(|time| day.to_datetime(time)));
        let edges = edges.flat_map(|edge| self.instants(edge));
        // Clocks that change jump into a window, or out of one.
        let ends = begins.timestamp().as_second().saturating_add(DAYS * 24 * 60 * 60);
        let jumps = self.zone.following(begins.timestamp()).map(|jump| jump.timestamp());
        let jumps = jumps.take_while(|jump| jump.as_second() <= ends);
        let instants = edges.chain(jumps).filter_map(|at| u64::try_from(at.as_second()).ok().map(Timestamp));
        // Where a window begins another one may hold already.
        instants.filter(|at| *at > now && self.bandwidth(*at) != self.bandwidth(now)).min()
    }

    /// When clocks show a time: twice where they are set back over it.
    fn instants(&self, shown: DateTime) -> impl Iterator<Item = jiff::Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(shown);
        [shown.earlier(), shown.later()].into_iter().flatten()
    }

    fn local(&self, now: Timestamp) -> Option<Zoned> {
        let time = jiff::Timestamp::from_second(i64::try_from(now.0).ok()?).ok()?;
        Some(time.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(windows: &[(&[Weekday], &str, &str, u64)], zone: &str) -> Schedule {
        let window = |(days, from, to, rate): &(&[Weekday], &str, &str, u64)| Window {
            days: days.to_vec(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            bandwidth: Rate(*rate),
        };
        Schedule {
            otherwise: Some(Rate(9)),
            windows: windows.iter().map(window).collect(),
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    fn at(time: &str) -> Timestamp {
        let time: jiff::Timestamp = time.parse().unwrap();
        Timestamp(time.as_second().try_into().unwrap())
    }

    fn rate_at(windows: &[(&[Weekday], &str, &str, u64)], zone: &str, time: &str) -> Option<u64> {
        schedule(windows, zone).bandwidth(at(time)).map(|rate| rate.0)
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
    fn when_it_changes_is_known() {
        use Weekday::{Friday, Monday, Saturday, Sunday};
        let office = schedule(&[(&[Monday, Friday], "08:00", "18:00", 1)], "Europe/Berlin");
        let early = schedule(&[(&[Sunday], "02:15", "02:45", 1)], "Europe/Berlin");
        let half_past = schedule(&[(&[Sunday], "01:00", "02:30", 1)], "Europe/Berlin");
        // The second window begins before the first ends, and gives the same.
        let joined = schedule(&[(&[Friday], "20:00", "02:00", 2), (&[Saturday], "01:00", "05:00", 2)], "UTC");
        let whole = schedule(&[(&[Monday], "00:00", "00:00", 9)], "UTC");
        for (schedule, now, change) in [
            (&office, "2026-11-20T06:59:59Z", Some("2026-11-20T07:00:00Z")),
            (&office, "2026-11-20T07:00:00Z", Some("2026-11-20T17:00:00Z")),
            (&office, "2026-11-20T17:00:00Z", Some("2026-11-23T07:00:00Z")),
            // Clocks there go back by an hour between the two.
            (&office, "2026-10-23T16:00:00Z", Some("2026-10-26T07:00:00Z")),
            // They show half past two twice.
            (&early, "2026-10-24T23:00:00Z", Some("2026-10-25T00:15:00Z")),
            (&early, "2026-10-25T00:20:00Z", Some("2026-10-25T00:45:00Z")),
            (&early, "2026-10-25T00:45:00Z", Some("2026-10-25T01:15:00Z")),
            (&early, "2026-10-25T01:15:00Z", Some("2026-10-25T01:45:00Z")),
            // Set back out of nothing and into a window, and forward over its end.
            (&half_past, "2026-10-25T00:30:00Z", Some("2026-10-25T01:00:00Z")),
            (&half_past, "2026-10-25T01:00:00Z", Some("2026-10-25T01:30:00Z")),
            (&half_past, "2027-03-28T00:30:00Z", Some("2027-03-28T01:00:00Z")),
            (&joined, "2026-11-20T23:00:00Z", Some("2026-11-21T05:00:00Z")),
            (&whole, "2026-11-20T23:00:00Z", None),
        ] {
            assert_eq!(schedule.changes(at(now)), change.map(at), "{now}");
        }
    }

    #[test]
    fn without_windows_the_bandwidth_is_what_it_is() {
        let schedule = Schedule { otherwise: None, windows: Vec::new(), zone: TimeZone::UTC };
        assert_eq!(schedule.bandwidth(Timestamp(u64::MAX)), None);
        assert_eq!(schedule.bandwidth(Timestamp(1_800_000_000)), None);
        assert_eq!(schedule.changes(Timestamp(1_800_000_000)), None);
    }
}
