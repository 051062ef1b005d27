//! `odi bench store`: taking in a real tree beside borg and ostree, many small files, reopening after `kill -9`, and
//! many kills.
//!
//! Everything is written below `--work`, which should be a tmpfs: a disk that has just deleted many files, or memory
//! that the host has taken back, distort such figures by several times. Ratios within one run are what counts.

mod clock;
mod counting_disk;
mod ingest;
mod kill;
mod peers;
mod reopen;
mod small_files;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What `odi bench store` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A tree to take in, as often as wanted; each is one archive of the peers. Device nodes are not for ostree.
    #[arg(long = "tree", default_values_os_t = [PathBuf::from("/usr/lib/python3"), PathBuf::from("/usr/share")])]
    pub trees: Vec<PathBuf>,
    /// A folder on a tmpfs to work in.
    #[arg(long, default_value = "/dev/shm")]
    pub work: PathBuf,
    /// How often the tree is taken in by each; the best counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Small files to take in; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    pub small_files: u32,
    /// Blobs in the store that is killed and opened again; 0 for none.
    #[arg(long, default_value_t = 1_000_000)]
    pub blobs: u64,
    /// Kills at random points.
    #[arg(long, default_value_t = 200)]
    pub kills: u32,
    /// Leaves borg and ostree out.
    #[arg(long)]
    pub no_peers: bool,
    /// Is the child that gets killed: works on this store and prints what was acknowledged.
    #[arg(long, hide = true, value_name = "DIR")]
    pub kill_child: Option<PathBuf>,
    /// The number of the first blob of the child.
    #[arg(long, hide = true, default_value_t = 0)]
    pub first: u64,
    /// The child takes in this many tiny blobs in bulk before it says so and goes on.
    #[arg(long, hide = true, default_value_t = 0)]
    pub fill: u64,
}

/// Measures and prints one line per figure, with the target where the design names one.
///
/// # Errors
/// The store misbehaves; missed targets are printed, not failed, for they depend on the machine.
pub fn run(args: &Args) -> Result<()> {
    if let Some(folder) = &args.kill_child {
        return kill::child(folder, args.first, args.fill);
    }
    let work = Work::new(&args.work)?;
    if !args.trees.is_empty() && args.rounds > 0 {
        ingest::compare(&work, &args.trees, args.rounds, !args.no_peers)?;
    }
    if args.small_files > 0 {
        small_files::run(&work, args.small_files)?;
    }
    if args.blobs > 0 {
        reopen::run(&work, args.blobs)?;
    }
    if args.kills > 0 {
        kill::run(&work.folder("kills")?, args.kills, &std::env::current_exe()?)?;
    }
    Ok(())
}

/// A folder that goes when the bench ends.
struct Work(tempfile::TempDir);

impl Work {
    fn new(parent: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("odi-bench-store-").tempdir_in(parent);
        Ok(Self(folder.with_context(|| format!("make a folder in {}", parent.display()))?))
    }

    /// An empty folder of this name.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.path().join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }
}

/// Prints one figure, and its target if it has one.
#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
fn report(name: &str, figure: &str, target: &str) {
    println!("{name:<34} {figure:<44} {target}");
}
