//! The monthly transfer as data: calendar months, and what a relay may still send in one.
//!
//! Pure. The month is UTC's. What is announced to directories shrinks long before anything is refused: when the budget runs out
//! faster than the month, in that proportion, and over its last twentieth to nothing. Then new downloads are refused, and a
//! reserve lets open ones finish; the budget itself is never exceeded.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use odi_manifest::Timestamp;

/// All of a capacity, in the parts that it is counted in.
pub const WHOLE: u16 = 1000;
/// The last part of a budget, over which the announced capacity goes to nothing: one in so many.
const TAIL: u64 = 20;
/// What is kept for open downloads: one part in so many, within these bytes. The least is [`OWN`]'s, and what is given up in
/// the end because no piece fits in it.
const RESERVE: (u64, u64, u64) = (200, 1 << 20, 8 << 30);
/// What is kept of that for what the relay says for itself: refusals, and how it is.
const OWN: (u64, u64, u64) = (2000, 512 << 10, 1 << 30);

/// A calendar month of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// The month of a time.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        let seconds = i64::try_from(now.0).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        Self(time.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// Reads `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        format!("{text}-01").parse().ok().map(Self)
    }

    fn begins(self) -> u64 {
        seconds(self.0)
    }

    /// The first second of the next one.
    #[must_use]
    pub fn ends(self) -> Timestamp {
        Timestamp(self.0.last_of_month().tomorrow().map_or(u64::MAX, seconds))
    }
}

fn seconds(date: Date) -> u64 {
    let zoned = date.to_zoned(TimeZone::UTC).ok();
    zoned.and_then(|zoned| u64::try_from(zoned.timestamp().as_second()).ok()).unwrap_or(0)
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

/// How a month's budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How much of the relay's capacity is announced, in thousandths.
    pub share: u16,
    /// Whether new downloads may begin.
    pub admits: bool,
    /// Bytes that may still be sent.
    pub left: u64,
}

/// How a budget stands of which so much is used, so far into a month. Without a budget there is no limit.
#[must_use]
pub fn standing(budget: Option<u64>, used: u64, month: Month, now: Timestamp) -> Standing {
    let Some(budget) = budget else { return Standing { share: WHOLE, admits: true, left: u64::MAX } };
    let left = budget.saturating_sub(used);
    let reserve = (budget / RESERVE.0).clamp(RESERVE.1, RESERVE.2).min(budget);
    let usable = left.saturating_sub(reserve);
    let length = month.ends().0.saturating_sub(month.begins()).max(1);
    let remaining = month.ends().0.saturating_sub(now.0).clamp(1, length);
    let against_time = parts(usable, length, budget - reserve, remaining);
    let tail = parts(usable, TAIL, budget, 1);
    Standing { share: against_time.min(tail).min(WHOLE), admits: usable > 0, left }
}

/// What of a budget is kept for refusals and the like, once files have had theirs.
#[must_use]
pub fn own_part(budget: u64) -> u64 {
    (budget / OWN.0).clamp(OWN.1, OWN.2).min(budget)
}

/// `a * b / (c * d)` in thousandths, at most all.
fn parts(a: u64, b: u64, c: u64, d: u64) -> u16 {
    let over = u128::from(a) * u128::from(b) * u128::from(WHOLE);
    let under = (u128::from(c) * u128::from(d)).max(1);
    u16::try_from((over / under).min(u128::from(WHOLE))).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TB: u64 = 1_000_000_000_000;
    const DAY: u64 = 86_400;

    fn november() -> Month {
        Month::parse("2026-11").unwrap()
    }

    fn on_day(day: u64) -> Timestamp {
        Timestamp(november().begins() + (day - 1) * DAY)
    }

    #[test]
    fn months_are_the_calendars() {
        // 2024-02-29T23:59:59Z and the second after it.
        let leap = Timestamp(1_709_251_199);
        assert_eq!(Month::of(leap).to_string(), "2024-02");
        assert_eq!(Month::of(leap).ends(), Timestamp(1_709_251_200));
        assert_eq!(Month::of(Timestamp(1_709_251_200)).to_string(), "2024-03");
        assert_eq!(Month::parse("2026-12").unwrap().ends(), Timestamp(1_798_761_600));
        assert!(Month::parse("2026-11").unwrap() < Month::parse("2027-01").unwrap());
        assert_eq!((Month::parse("2026-13"), Month::parse("x")), (None, None));
    }

    #[test]
    fn the_announced_capacity_tapers() {
        for (day, used, share, admits) in [
            (1, 0, 1000, true),
            (16, 10 * TB, 999, true),
            (16, 15 * TB, 499, true),
            (16, 18 * TB, 199, true),
            (28, 18 * TB, 996, true),
            (30, 19 * TB + TB / 2, 491, true),
            (30, 19 * TB + TB * 99 / 100, 1, true),
            (30, 20 * TB, 0, false),
            (16, 21 * TB, 0, false),
        ] {
            let got = standing(Some(20 * TB), used, november(), on_day(day));
            assert_eq!((got.share, got.admits), (share, admits), "day {day}, {used} used");
        }
        assert_eq!(standing(None, 99 * TB, november(), on_day(1)).left, u64::MAX);
    }

    #[test]
    fn downloads_are_refused_before_the_budget_ends_and_never_all_at_once() {
        let reserve = 8 << 30;
        let got = standing(Some(20 * TB), 20 * TB - reserve, november(), on_day(30));
        assert_eq!((got.admits, got.left), (false, reserve));
    }

    proptest! {
        #[test]
        fn a_download_that_is_admitted_has_more_left_than_is_kept(budget in 1_u64..1 << 50, used in any::<u64>()) {
            let used = used % (budget * 2);
            let got = standing(Some(budget), used, november(), on_day(1));
            prop_assert!(!got.admits || got.left > own_part(budget) + 2 * odi_wire::limits::PACE_PIECE_BYTES);
        }

        #[test]
        fn more_use_never_means_more_capacity(
            budget in 1_u64..1 << 50, a in any::<u64>(), b in any::<u64>(), second in 0_u64..31 * DAY
        ) {
            let now = Timestamp(november().begins() + second);
            let (less, more) = (a.min(b) % (budget * 2), a.max(b) % (budget * 2));
            let (less, more) = (less.min(more), less.max(more));
            let [light, heavy] = [less, more].map(|used| standing(Some(budget), used, november(), now));
            prop_assert!(heavy.share <= light.share && heavy.left <= light.left);
            prop_assert!(light.admits || !heavy.admits);
            prop_assert!(heavy.admits || heavy.share == 0, "nobody is sent to a relay that refuses");
        }
    }
}
