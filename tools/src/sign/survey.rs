//! What the tree holds now: every file with its hashes, reading only what the cache cannot vouch for.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use odi_manifest::{ArtifactPath, BlobId, CHUNK_BYTES, ChunkList, Entry, Sha256, chunk_count};

use super::hashing::{Hashed, hash_files};
use super::odi_folder::OdiFolder;
use super::progress::Progress;
use super::scan::{Found, Problem, Problems, Stamp, Why, walk};
use super::scan_cache::{Known, ScanCache, ScanCacheWriter};
use super::tree_disk::DiskError;

/// A file of the tree and what it holds.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) path: ArtifactPath,
    pub(crate) stamp: Stamp,
    pub(crate) blob: BlobId,
    pub(crate) sha256: Sha256,
    /// Of a blob over 256 KiB that was read in this run; otherwise the list lies under `.odi/chunks/` already.
    pub(crate) chunks: Option<ChunkList>,
    /// Whether it is not in the tree at all.
    pub(crate) elsewhere: bool,
    /// Whether the stamp vouches for the hashes next time.
    settled: bool,
}

impl Surveyed {
    /// An artifact that is not in the tree.
    pub(crate) fn elsewhere(path: ArtifactPath, entry: &Entry) -> Self {
        let (size, blob, sha256) = (entry.size, entry.blob, entry.sha256);
        let stamp = Stamp::made_up(size, entry.mtime);
        Self { path, stamp, blob, sha256, chunks: None, elsewhere: true, settled: false }
    }
}

/// Everything that a publish needs to know of the tree.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Every file, ascending by path.
    pub(crate) files: Vec<Surveyed>,
    /// How many of them were read.
    pub(crate) read_files: u64,
    /// How many bytes those had.
    pub(crate) read_bytes: u64,
}

/// How to survey.
pub(crate) struct SurveyOptions<'a> {
    /// What earlier runs learnt.
    pub(crate) cache: &'a ScanCache,
    /// The file system's own time before anything was read, nanoseconds since 1970.
    pub(crate) now_ns: i64,
    /// How many threads list and hash.
    pub(crate) workers: usize,
    /// Told how far it is.
    pub(crate) progress: &'a dyn Progress,
}

/// Lists the tree and hashes what the cache does not know.
pub(crate) fn survey(odi: &OdiFolder, options: &SurveyOptions<'_>) -> Result<Survey, Problems> {
    let found = walk(odi.tree(), options.workers)?;
    let known = recall(odi, &found, options.cache);
    let unknown: Vec<(&OsStr, u64)> = found
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(file, _)| (OsStr::new(file.path.as_str()), file.stamp.size))
        .collect();
    let read_files = unknown.len() as u64;
    let read_bytes = unknown.iter().map(|(_, size)| size).sum();
    options.progress.begin(read_files, read_bytes);
    let hashed = hash_files(odi.tree(), &unknown, options.workers, &|bytes| options.progress.advance(bytes));
    options.progress.end();
    let files = join(found, known, hashed, options.now_ns)?;
    Ok(Survey { files, read_files, read_bytes })
}

/// What the cache vouches for, one answer per file.
fn recall(odi: &OdiFolder, found: &[Found], cache: &ScanCache) -> Vec<Option<Known>> {
    let mut records = cache.records().peekable();
    let recalled = found.iter().map(|file| {
        let path = file.path.as_str();
        while records.next_if(|(cached, _)| *cached < path).is_some() {}
        let (_, known) = records.next_if(|(cached, _)| *cached == path)?;
        let vouches = known.stamp == file.stamp && has_chunks(odi, &known.blob, known.stamp.size);
        vouches.then_some(known)
    });
    recalled.collect()
}

/// A chunk list is written once; a blob whose list is missing is read again.
pub(crate) fn has_chunks(odi: &OdiFolder, blob: &BlobId, size: u64) -> bool {
    size <= CHUNK_BYTES
        || fs::metadata(odi.chunks(blob))
            .is_ok_and(|metadata| metadata.len() == u64::from(chunk_count(size)) * 32)
}

fn join(
    found: Vec<Found>,
    known: Vec<Option<Known>>,
    hashed: Vec<Result<Hashed, Problem>>,
    now_ns: i64,
) -> Result<Vec<Surveyed>, Problems> {
    let mut problems = Vec::new();
    let mut hashed = hashed.into_iter();
    let mut files = Vec::with_capacity(found.len());
    for (file, known) in found.into_iter().zip(known) {
        let surveyed = match known {
            Some(Known { stamp, blob, sha256 }) => Surveyed {
                path: file.path,
                stamp,
                blob,
                sha256,
                chunks: None,
                elsewhere: false,
                settled: true,
            },
            None => match hashed.next().expect("every file that the cache did not know was hashed") {
                Ok(Hashed { stamp, blob }) => Surveyed {
                    path: file.path,
                    stamp,
                    blob: blob.blob,
                    sha256: blob.sha256,
                    chunks: blob.chunks,
                    elsewhere: false,
                    settled: stamp.settled(now_ns),
                },
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            },
        };
        files.push(surveyed);
    }
    Problems::none(problems).map(|()| files)
}

impl Survey {
    /// Takes in artifacts that are not in the tree. One that is has two meanings, and is refused.
    pub(crate) fn join(&mut self, artifacts: &[(ArtifactPath, Entry)]) -> Result<(), Problems> {
        let here = |path| self.files.binary_search_by(|file| file.path.cmp(path)).is_ok();
        let twice = artifacts.iter().filter(|(path, _)| here(path));
        let problem = |path: &ArtifactPath| Problem::new(OsStr::new(path.as_str()), Why::AlsoInTree);
        Problems::none(twice.map(|(path, _)| problem(path)).collect())?;
        self.files.extend(artifacts.iter().map(|(path, entry)| Surveyed::elsewhere(path.clone(), entry)));
        self.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Whether a second list of the tree is the same: a job that began while files were read shows.
    pub(crate) fn stood_still(&self, odi: &OdiFolder, workers: usize) -> Result<(), Problems> {
        let mut now = walk(odi.tree(), workers)?.into_iter().peekable();
        let mut problems = Vec::new();
        let mut problem =
            |path: &ArtifactPath, why| problems.push(Problem::new(OsStr::new(path.as_str()), why));
        for file in &self.files {
            while let Some(new) = now.next_if(|found| found.path < file.path) {
                problem(&new.path, Why::Appeared);
            }
            match now.next_if(|found| found.path == file.path) {
                Some(found) if found.stamp == file.stamp => {}
                Some(_) => problem(&file.path, Why::Changed),
                None => problem(&file.path, Why::Vanished),
            }
        }
        now.for_each(|new| problem(&new.path, Why::Appeared));
        Problems::none(problems)
    }

    /// Remembers what was learnt. A failure costs the next run some reading and nothing else.
    pub(crate) fn remember(&self, cache_file: &Path) -> Result<(), DiskError> {
        let mut writer = ScanCacheWriter::default();
        for file in self.files.iter().filter(|file| file.settled) {
            let known = Known { stamp: file.stamp, blob: file.blob, sha256: file.sha256 };
            writer.push(file.path.as_str(), &known);
        }
        writer.write(cache_file)
    }
}
