//! What the relay's memory comes to with many connections, most of them silent.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use odi_manifest::CHUNK_BYTES;

use super::bodies::{Bodies, SIZES, Size};
use super::lab::Relay;
use super::{Args, say};
use crate::bench::wrk::Load;

const BASE_BYTES_MAX: u64 = 150_000_000;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// Until every idle connection has asked once (see [`super::wrk`]); they are closed 20 s after that.
const SETTLING: Duration = Duration::from_secs(6);
const ACTIVE_SECONDS: u32 = 6;

/// Measures and prints.
pub(super) fn run(args: &Args, work: &Path, bodies: &Bodies, relay: &Relay) -> Result<()> {
    let [smallest, .., large, _] = SIZES;
    let quiet = relay.paths(bodies.hot(smallest));
    let before = relay.process.rss()?;
    let load = |paths, connections, seconds, idle| Load {
        base: &relay.sites.plain,
        paths,
        connections,
        seconds,
        idle,
    };
    let seconds = ACTIVE_SECONDS + u32::try_from(SETTLING.as_secs()).unwrap_or(u32::MAX);
    let idle = load(&quiet, args.idle, seconds, true).start(work)?;
    let settled = peak_until(relay, Instant::now() + SETTLING)?;
    say(&format!("RSS {:.0} MB, with {} idle connections {:.0} MB", mb(before), args.idle, mb(settled)));
    let busy = relay.paths(bodies.all(large));
    let active = load(&busy, args.active, ACTIVE_SECONDS, false).start(work)?;
    let peak = peak_until(relay, Instant::now() + Duration::from_secs(ACTIVE_SECONDS.into()))?;
    let asked = active.outcome()?;
    idle.outcome()?;
    let bound = BASE_BYTES_MAX + CHUNK_BYTES * in_flight(bodies, large, args.active);
    let missed = if peak <= bound { "" } else { " MISSED" };
    say(&format!(
        "and {} active ones at {:.2} GB/s, over all bodies of {}: RSS at most {:.0} MB (target <= {:.0} MB{missed})",
        args.active,
        asked.bytes / 1e9 / asked.seconds,
        large.name,
        mb(peak),
        mb(bound),
    ));
    Ok(())
}

/// Chunks that so many connections may be in the middle of.
fn in_flight(bodies: &Bodies, size: Size, connections: u32) -> u64 {
    let chunks = bodies.all(size).len() as u64 * size.bytes.div_ceil(CHUNK_BYTES);
    chunks.min(connections.into())
}

fn peak_until(relay: &Relay, end: Instant) -> Result<u64> {
    let mut peak = 0;
    while Instant::now() < end {
        peak = peak.max(relay.process.rss()?);
        std::thread::sleep(SAMPLE_EVERY);
    }
    Ok(peak)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
