//! What a byte, or a request, costs each server.

use std::path::Path;

use anyhow::{Context, Result};

use super::bodies::Bodies;
use super::lab::Relay;
use super::nginx::Nginx;
use super::rows::{Row, Warmth};
use super::{Args, median, say};
use crate::bench::process::Pinned;
use crate::bench::wrk::Load;

/// Bodies that are asked for in turn are out of the relay's memory if they are so many times what it holds.
const OUTGROWN: u64 = 4;

/// One measurement of one server.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// CPU seconds of the server for a gigabyte.
    per_gb: f64,
    /// CPU seconds of the server for 100 000 requests.
    per_100k: f64,
    per_second: f64,
    gb_per_second: f64,
}

/// Both servers, round by round.
struct Samples {
    row: Row,
    nginx: Vec<Sample>,
    relay: Vec<Sample>,
}

/// Measures every row in interleaved rounds and prints the table.
pub(super) fn compare(args: &Args, work: &Path, bodies: &Bodies, nginx: &Nginx, relay: &Relay) -> Result<()> {
    let wanted = |row: &Row| args.only.as_ref().is_none_or(|only| row.to_string().contains(only));
    let mut all: Vec<Samples> = Row::all(OUTGROWN * (args.ram_cache_mib << 20), bodies)
        .into_iter()
        .filter(wanted)
        .map(|row| Samples { row, nginx: Vec::new(), relay: Vec::new() })
        .collect();
    for round in 0..=args.rounds {
        for samples in &mut all {
            let row = samples.row;
            let files = match row.warmth {
                Warmth::Hot => bodies.hot(row.size),
                Warmth::Verified => bodies.all(row.size),
            };
            let nginx_paths: Vec<String> = files.iter().map(|file| format!("/{file}")).collect();
            let relay_paths = relay.paths(files);
            // The round before the first fills the caches, and does not count.
            let seconds = if round == 0 { 1 } else { args.seconds };
            let load =
                |base, paths| Load { base, paths, connections: row.size.connections, seconds, idle: false };
            let theirs = sample(&nginx.process, &load(nginx.sites.base(row.scheme), &nginx_paths), work);
            let theirs = theirs.with_context(|| format!("nginx, {row}"))?;
            let ours = sample(&relay.process, &load(relay.sites.base(row.scheme), &relay_paths), work);
            let ours = ours.with_context(|| format!("the relay, {row}"))?;
            if round > 0 {
                samples.nginx.push(theirs);
                samples.relay.push(ours);
            }
        }
    }
    print(&all);
    Ok(())
}

fn sample(server: &Pinned, load: &Load<'_>, work: &Path) -> Result<Sample> {
    let before = server.cpu_time()?;
    let outcome = load.run(work)?;
    let cpu = server.cpu_time()?.saturating_sub(before).as_secs_f64();
    Ok(Sample {
        per_gb: cpu / (outcome.bytes / 1e9),
        per_100k: cpu / (outcome.requests / 1e5),
        per_second: outcome.requests / outcome.seconds,
        gb_per_second: outcome.bytes / 1e9 / outcome.seconds,
    })
}

fn print(all: &[Samples]) {
    say(&format!(
        "{:<24} {:>25} {:>25} {:>21} {:>21}",
        "",
        "CPU s/100k: nginx, relay",
        "CPU s/GB: nginx, relay",
        "CPU ratio (target)",
        "req/s ratio (target)"
    ));
    for samples in all {
        say(&samples.line());
    }
}

impl Samples {
    fn line(&self) -> String {
        let of = |all: &[Sample], figure: fn(&Sample) -> f64| median(all.iter().map(figure).collect());
        let both = |figure| (of(&self.nginx, figure), of(&self.relay, figure));
        let ratio = |figure: fn(&Sample) -> f64| {
            median(
                self.relay
                    .iter()
                    .zip(&self.nginx)
                    .map(|(ours, theirs)| figure(ours) / figure(theirs))
                    .collect(),
            )
        };
        let (cpu, requests) = (ratio(|sample| sample.per_gb), ratio(|sample| sample.per_second));
        let (nginx_100k, relay_100k) = both(|sample| sample.per_100k);
        let (nginx_gb, relay_gb) = both(|sample| sample.per_gb);
        let (nginx_rate, relay_rate) = both(|sample| sample.gb_per_second);
        let target = self.row.target();
        let cpu_target = target.cpu_max.map_or_else(String::new, |max| verdict(cpu <= max, "<=", max));
        let requests_target =
            target.requests_min.map_or_else(String::new, |min| verdict(requests >= min, ">=", min));
        format!(
            "{:<24} {nginx_100k:>16.2} {relay_100k:>8.2} {nginx_gb:>16.3} {relay_gb:>8.3} {cpu:>9.2} {cpu_target:<11} \
             {requests:>9.2} {requests_target:<11} {nginx_rate:.2} {relay_rate:.2} GB/s",
            self.row.to_string()
        )
    }
}

fn verdict(met: bool, relation: &str, target: f64) -> String {
    format!("{relation} {target}{}", if met { "" } else { " MISSED" })
}
