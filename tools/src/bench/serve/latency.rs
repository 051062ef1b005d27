//! What a small request waits beside a download that takes all the server has.

use std::path::Path;

use anyhow::Result;

use super::bodies::{Bodies, SIZES};
use super::lab::Relay;
use super::{Args, median, say};
use crate::bench::wrk::Load;

const TARGET_MS: f64 = 20.0;
/// Downloads that together take a whole core.
const DOWNLOADS: u32 = 4;
const SMALL_REQUESTS: u32 = 4;

/// Measures and prints.
pub(super) fn run(args: &Args, work: &Path, bodies: &Bodies, relay: &Relay) -> Result<()> {
    let [small, .., large] = SIZES;
    let (small, large) = (relay.paths(bodies.hot(small)), relay.paths(bodies.all(large)));
    let load = |paths, connections, seconds| Load {
        base: &relay.sites.plain,
        paths,
        connections,
        seconds,
        idle: false,
    };
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        let downloads = load(&large, DOWNLOADS, args.seconds + 1).start(work)?;
        let asked = load(&small, SMALL_REQUESTS, args.seconds).run(work)?;
        let downloads = downloads.outcome()?;
        rounds.push((asked.p50, asked.p99, downloads.bytes / 1e9 / downloads.seconds));
    }
    let of = |figure: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(figure).collect());
    let (p50, p99, rate) = (of(|round| round.0), of(|round| round.1), of(|round| round.2));
    let missed = if p99 < TARGET_MS { "" } else { " MISSED" };
    say(&format!(
        "4 KiB beside {rate:.2} GB/s of downloads: p50 {p50:.2} ms, p99 {p99:.2} ms (target < {TARGET_MS} ms{missed})"
    ));
    Ok(())
}
