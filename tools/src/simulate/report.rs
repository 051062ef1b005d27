//! What a simulation shows, beside what was promised.

use super::day::Day;
use super::timing::Timing;
use super::{Args, say};

/// Promised: the most loaded relay beside the mean.
const IMBALANCE_MAX: f64 = 1.3;
/// Promised: bytes moved beside the least possible.
const MOVED_MAX: f64 = 1.1;
/// Promised: placing anew, in seconds.
const PLACING_MAX: f64 = 1.0;
/// Minutes until copies are back: a silent relay's part is left to it for an hour, then others fill it.
const REPAIR_MAX: u64 = 90;
/// A draw among ten thousand relays, in microseconds: what there is of a request's eleven beside HTTP. It looks at as many seats as
/// one among ten, but not in a processor's nearest memory.
const DRAW_MAX: f64 = 5.0;

pub(super) fn timing(timing: &Timing) {
    say(&format!(
        "placing from nothing {:?}, after one relay has gone {:?}",
        timing.from_nothing, timing.one_gone
    ));
    say(&format!("laying out all catalogs {:?}", timing.laid_out));
    for (relays, draw) in &timing.draws {
        say(&format!("a draw among {relays:>5} relays {draw:?}"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(super) fn day(args: &Args, day: &Day) {
    say(&format!(
        "{} hours: {} downloads, {} of which no relay held; {} relays left, {} came, {} fell silent",
        args.hours, day.downloads, day.nowhere, day.left, day.came, day.fell_silent
    ));
    say(&format!(
        "load over capacity, relays that were there all the time: at most {:.2} of the mean (promised {IMBALANCE_MAX})",
        imbalance(day)
    ));
    day.most_loaded.iter().for_each(|line| say(&format!("    {line}")));
    say(&format!(
        "moved {:.1} TB, {:.3} of the least possible (promised {MOVED_MAX}); {:.1} TB more for what was hot",
        day.moved as f64 / 1e12,
        moved(day),
        day.named as f64 / 1e12
    ));
    say(&format!("slowest placement {:?} (promised {PLACING_MAX} s)", day.slowest_placement));
    say(&format!("longest below the floor: {} minutes (promised {REPAIR_MAX})", day.below_floor));
    if let (Some(first), Some(last)) = (day.crowd.first(), day.crowd.last()) {
        let double = day.crowd.iter().position(|holders| *holders >= first * 2);
        let double = double.map_or_else(|| "never".to_owned(), |minute| format!("after {minute} minutes"));
        say(&format!(
            "the crowd's artifact: {first} holders at first, {last} at the end, twice as many {double}"
        ));
    }
}

fn imbalance(day: &Day) -> f64 {
    day.loads.last().copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn moved(day: &Day) -> f64 {
    day.moved as f64 / day.least.max(1) as f64
}

/// Promises that were not kept.
pub(super) fn broken(args: &Args, day: &Day, timing: &Timing) -> Vec<String> {
    let mut broken = Vec::new();
    let mut keep = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    keep(imbalance(day) <= IMBALANCE_MAX, format!("a relay had {:.2} times the mean load", imbalance(day)));
    keep(moved(day) <= MOVED_MAX, format!("{:.3} times the least possible was moved", moved(day)));
    let slowest = day.slowest_placement.max(timing.one_gone).as_secs_f64();
    keep(slowest < PLACING_MAX, format!("placing took {slowest:.2} s"));
    keep(
        day.below_floor <= REPAIR_MAX,
        format!("a part was below its {} copies for {} minutes", args.copies, day.below_floor),
    );
    keep(day.nowhere == 0, format!("{} downloads found no relay", day.nowhere));
    if let Some((relays, draw)) = timing.draws.last() {
        let micros = draw.as_secs_f64() * 1e6;
        keep(micros <= DRAW_MAX, format!("a draw among {relays} relays takes {micros:.1} us"));
    }
    broken
}
