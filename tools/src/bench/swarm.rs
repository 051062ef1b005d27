//! `odi bench swarm`: many relays that lack everything at once, over links that are shaped.
//!
//! One origin, one directory and so many relays run as the programs that they are, each in a network namespace of its own
//! behind a link that `tc` shapes; a new state appears, everything of it is assigned to all, and the clock runs until
//! each relay holds it. Where no namespace can be made a shaper in user space stands before each server, and
//! the output says so: then only what is sent is shaped, not what is received.

mod content;
mod gate;
mod lab;
mod namespaces;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_directoryd::config::Size;

pub use gate::{GateArgs, Mischief};
use lab::{Finish, Lab, Start};

/// What `odi bench swarm` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Relays in each round.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 16])]
    pub relays: Vec<usize>,
    /// Bytes of the new state.
    #[arg(long, default_value = "200 MB")]
    pub content: String,
    /// What the origin's link carries, in Mbit/s.
    #[arg(long, default_value_t = 40)]
    pub origin: u64,
    /// What each relay's link carries each way, in Mbit/s.
    #[arg(long, default_value_t = 80)]
    pub link: u64,
    /// One relay in four lies: one each flips bits, cuts off, stalls, and says wrong lengths.
    #[arg(long)]
    pub hostile: bool,
    /// The relays start when the content is already there and know nobody, instead of waiting for it together.
    #[arg(long)]
    pub cold: bool,
    /// Shapes in user space even where namespaces can be made.
    #[arg(long)]
    pub user_space: bool,
    /// A folder to work in, with room for the content once per relay and once more.
    #[arg(long, default_value = "/tmp")]
    pub work: PathBuf,
    /// Leaves the working folder, with a log of each daemon.
    #[arg(long)]
    pub keep: bool,
    /// How long a round may take.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub patience: u64,
    /// The part of a bench that is started in a namespace.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Measures and prints each round beside its targets.
///
/// # Errors
/// A daemon that does not start or fill, or a wrong byte. Missed targets are printed, not failed, for they depend on the machine.
pub async fn run(args: &Args) -> Result<()> {
    if args.gate.listen.is_some() {
        return gate::run(&args.gate).await;
    }
    for relays in &args.relays {
        round(args, *relays).await.with_context(|| format!("a swarm of {relays}"))?;
    }
    Ok(())
}

async fn round(args: &Args, relays: usize) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("odi-bench-swarm-").tempdir_in(&args.work)?;
    let start = Start {
        relays,
        hostile: if args.hostile { relays / 4 } else { 0 },
        content: Size::parse(&args.content)?.0,
        origin_bits: args.origin * 1_000_000,
        link_bits: args.link * 1_000_000,
        user_space: args.user_space,
        patience: Duration::from_secs(args.patience),
    };
    let folder = if args.keep { folder.keep() } else { folder.path().to_owned() };
    let _swept = (!args.keep).then(|| Swept(folder.clone()));
    let mut lab = Lab::build(&folder, start).await?;
    say(&format!("{relays} relays, {} of them hostile; links: {}", start.hostile, lab.shaping()));
    let finish = if args.cold { lab.fill_cold().await? } else { lab.fill_news().await? };
    let bad = lab.check().await?;
    report(&start, &finish);
    if bad > 0 {
        bail!("{bad} wrong bytes were stored or served");
    }
    say("no wrong byte stored or served");
    Ok(())
}

/// Removes a folder with whatever daemons left in it.
struct Swept(PathBuf);

impl Drop for Swept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures are printed with two digits")]
fn report(start: &Start, finish: &Finish) {
    let content = finish.content as f64;
    let (origin, link) = (start.origin_bits as f64 / 8.0, start.link_bits as f64 / 8.0);
    let honest = finish.times.len() as f64;
    // Kumar and Ross: no scheme is faster in the fluid model.
    let swarm = honest * content / (origin + honest * link);
    let bound = (content / origin).max(content / link).max(swarm);
    let (median, slowest) = middle_and_last(&finish.times);
    let (_, heard) = middle_and_last(&finish.heard);
    let copies = finish.origin_bytes as f64 / content;
    let waste = finish.wasted as f64 / (honest * content);
    say(&format!("  content {:.1} MB, bound {bound:.1} s", content / 1e6));
    say(&format!("  begins  {heard:.1} s, the last relay               (target 2 s after the head)"));
    // What a liar fetches for those whom it then cheats is fetched twice.
    let target = if start.hostile == 0 { "(target 1.05x)" } else { "(no target among liars)" };
    say(&format!(
        "  origin  {:.1} MB, {copies:.3}x content            {target}",
        finish.origin_bytes as f64 / 1e6
    ));
    let (middle, last) = match start.hostile {
        0 => ("(target 1.2x)", "(target 1.5x)"),
        _ => {
            ("(target 1.3x the median among honest relays)", "(target 1.3x the slowest among honest relays)")
        }
    };
    say(&format!("  median  {median:.1} s, {:.2}x bound                 {middle}", median / bound));
    say(&format!("  slowest {slowest:.1} s, {:.2}x bound                 {last}", slowest / bound));
    say(&format!("  waste   {:.2} %                             (target 2 %)", waste * 100.0));
}

/// The median and the largest of some times.
fn middle_and_last(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |position: usize| sorted.get(position).copied().unwrap_or(f64::NAN);
    (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
fn say(line: &str) {
    println!("{line}");
}
