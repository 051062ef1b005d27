//! `odi bench soak`: mixed load for as long as one likes, while everything around goes wrong; at the end nothing may have been
//! wrong, lost or over its budget.
//!
//! Directories and relays run as the programs that they are, on loopback, over a catalog that is larger than each relay's disk, so
//! that relays evict all the time. A new head comes every few seconds; the origin dies and returns; one relay is killed and started
//! again; what others get of one relay is spoiled on the way. Clients take wholes and ranges, go in the middle, or read slowly, and
//! compare each byte with what was published. The run fails if
//!
//! - a byte, a length or a range was wrong, or a relay's store holds a damaged record;
//! - memory or open files of a daemon that nobody killed do not level off ([`trend`]);
//! - a relay takes more disk than its budget and a chunk for each client, by the blocks of its data folder or by its own account;
//! - a daemon ends by itself, or does not have the newest head soon after the load has ended;
//! - the load was none: too few bodies came in full, or no disk was ever nearly full.

mod body;
mod clients;
mod content;
mod course;
mod draw;
mod lab;
mod report;
mod trend;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_directoryd::config::Size;
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::off_worker::off_worker;
use url::Url;

use crate::demo::DemoCatalog;
use clients::World;
use content::Published;
use draw::Draw;
use lab::{Lab, NAME, Places};

/// What `odi bench soak` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long the load lasts; half a minute is `0.5`.
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// What chance is drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Directories, each of which every relay joins.
    #[arg(long, default_value_t = 2)]
    pub directories: usize,
    /// Relays; the last one's answers to relays are spoiled, the one before it is killed now and then.
    #[arg(long, default_value_t = 4)]
    pub relays: usize,
    /// Each relay's budget.
    #[arg(long, default_value = "96 MiB")]
    pub disk: String,
    /// Bytes of the catalog.
    #[arg(long, default_value = "160 MB")]
    pub content: String,
    /// Each relay's bandwidth.
    #[arg(long, default_value = "160 Mbit/s")]
    pub bandwidth: String,
    /// Clients at once.
    #[arg(long, default_value_t = 24)]
    pub clients: usize,
    /// Between two heads.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub every: u64,
    /// A folder to work in.
    #[arg(long, default_value = "/tmp")]
    pub work: PathBuf,
    /// Leaves the working folder, with a log of each daemon.
    #[arg(long)]
    pub keep: bool,
}

impl Args {
    fn duration(&self) -> Result<Duration> {
        let lasts = Duration::try_from_secs_f64(self.minutes * 60.0).context("--minutes is no duration")?;
        if lasts < Duration::from_secs(20) || self.relays < 2 || self.directories == 0 || self.clients == 0 {
            bail!("a soak needs 20 seconds, two relays, a directory and a client");
        }
        Ok(lasts)
    }
}

/// Soaks, and prints a table.
///
/// # Errors
/// Whatever must not happen did; all of it is named.
pub async fn run(args: &Args) -> Result<()> {
    let lasts = args.duration()?;
    let folder = tempfile::Builder::new().prefix("odi-bench-soak-").tempdir_in(&args.work)?;
    let folder = if args.keep { folder.keep() } else { folder.path().to_owned() };
    let swept = (!args.keep).then(|| Swept(folder.clone()));
    let published = Arc::new(Published::default());
    let places = Places::find(args)?;
    let mut draw = Draw::new(args.seed, "content");
    let tree = folder.join("origin");
    std::fs::create_dir_all(&tree)?;
    let first = content::first(Size::parse(&args.content)?.0, &mut draw);
    published.add(first.clone());
    let origin = Url::parse(&format!("http://{}/", places.origin))?;
    let begin = off_worker(move || {
        content::write(&tree, &content::State::new(), &first)?;
        DemoCatalog::begin(tree, NAME, &origin)
    });
    let catalog = begin.await?;
    let client = Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() })?;
    let mut lab = Lab::new(args, &folder, &places, &catalog.id, client)?;
    lab.start().await?;
    let urls = |daemons: &[lab::Daemon]| daemons.iter().map(|daemon| daemon.url.clone()).collect();
    let world = World::new(urls(&lab.directories), urls(&lab.relays), NAME, Arc::clone(&published));
    let ended = course::run(args, lasts, &mut lab, Arc::new(world), catalog, draw).await?;
    let mut problems = report::tell(args, &lab, &ended)?;
    problems.extend(tokio::task::block_in_place(|| report::read_back(&mut lab)));
    drop((lab, swept));
    if !problems.is_empty() {
        bail!("{}", problems.join("\n  "));
    }
    Ok(())
}

/// Removes a folder with whatever daemons left in it.
struct Swept(PathBuf);

impl Drop for Swept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
fn say(line: &str) {
    println!("{line}");
}
