//! `odi bench redirect`: a real `odi-directoryd` beside nginx's `return 302`, in one run, each on one core and the client on another.
//!
//! The directory follows a catalog of many paths and sends clients to many relays. Those are one program here, at an address of
//! 127.0.0.0/8 each, and do what relays do: they register, answer the challenge, pass the self-test, announce themselves every
//! twenty seconds and answer probes with the right bytes. Relays and clients say that they come from networks drawn at random, as
//! behind a proxy, so that a database of where networks are has something to say. Rounds are interleaved; a figure is the median
//! of its rounds, a ratio the median of the rounds' ratios.

mod catalog;
mod rows;
mod servers;
mod swarm;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::figures::{load, say};
use super::{process, wrk};
use catalog::Catalog;
use servers::{Directory, Nginx};
use swarm::Swarm;

/// What `odi bench redirect` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The directory's program; `odi-directoryd` beside this one if not given.
    #[arg(long, value_name = "FILE")]
    pub directoryd: Option<PathBuf>,
    /// A folder to work in. Default: the temporary folder.
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// A database of where networks are, in MaxMind's format; may be given again. Without one geography is off.
    #[arg(long, value_name = "FILE")]
    pub geography: Vec<PathBuf>,
    /// Paths of the catalog.
    #[arg(long, default_value_t = 1_000_000)]
    pub paths: u64,
    /// Relays.
    #[arg(long, default_value_t = 1000)]
    pub relays: usize,
    /// Client networks.
    #[arg(long, default_value_t = 20_000)]
    pub clients: usize,
    /// Connections at once.
    #[arg(long, default_value_t = 32)]
    pub connections: u32,
    /// How often each row is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3)]
    pub seconds: u32,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    pub server_cpu: usize,
    /// The core of the clients, and of everything else that the bench runs.
    #[arg(long, default_value_t = 1)]
    pub client_cpu: usize,
    /// Stops before measuring and says where everything is, until a line comes in: for a profiler.
    #[arg(long)]
    pub pause: bool,
}

/// Measures and prints one line per figure, with the target where there is one.
///
/// # Errors
/// A program is missing, or a server misbehaves; missed targets are printed, not failed, for they depend on the machine.
pub fn run(args: &Args) -> Result<()> {
    ensure!((1..=10_000).contains(&args.relays), "between 1 and 10000 relays have an address each");
    for program in [servers::NGINX, wrk::PROGRAM] {
        process::find(program)?;
    }
    process::pin(args.client_cpu)?;
    let work = match &args.work {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .context("make a folder to work in")?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let catalog = Catalog::write(&work.path().join("origin"), args.paths)?;
    say(&format!("a catalog of {} paths and {} contents is published", args.paths, catalog::CONTENTS));
    let origin = runtime.block_on(crate::demo::Origin::start(work.path().join("origin")))?;
    let directory = Directory::start(args, work.path(), &catalog, &origin.url())?;
    let nginx = Nginx::start(work.path(), args.server_cpu)?;
    let catalog = std::sync::Arc::new(catalog);
    let swarm = runtime.block_on(Swarm::join(args.relays, &directory, &catalog))?;
    say(&format!(
        "{} relays have registered, answered, passed and are ready; geography is {}; the directory has {} MB in memory",
        args.relays,
        if args.geography.is_empty() { "off" } else { "on" },
        directory.process.rss()? / 1_000_000
    ));
    let directory_url = &directory.url;
    if args.pause {
        say(&format!("the directory is {directory_url}; a line on the standard input goes on"));
        std::io::stdin().read_line(&mut String::new()).context("wait for a line")?;
    }
    say(&format!("the machine's load is {} at the start", load()));
    rows::measure(args, work.path(), &catalog, &directory, &nginx)?;
    say(&format!("the machine's load is {} at the end", load()));
    drop(directory);
    runtime.block_on(swarm.stop());
    runtime.block_on(origin.stop());
    Ok(())
}
