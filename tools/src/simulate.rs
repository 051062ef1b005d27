//! `odi simulate`: a day of a large network, with the placement, heat, balance and selection that directories run, and everything
//! else made up: relays of mixed size that come, fail and go, catalogs, what clients want, a flash crowd.
//!
//! Nothing is sent and no clock is read but to time the code itself: a day of ten thousand relays takes minutes.

mod blame;
mod catalogs;
mod chance;
mod clients;
mod day;
mod network;
mod parts;
mod plots;
mod relay;
mod report;
mod timing;

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Arguments of `odi simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Relays at the beginning.
    #[arg(long, default_value_t = 10_000)]
    pub relays: usize,
    /// Artifacts of all catalogs together.
    #[arg(long, default_value_t = 5_000_000)]
    pub artifacts: u64,
    /// Copies of everything in different networks.
    #[arg(long, default_value_t = 3)]
    pub copies: usize,
    /// How long the network is looked at.
    #[arg(long, default_value_t = 24)]
    pub hours: u64,
    /// Downloads in a minute.
    #[arg(long, default_value_t = 14_000)]
    pub downloads: u64,
    /// What chance is drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A folder for the plots, as SVG.
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
}

/// Simulates, and prints what came of it beside what was promised.
///
/// # Errors
/// The arguments make no network, a plot cannot be written, or a promise was not kept.
pub fn run(args: &Args) -> Result<()> {
    if args.relays < 10 || args.artifacts == 0 || args.copies == 0 || args.hours < 3 {
        bail!("a simulation needs ten relays, an artifact, a copy and three hours");
    }
    let timing = timing::measure(args);
    report::timing(&timing);
    let day = day::run(args)?;
    report::day(args, &day);
    if let Some(folder) = &args.plots {
        plots::draw(folder, &day, &timing)?;
    }
    let broken = report::broken(args, &day, &timing);
    if !broken.is_empty() {
        bail!("{}", broken.join("\n  "));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a simulation is read on the terminal")]
fn say(line: &str) {
    println!("{line}");
}
