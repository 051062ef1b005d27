//! BLAKE3, chunk lists and SHA-256 of many files, one read each, on all cores.
//!
//! Workers take files from one list, the largest first, so that no big file starts last and alone. Each reuses one
//! buffer that stays in its core's cache between the read and the two hashes. One file is
//! one worker's, however large: SHA-256 cannot be split.
//!
//! A file is compared with its own metadata before and after; one that differs is a [`Problem`], never a guess.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use odi_manifest::{BLOB_BYTES_MAX, BlobHasher, HashedBlob};

use super::scan::{Problem, Stamp, Why};

/// One read. A multiple of the chunk size, and small beside a core's L2 cache.
const READ_BYTES: usize = 256 * 1024;

/// A file's hashes, and what it looked like while they were made.
#[derive(Debug)]
pub(super) struct Hashed {
    /// Stamp before and after the read.
    pub stamp: Stamp,
    /// BLAKE3, SHA-256, size and chunk list.
    pub blob: HashedBlob,
}

/// Told how many bytes were hashed since the last call, from any thread.
pub(super) type OnBytes<'a> = dyn Fn(u64) + Sync + 'a;

/// Hashes the files at these paths relative to `tree`; the answers are in the same order.
///
/// `sizes_hint` only decides who starts first.
pub(super) fn hash_files<P: AsRef<OsStr> + Sync>(
    tree: &Path,
    files: &[(P, u64)],
    workers: usize,
    on_bytes: &OnBytes<'_>,
) -> Vec<Result<Hashed, Problem>> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_unstable_by_key(|index| std::cmp::Reverse(files.get(*index).map(|(_, size)| *size)));
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, Result<Hashed, Problem>)> = Vec::with_capacity(files.len());
    thread::scope(|scope| {
        let work = || {
            let mut buffer = vec![0; READ_BYTES];
            let mut mine = Vec::new();
            while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some((path, _)) = files.get(*index) else { break };
                mine.push((*index, hash_file(tree, path.as_ref(), &mut buffer, on_bytes)));
            }
            mine
        };
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            done.extend(thread.join().expect("a hashing thread does not panic"));
        }
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn hash_file(
    tree: &Path,
    path: &OsStr,
    buffer: &mut [u8],
    on_bytes: &OnBytes<'_>,
) -> Result<Hashed, Problem> {
    let failed = |error: io::Error| Problem::reading(path, error);
    let mut file = File::open(tree.join(path)).map_err(failed)?;
    let before = Stamp::of(&file.metadata().map_err(failed)?);
    if before.size > BLOB_BYTES_MAX {
        return Err(Problem::new(path, Why::TooLarge { size: before.size }));
    }
    let blob = hash_reader(&mut file, before.size, buffer, on_bytes).map_err(failed)?;
    // The name is looked up again too: a file renamed over this one means that the tree changed under us.
    let after = std::fs::metadata(tree.join(path)).map_err(failed)?;
    match blob {
        Some(blob) if blob.size == before.size && Stamp::of(&after) == before => {
            Ok(Hashed { stamp: before, blob })
        }
        _ => Err(Problem::new(path, Why::Changed)),
    }
}

/// `None` if the file turns out longer than it said.
fn hash_reader(
    file: &mut File,
    size: u64,
    buffer: &mut [u8],
    on_bytes: &OnBytes<'_>,
) -> io::Result<Option<HashedBlob>> {
    let mut hasher = BlobHasher::new();
    let mut seen = 0_u64;
    loop {
        let count = match file.read(buffer) {
            Ok(0) => return Ok(Some(hasher.finalize())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        seen += count as u64;
        if seen > size {
            return Ok(None);
        }
        hasher.update(buffer.get(..count).expect("a read fills no more than its buffer"));
        on_bytes(count as u64);
    }
}
