//! What is measured: redirects beside nginx's, and lists and metalinks.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

use super::Args;
use super::catalog::{Catalog, path};
use super::servers::{Directory, NAME, Nginx};
use crate::bench::figures::{median, say};
use crate::bench::process::Pinned;
use crate::bench::wrk::Load;

/// Requests that are asked for in turn.
const REQUESTS: u64 = 200_000;
/// A tenth of the paths is asked for nine times of ten.
const POPULAR: u64 = 10;

/// What came of a measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    per_second: f64,
    /// CPU time of the server for a request, in microseconds.
    cpu_micros: f64,
    p50: f64,
    p99: f64,
}

/// Measures and prints every row.
pub(super) fn measure(
    args: &Args,
    work: &Path,
    catalog: &Catalog,
    directory: &Directory,
    nginx: &Nginx,
) -> Result<()> {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        // The round before the first fills the caches, and does not count.
        let redirects = requests(args, catalog, "", round);
        let their = sample(args, work, &nginx.process, &nginx.url, &redirects).context("ask nginx")?;
        let our = sample(args, work, &directory.process, &directory.url, &redirects)
            .context("ask the directory")?;
        if round > 0 {
            theirs.push(their);
            ours.push(our);
        }
    }
    let of = |samples: &[Sample], figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
    let ratio = |figure: fn(&Sample) -> f64| {
        median(ours.iter().zip(&theirs).map(|(our, their)| figure(our) / figure(their)).collect())
    };
    let line = |name: &str, samples: &[Sample]| {
        say(&format!(
            "{name:<24} {:>9.0} requests/s, {:>6.2} us of CPU each, p50 {:.2} ms, p99 {:.2} ms",
            of(samples, |sample| sample.per_second),
            of(samples, |sample| sample.cpu_micros),
            of(samples, |sample| sample.p50),
            of(samples, |sample| sample.p99)
        ));
    };
    line("nginx, return 302", &theirs);
    line("directory, 302", &ours);
    let per_core = 1.0 / ratio(|sample| sample.cpu_micros);
    let (rate, p99) = (ratio(|sample| sample.per_second), of(&ours, |sample| sample.p99));
    say(&format!("requests/s, ratio: {rate:.2} ({})", verdict(rate >= 0.7, ">= 0.7")));
    say(&format!(
        "requests per second of CPU, ratio: {per_core:.2} ({})",
        verdict(per_core >= 0.7, ">= 0.7")
    ));
    say(&format!("p99: {p99:.2} ms ({})", verdict(p99 < 3.0, "< 3 ms")));
    for (name, suffix) in [("?mirrorlist", "?mirrorlist"), (".meta4", ".meta4")] {
        let samples = (1..=args.rounds).map(|round| {
            let requests = requests(args, catalog, suffix, round);
            sample(args, work, &directory.process, &directory.url, &requests)
        });
        let samples = samples.collect::<Result<Vec<_>>>()?;
        line(&format!("directory, {name}"), &samples);
        let rate = of(&samples, |sample| sample.per_second);
        say(&format!("{name}: {rate:.0}/s ({})", verdict(rate >= 10_000.0, ">= 10000")));
    }
    let rss = directory.process.rss()? / 1_000_000;
    say(&format!("the directory's memory: {rss} MB ({})", verdict(rss < 600, "< 600 MB")));
    Ok(())
}

fn sample(args: &Args, work: &Path, server: &Pinned, base: &str, requests: &[String]) -> Result<Sample> {
    let before = server.cpu_time()?;
    let (connections, seconds) = (args.connections, args.seconds);
    let outcome = Load { base, paths: requests, connections, seconds, idle: false }.run(work)?;
    let cpu = server.cpu_time()?.saturating_sub(before).as_secs_f64();
    Ok(Sample {
        per_second: outcome.requests / outcome.seconds,
        cpu_micros: cpu * 1e6 / outcome.requests,
        p50: outcome.p50,
        p99: outcome.p99,
    })
}

/// Paths, some of them more popular, each on behalf of one of the clients: the same in every run, but others in every round, for
/// whoever asks again within a minute doubts the relay that it was sent to, and has it probed.
fn requests(args: &Args, catalog: &Catalog, suffix: &str, round: u32) -> Vec<String> {
    let mut noise = blake3::Hasher::new().update(b"requests").update(&round.to_le_bytes()).finalize_xof();
    let mut draw = || {
        let mut bytes = [0; 8];
        noise.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    };
    let request = |_| {
        let among = if draw() % 10 == 0 { catalog.paths } else { (catalog.paths / POPULAR).max(1) };
        // Every tenth is popular, wherever it lies.
        let number = draw() % among * (catalog.paths / among);
        let client = network(draw() % args.clients.max(1) as u64);
        format!("/{NAME}/{}{suffix}\t{client}", path(number))
    };
    (0..REQUESTS).map(request).collect()
}

/// The address of a client or relay: anywhere in the world, and always the same.
pub(super) fn network(number: u64) -> Ipv4Addr {
    let mut bytes = [0; 4];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    let [a, b, c, d] = bytes;
    Ipv4Addr::new(1 + a % 223, b, c, d)
}

fn verdict(met: bool, target: &str) -> String {
    format!("{target}{}", if met { "" } else { " MISSED" })
}
