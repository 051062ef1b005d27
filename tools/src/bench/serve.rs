//! `odi bench serve`: a real `odi-relayd` beside nginx's sendfile, in one run, each server on one core and the client on
//! another.
//!
//! Rounds are interleaved, so that whatever else the machine does hits both; a figure is the median of its rounds and a
//! ratio the median of the rounds' ratios. *Verified* rows walk through more bytes than the relay's memory cache holds:
//! every chunk is read from the page cache and hashed. *Hot* rows ask for a few artifacts again and again.

mod bodies;
mod connections;
mod lab;
mod latency;
mod nginx;
mod rows;
mod sites;
mod throughput;
mod tls;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::figures::{load, median, say};
use super::{process, wrk};
use bodies::Bodies;
use lab::Lab;
use nginx::Nginx;
use tls::Certificate;

/// What `odi bench serve` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The relay's program; `odi-relayd` beside this one if not given.
    #[arg(long, value_name = "FILE")]
    pub relayd: Option<PathBuf>,
    /// A folder to work in. Both servers read from it, so it should be an ordinary disk. Default: the temporary folder.
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// How often each row is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3)]
    pub seconds: u32,
    /// Bytes of each size of body, in MiB. Several times the relay's `ram_cache`, or *verified* rows become hot.
    #[arg(long, default_value_t = 256)]
    pub set_mib: u64,
    /// The relay's `ram_cache`, in MiB.
    #[arg(long, default_value_t = 64)]
    pub ram_cache_mib: u64,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    pub server_cpu: usize,
    /// The core of the clients, and of everything else that the bench runs.
    #[arg(long, default_value_t = 1)]
    pub client_cpu: usize,
    /// Measures only rows whose names contain this, such as `hot` or `"64 KiB"`.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Idle connections; 0 leaves the test of many connections out.
    #[arg(long, default_value_t = 10_000)]
    pub idle: u32,
    /// Connections at work beside the idle ones.
    #[arg(long, default_value_t = 1000)]
    pub active: u32,
}

/// Measures and prints one line per figure, with the target where there is one.
///
/// # Errors
/// A program is missing, or a server misbehaves; missed targets are printed, not failed, for they depend on the machine.
pub fn run(args: &Args) -> Result<()> {
    let relayd = relayd(args.relayd.as_deref())?;
    for program in [nginx::PROGRAM, wrk::PROGRAM] {
        process::find(program)?;
    }
    // The bench, its directory and its origin, and the clients it starts, keep off the servers' core.
    process::pin(args.client_cpu)?;
    let work = match &args.work {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .context("make a folder to work in")?;
    let bodies = Bodies::write(&work.path().join("tree"), args.set_mib << 20)?;
    let certificate = Certificate::write(work.path())?;
    let nginx = Nginx::start(work.path(), &bodies.tree, &certificate, args.server_cpu)?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let lab = runtime.block_on(Lab::start(work.path(), &bodies.tree))?;
    let relay = lab.relay(&relayd, &certificate, args.ram_cache_mib << 20, args.server_cpu);
    let relay = runtime.block_on(relay)?;
    say(&format!("the machine's load is {} at the start", load()));
    throughput::compare(args, work.path(), &bodies, &nginx, &relay)?;
    latency::run(args, work.path(), &bodies, &relay)?;
    if args.idle > 0 {
        connections::run(args, work.path(), &bodies, &relay)?;
    }
    say(&format!("the machine's load is {} at the end", load()));
    drop(relay);
    runtime.block_on(lab.stop())
}

fn relayd(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("find this program")?.with_file_name("odi-relayd"),
    };
    let found = path.canonicalize();
    found.with_context(|| format!("find {}: build it, or name it with --relayd", path.display()))
}
