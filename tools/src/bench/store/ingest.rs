//! A real tree, taken in with all cores, beside what borg and ostree make of the same tree in the same run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use odi_store::{Disk, IngestBuffer, Ingested, RealDisk, Store, StoreOptions};

use super::clock::{Cost, Whose};
use super::peers::{BORG, OSTREE, Peer};
use super::{Work, report};

/// What was taken in.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) new_bytes: AtomicU64,
}

/// Rounds of ours and each peer, turn by turn; the best of each counts.
pub(super) fn compare(work: &Work, trees: &[PathBuf], rounds: u32, peers: bool) -> Result<()> {
    let peers: &[Peer] = if peers { &[BORG, OSTREE] } else { &[] };
    let (mut ours, mut theirs) = (None, vec![None; peers.len()]);
    for round in 0..rounds {
        let (cost, taken) = take_in(&work.folder("ours")?, trees)?;
        if round == 0 {
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
            let (files, bytes, new) = (count(&taken.files), count(&taken.bytes), count(&taken.new_bytes));
            let figure = format!("{files} files, {:.2} GB, {:.2} GB of it stored", bytes / 1e9, new / 1e9);
            report("tree", &figure, "");
        }
        better(&mut ours, cost);
        for (peer, best) in peers.iter().zip(&mut theirs) {
            match peer.version() {
                Some(_) => better(best, peer.take_in(&work.folder(peer.name)?, trees)?),
                None => report(peer.name, "NOT INSTALLED: nothing to compare with", "install it"),
            }
            work.folder(peer.name)?;
        }
        work.folder("ours")?;
    }
    let Some(ours) = ours else { return Ok(()) };
    report("odi store", &ours.to_string(), "");
    for (peer, best) in peers.iter().zip(theirs) {
        if let Some(best) = best {
            let version = peer.version().unwrap_or_default();
            report(peer.name, &best.to_string(), &version);
            let ratio = |theirs: f64, ours: f64| theirs / ours.max(0.01);
            let wall = ratio(best.wall.as_secs_f64(), ours.wall.as_secs_f64());
            let user = ratio(best.user.as_secs_f64(), ours.user.as_secs_f64());
            let name = format!("{} / odi store", peer.name);
            report(&name, &format!("{wall:.1} x wall, {user:.1} x user CPU"), ">= 4 x each");
        }
    }
    Ok(())
}

fn better(best: &mut Option<Cost>, cost: Cost) {
    if best.is_none_or(|best: Cost| cost.wall < best.wall) {
        *best = Some(cost);
    }
}

fn take_in(folder: &Path, trees: &[PathBuf]) -> Result<(Cost, Taken)> {
    let taken = Taken::default();
    let cost = Cost::of(Whose::Ours, || {
        let store = Store::open(Arc::new(RealDisk), folder, StoreOptions::default())?;
        for tree in trees {
            let mut files = Vec::new();
            walk(tree, &mut files)?;
            ingest(&store, &files, &taken)?;
        }
        drop(store);
        Ok(())
    })?;
    Ok((cost, taken))
}

/// Takes in files with as many threads as there are cores, and waits until all are durable.
pub(super) fn ingest(store: &Store, files: &[PathBuf], taken: &Taken) -> Result<()> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(store, files, &next, taken))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    Ok(store.flush()?)
}

fn work(store: &Store, files: &[PathBuf], next: &AtomicUsize, taken: &Taken) -> Result<()> {
    let mut buffer = IngestBuffer::default();
    while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let size = file.metadata()?.len();
        let (_, ticket) = store
            .ingest_file_nowait(&mut file, size, None, &mut buffer)
            .with_context(|| format!("take in {}", path.display()))?;
        taken.files.fetch_add(1, Ordering::Relaxed);
        taken.bytes.fetch_add(size, Ordering::Relaxed);
        if ticket.ingested() == Ingested::New {
            taken.new_bytes.fetch_add(size, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The plain files below a folder.
pub(super) fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Opens a store on some disk, takes in files, and says what it cost.
pub(super) fn on_disk(disk: Arc<dyn Disk>, folder: &Path, files: &[PathBuf]) -> Result<Cost> {
    Cost::of(Whose::Ours, || {
        let store = Store::open(disk, folder, StoreOptions::default())?;
        ingest(&store, files, &Taken::default())
    })
}
