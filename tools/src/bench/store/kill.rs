//! Kills at random points: a child works on a store and prints what was acknowledged; its parent kills it, opens the
//! store and compares.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use odi_manifest::{BlobId, ChunkListBuilder};
use odi_store::{RealDisk, Store, StoreOptions};

use super::report;

/// Numbers of one child's blobs.
const PER_CHILD: u64 = 1 << 20;
/// Of so many blobs one is larger than a chunk and comes in pieces, and one is purged again.
const LARGE_EVERY: u64 = 23;
const PURGED_EVERY: u64 = 31;
const CHUNK: usize = 256 << 10;

/// The bytes of a blob by its number: anybody can make them again.
pub(super) fn content(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A blob of 64 bytes by its number.
pub(super) fn tiny(number: u64) -> (BlobId, Vec<u8>) {
    let bytes = content(1 << 50 | number, 64);
    (BlobId::of(&bytes), bytes)
}

fn numbered(number: u64) -> (BlobId, Vec<u8>) {
    let large = number.is_multiple_of(LARGE_EVERY);
    let size = if large { 400_000 + 100_000 * (number % 7) } else { 1 + number % 9000 };
    let bytes = content(number, usize::try_from(size).unwrap_or(1));
    (BlobId::of(&bytes), bytes)
}

fn options() -> StoreOptions {
    // Small packs, so that kills meet new packs and compaction too.
    StoreOptions {
        pack_bytes: 8 << 20,
        commit_interval: Duration::from_millis(20),
        ..StoreOptions::default()
    }
}

fn open(folder: &Path) -> Result<Store> {
    Ok(Store::open(Arc::new(RealDisk), folder, options())?)
}

/// Works until it is killed.
pub(super) fn child(folder: &Path, first: u64, fill: u64) -> Result<()> {
    let store = open(folder)?;
    for number in 0..fill {
        let (blob, bytes) = tiny(number);
        drop(store.ingest_nowait(&blob, &bytes)?);
    }
    store.flush()?;
    say("filled")?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    (first..).filter(|n| n % 2 == thread).try_for_each(|number| step(store, number))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })
}

fn step(store: &Store, number: u64) -> Result<()> {
    let (blob, bytes) = numbered(number);
    if number.is_multiple_of(LARGE_EVERY) {
        in_pieces(store, &blob, &bytes)?;
    } else {
        store.ingest(&blob, &bytes)?;
    }
    say(&format!("has {number}"))?;
    if number.is_multiple_of(PURGED_EVERY) {
        say(&format!("kills {number}"))?;
        store.purge(&blob)?;
        say(&format!("dead {number}"))?;
    }
    if number.is_multiple_of(PURGED_EVERY * 4) {
        store.compact()?;
    }
    Ok(())
}

/// As if it came from others: list first, last chunk first.
fn in_pieces(store: &Store, blob: &BlobId, bytes: &[u8]) -> Result<()> {
    let mut builder = ChunkListBuilder::new();
    bytes.chunks(CHUNK).for_each(|chunk| builder.push(chunk));
    let partial = store.begin(blob, bytes.len() as u64)?;
    partial.set_list(builder.finish().context("more than one chunk")?)?;
    for (index, chunk) in (0..).zip(bytes.chunks(CHUNK)).collect::<Vec<_>>().into_iter().rev() {
        partial.put_chunk(index, chunk)?;
    }
    ensure!(partial.is_complete(), "every chunk was put");
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}

/// What children have said.
#[derive(Default)]
struct Said {
    has: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    /// A purge had begun when the child was killed.
    doubtful: BTreeSet<u64>,
}

impl Said {
    fn hear(&mut self, line: &str) -> Result<()> {
        match line.split_once(' ') {
            Some(("has", number)) => _ = self.has.insert(number.parse()?),
            Some(("kills", number)) => {
                let number = number.parse()?;
                self.has.remove(&number);
                self.doubtful.insert(number);
            }
            Some(("dead", number)) => _ = self.dead.insert(number.parse()?),
            _ if line == "filled" => {}
            _ => bail!("the child said `{line}`"),
        }
        Ok(())
    }
}

/// Kills `kills` children of `odi` at random points and checks the store after each.
///
/// # Errors
/// An acknowledged blob is lost, a purged one is back, or a wrong byte was served.
pub(super) fn run(folder: &Path, kills: u32, odi: &Path) -> Result<()> {
    let mut all = Said::default();
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let first = u64::from(round) * PER_CHILD;
        let said = one_kill(folder, first, odi, Duration::from_millis(u64::from(round) * 37 % 97))?;
        let start = std::time::Instant::now();
        let store = open(folder)?;
        slowest = slowest.max(start.elapsed());
        check(&store, &said)?;
        // What was not acknowledged may be there, but then it is right.
        let last = said.has.last().copied().unwrap_or(first);
        for number in last..last + 8 {
            let (blob, bytes) = numbered(number);
            if store.contains(&blob) {
                served(&store, &blob, &bytes)?;
            }
        }
        all.has.extend(said.has);
        all.dead.extend(said.dead);
    }
    let store = open(folder)?;
    check(&store, &all)?;
    let figure = format!(
        "{} blobs acknowledged, {} purged, slowest open {slowest:.0?}",
        all.has.len(),
        all.dead.len()
    );
    report(&format!("{kills} kills"), &figure, "none lost, none wrong");
    Ok(())
}

fn one_kill(folder: &Path, first: u64, odi: &Path, after: Duration) -> Result<Said> {
    let mut child = Command::new(odi)
        .args(["bench", "store", "--kill-child"])
        .arg(folder)
        .args(["--first", &first.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("start the child that gets killed")?;
    let mut lines = BufReader::new(child.stdout.take().context("hear the child")?);
    let mut said = Said::default();
    let mut line = String::new();
    ensure!(lines.read_line(&mut line)? > 0, "the child ended by itself");
    std::thread::sleep(after);
    child.kill()?;
    child.wait()?;
    line.clear();
    // A last line without its end was not said.
    while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
        said.hear(line.trim_end())?;
        line.clear();
    }
    Ok(said)
}

fn check(store: &Store, said: &Said) -> Result<()> {
    for number in &said.has {
        let (blob, bytes) = numbered(*number);
        ensure!(store.contains(&blob), "blob {number} was acknowledged and is lost");
        served(store, &blob, &bytes)?;
    }
    for number in &said.dead {
        ensure!(!store.contains(&numbered(*number).0), "blob {number} was purged and is back");
    }
    ensure!(store.take_events().is_empty(), "chunks are damaged");
    Ok(())
}

fn served(store: &Store, blob: &BlobId, bytes: &[u8]) -> Result<()> {
    let reader = store.open_blob(blob)?.context("it was here a moment ago")?;
    let mut rest = bytes;
    for chunk in 0..reader.chunk_count() {
        let served = reader.chunk(chunk)?;
        rest = rest.strip_prefix(&*served).context("a wrong byte was served")?;
    }
    ensure!(rest.is_empty(), "the blob is short");
    Ok(())
}
