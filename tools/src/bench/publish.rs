//! `odi bench publish`: how near hashing a tree comes to what its two hash functions allow, and what publishing a
//! large tree costs when nothing, or little, changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use odi_manifest::{BlobHasher, Clock, SigningKey, SystemClock};

use crate::sign::{
    BoxedSigner, Description, HeadOutcome, HeadState, InitRequest, PublishRequest, RealTreeDisk, Silent,
    init, publish,
};

/// What `odi bench publish` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Files of the tree of small files.
    #[arg(long, default_value_t = 100_000)]
    pub files: u64,
    /// Bytes of the tree of large files, in MiB.
    #[arg(long, default_value_t = 2048)]
    pub large_mib: u64,
    /// Where to make the trees. Default: the system's temporary folder.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Of each measurement the best of so many counts; other work on the machine can only make one worse.
const ROUNDS: usize = 5;
const MIB: usize = 1 << 20;
/// A file of the tree of large files.
const LARGE_FILE_MIB: u64 = 64;
/// What a thread hashes over and over to find what the hash functions allow: it fits into a core's cache.
const IN_MEMORY_BYTES: usize = 256 * 1024;
const DAY: Duration = Duration::from_secs(86_400);

/// Measures and prints one line per figure, with the target where there is one.
///
/// # Errors
/// A publish misbehaves; missed targets are printed, not failed, for they depend on the machine.
pub fn run(args: &Args) -> Result<()> {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .context("make a folder for the trees")?;
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    bench_hashing(&folder.path().join("large"), args.large_mib, workers)?;
    bench_small_files(&folder.path().join("small"), args.files, workers)
}

fn bench_hashing(tree: &Path, large_mib: u64, workers: usize) -> Result<()> {
    let files = large_mib.div_ceil(LARGE_FILE_MIB).max(1);
    make_large_files(tree, files)?;
    let bytes = files * LARGE_FILE_MIB * MIB as u64;
    let catalog = Catalog::begin(tree, workers)?;
    let first = catalog.publish(false)?;
    ensure!(first.1.read_bytes == bytes, "the first publish read {} bytes", first.1.read_bytes);
    let (mut allowed, mut hashing) = (0.0_f64, 0.0_f64);
    // Taking turns, so that both see the same neighbours.
    for _ in 0..ROUNDS {
        allowed = allowed.max(in_memory_rate(workers));
        let (took, outcome) = catalog.publish(true)?;
        ensure!(outcome.read_bytes == bytes, "a rehash read {} bytes", outcome.read_bytes);
        hashing = hashing.max(bytes as f64 / took.as_secs_f64());
    }
    let gb = |rate: f64| rate / 1e9;
    line("BLAKE3 + SHA-256 in memory", &format!("{:.2} GB/s on {workers} cores", gb(allowed)), "");
    line("rehash of a tree of 64 MiB files", &format!("{:.2} GB/s, whole publish", gb(hashing)), "");
    line("share of what the hashes allow", &format!("{:.0} %", 100.0 * hashing / allowed), ">= 80 %");
    Ok(())
}

fn bench_small_files(tree: &Path, count: u64, workers: usize) -> Result<()> {
    make_small_files(tree, count)?;
    let catalog = Catalog::begin(tree, workers)?;
    let (took, outcome) = catalog.publish(false)?;
    ensure!(outcome.entries == count, "{} of {count} files were published", outcome.entries);
    line("first publish", &format!("{:.2} s for {count} files", took.as_secs_f64()), "");
    // Files this young are read once more, because a change within the clock's tick would not show.
    catalog.publish(false)?;
    let unchanged = best(|| {
        let (took, outcome) = catalog.publish(false)?;
        ensure!(outcome.state == HeadState::Unchanged && outcome.read_files == 0, "something changed");
        Ok(took)
    })?;
    line("publish, nothing changed", &format!("{:.3} s", unchanged.as_secs_f64()), "<= 1.5 s at 100 k");
    let mut round = 0;
    let changed = best(|| {
        round += 1;
        for index in 0..10 {
            let path = small_path(tree, index * (count / 10).max(1));
            let new = path.with_extension("new");
            fs::write(&new, format!("round {round} of {index}"))?;
            fs::rename(new, path)?;
        }
        let (took, outcome) = catalog.publish(false)?;
        ensure!(outcome.changed > 0, "nothing changed");
        Ok(took)
    })?;
    line("publish, 10 files changed", &format!("{:.3} s", changed.as_secs_f64()), "");
    Ok(())
}

