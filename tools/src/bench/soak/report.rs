//! The table at the end, and what is wrong with it.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use odi_directoryd::config::Size;
use odi_manifest::CHUNK_BYTES;

use super::course::Ended;
use super::lab::{Daemon, Fate, Lab};
use super::trend::{Bound, Trend};
use super::{Args, say};
use crate::store_check;

const MIB: f64 = (1 << 20) as f64;
/// What memory may rise over the second half of a run: a leak of a kilobyte in a request, or of a megabyte in a head, is far above.
const MEMORY: Bound = Bound { share: 0.05, more: 8.0 * MIB };
/// The same for a run of minutes, in whose second half caches still fill.
const MEMORY_SHORT: Bound = Bound { share: 0.25, more: 24.0 * MIB };
const SHORT_MINUTES: f64 = 10.0;
/// Of open files: connections come and go.
const FILES: Bound = Bound { share: 0.1, more: 16.0 };
/// A disk was nearly full if so much of its budget was taken.
const FULL_SHARE: f64 = 0.75;
/// Bodies in full that each client must have got at least, for there to have been a load.
const RIGHT_PER_CLIENT: u64 = 3;

/// Prints the table; returns what must not be.
pub(super) fn tell(args: &Args, lab: &Lab, ended: &Ended) -> Result<Vec<String>> {
    let mut problems = requests(args, ended);
    let budget = Size::parse(&args.disk)?.0;
    let allowed = budget + args.clients as u64 * CHUNK_BYTES;
    say("                 memory MiB          open files          disk MiB");
    say("                 mean  rise  bound   mean  rise  bound   peak  account  budget");
    for daemon in lab.directories.iter().chain(&lab.relays) {
        row(args, daemon, budget, &mut problems);
    }
    disks(lab, budget, allowed, &mut problems);
    problems.extend(ended.behind.iter().map(|name| format!("{name} does not have the newest head")));
    Ok(problems)
}

/// Reads back every byte that the relays stored, once they have ended.
pub(super) fn read_back(lab: &mut Lab) -> Vec<String> {
    let mut problems = Vec::new();
    for relay in &mut lab.relays {
        relay.program.kill();
        if let Err(error) = store_check::run(&relay.data.join("store"), false) {
            problems.push(format!("{}: {error:#}", relay.program.name));
        }
    }
    problems
}

fn requests(args: &Args, ended: &Ended) -> Vec<String> {
    let tally = &ended.tally;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (wrong, words) = tally.wrong();
    say(&format!(
        "{:.1} minutes, seed {}: {} heads, origin away {} times, a relay killed {} times",
        ended.lasted.as_secs_f64() / 60.0,
        args.seed,
        ended.heads,
        ended.origin_deaths,
        ended.kills
    ));
    say(&format!(
        "bodies: {} in full, {} left by the client, {} cut short; {} MB right; {} answers wrong; requests without one: {}",
        count(&tally.right),
        count(&tally.left),
        count(&tally.cut),
        count(&tally.bytes) / 1_000_000,
        wrong,
        count(&tally.unanswered),
    ));
    let refused: Vec<String> =
        tally.refused().iter().map(|(status, count)| format!("{count} x {status}")).collect();
    say(&format!(
        "other answers: {}",
        if refused.is_empty() { "none".to_owned() } else { refused.join(", ") }
    ));
    let mut problems: Vec<String> = words.into_iter().map(|words| format!("wrong: {words}")).collect();
    if wrong > 0 {
        problems.push(format!("{wrong} wrong answers in all"));
    }
    let least = RIGHT_PER_CLIENT * args.clients as u64;
    if count(&tally.right) < least {
        problems.push(format!("only {} bodies came in full; a load is {least}", count(&tally.right)));
    }
    problems
}

fn row(args: &Args, daemon: &Daemon, budget: u64, problems: &mut Vec<String>) {
    let memory_bound = if args.minutes < SHORT_MINUTES { MEMORY_SHORT } else { MEMORY };
    let watch = &daemon.watch;
    let steady = daemon.fate != Fate::Mortal;
    let mut shown = String::new();
    for (what, series, bound, unit) in
        [("memory", &watch.memory, memory_bound, MIB), ("open files", &watch.files, FILES, 1.0)]
    {
        match series.trend().filter(|_| steady) {
            Some(trend) => {
                let Trend { mean, rise } = trend;
                shown += &format!("{:6.1}{:6.1}{:7.1} ", mean / unit, rise / unit, bound.of(mean) / unit);
                if !bound.holds(trend) {
                    let name = &daemon.program.name;
                    problems.push(format!("{name}: {what} does not level off: {:.1} more", rise / unit));
                }
            }
            None => shown += "     -     -      - ",
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for a table")]
    if watch.disk.peak() > 0.0 {
        let (peak, account) = (watch.disk.peak() / MIB, watch.accounted.peak() / MIB);
        shown += &format!("{peak:6.1}{account:9.1}{:8.1}", budget as f64 / MIB);
    }
    say(&format!("{:<13} {shown}", daemon.program.name));
}

#[expect(clippy::cast_precision_loss, reason = "figures for a table")]
fn disks(lab: &Lab, budget: u64, allowed: u64, problems: &mut Vec<String>) {
    for relay in &lab.relays {
        for (what, peak) in
            [("took", relay.watch.disk.peak()), ("accounted for", relay.watch.accounted.peak())]
        {
            if peak > allowed as f64 {
                let (peak, allowed) = (peak / MIB, allowed as f64 / MIB);
                problems.push(format!(
                    "{} {what} {peak:.1} MiB of disk, {allowed:.1} at most",
                    relay.program.name
                ));
            }
        }
    }
    let fullest = lab.relays.iter().map(|relay| relay.watch.disk.peak()).fold(0.0, f64::max);
    if fullest < FULL_SHARE * budget as f64 {
        problems.push(format!("no disk was ever nearly full: {:.1} MiB at most", fullest / MIB));
    }
}