fn line(what: &str, figure: &str, target: &str) {
    use std::io::Write;
    let target = if target.is_empty() { String::new() } else { format!("  (target {target})") };
    // A closed pipe ends the reader's interest, not the measurement.
    let _unread = writeln!(std::io::stdout(), "{what:<34} {figure}{target}");
}

fn best(mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        best = best.min(measure()?);
    }
    Ok(best)
}

/// Bytes per second of both hash functions over bytes that are in the cache already, on all cores.
fn in_memory_rate(workers: usize) -> f64 {
    let hashed = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let buffer = vec![0x5a; IN_MEMORY_BYTES];
                let mut hasher = BlobHasher::new();
                while began.elapsed() < Duration::from_secs(1) {
                    hasher.update(&buffer);
                }
                hashed.fetch_add(hasher.finalize().size, Ordering::Relaxed);
            });
        }
    });
    hashed.into_inner() as f64 / began.elapsed().as_secs_f64()
}

/// A tree with keys in memory.
struct Catalog<'a> {
    tree: &'a Path,
    cache: PathBuf,
    signers: Vec<BoxedSigner>,
    workers: usize,
}

impl<'a> Catalog<'a> {
    fn begin(tree: &'a Path, workers: usize) -> Result<Self> {
        let key = || SigningKey::from_seed(&[7; 32]);
        let signers: Vec<BoxedSigner> = vec![Box::new(key())];
        let request = InitRequest {
            tree: tree.to_path_buf(),
            name: "bench".to_owned(),
            root_keys: vec![key().public_key()],
            root_threshold: 1,
            release_keys: vec![key().public_key()],
            release_threshold: 1,
            revoke_keys: Vec::new(),
            witnesses: Vec::new(),
            witness_quorum: None,
            expires: 30 * DAY,
            description: Description::default(),
        };
        init(&RealTreeDisk, &request, &signers, SystemClock.now())?;
        Ok(Self { tree, cache: tree.with_extension("cache"), signers, workers })
    }

    fn publish(&self, rehash: bool) -> Result<(Duration, HeadOutcome)> {
        let request = PublishRequest {
            tree: self.tree,
            signers: &self.signers,
            now: SystemClock.now(),
            expires: 30 * DAY,
            renew: false,
            rehash,
            discard_waiting: false,
            directories: &[],
            offline: true,
            keep_replaced: DAY,
            description: &Description::default(),
            steady: false,
            imported: None,
            cache: Some(&self.cache),
            workers: self.workers,
            progress: &Silent,
        };
        let began = Instant::now();
        let outcome = publish(&RealTreeDisk, &request)?;
        Ok((began.elapsed(), outcome))
    }
}

fn make_large_files(tree: &Path, count: u64) -> Result<()> {
    fs::create_dir_all(tree)?;
    for index in 0..count {
        let mut file = fs::File::create(tree.join(format!("{index:04}.iso")))?;
        let block = vec![u8::try_from(index % 251).unwrap_or(0); MIB];
        for _ in 0..LARGE_FILE_MIB {
            std::io::Write::write_all(&mut file, &block)?;
        }
    }
    Ok(())
}

/// A hundred files to a folder, as in a distribution's pool.
fn small_path(tree: &Path, index: u64) -> PathBuf {
    tree.join(format!("pool/{:02x}/package-{:05}/file_{index:07}_all.deb", index / 100 % 256, index / 100))
}

fn make_small_files(tree: &Path, count: u64) -> Result<()> {
    for index in 0..count {
        let path = small_path(tree, index);
        if index.is_multiple_of(100) {
            fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        }
        fs::write(path, format!("contents of file {index}"))?;
    }
    Ok(())
}
