//! The walk itself: folders wait in one queue, every core lists some of them.
//!
//! A folder reached through links is the folder's real one plus a chain of those above it, by device and inode; a
//! link whose target is in its own chain would never end, and is refused. The depth limit of paths bounds the rest.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use odi_manifest::{ArtifactPath, BLOB_BYTES_MAX};

use super::problem::{Problem, Problems, Why, printable};
use super::stamp::Stamp;

/// Deeper than any path may be: where descent stops even through chains of links.
const DEPTH_MAX: usize = 33;

/// A file that a publish will name.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its path in the catalog.
    pub path: ArtifactPath,
    /// What it looked like when it was found.
    pub stamp: Stamp,
}

/// Lists every file of a tree, sorted by path, with `workers` threads.
///
/// # Errors
/// Every problem at once, so that its owner fixes them in one round.
pub(crate) fn walk(tree: &Path, workers: usize) -> Result<Vec<Found>, Problems> {
    let top = match top_folder(tree) {
        Ok(top) => top,
        Err(error) => return Err(Problems::of(Problem::reading(tree.as_os_str(), error))),
    };
    let walk = Walk { real_tree: top.0, tree: tree.to_path_buf(), queue: Queue::starting_with(top.1) };
    let mut files = Vec::new();
    let mut problems = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(|| walk.work())).collect();
        for thread in threads {
            let (found, refused) = thread.join().expect("a walker does not panic");
            files.extend(found);
            problems.extend(refused);
        }
    });
    Problems::none(problems)?;
    files.sort_unstable_by(|a: &Found, b: &Found| a.path.cmp(&b.path));
    Ok(files)
}

fn top_folder(tree: &Path) -> io::Result<(PathBuf, Folder)> {
    let real = fs::canonicalize(tree)?;
    let metadata = fs::metadata(&real)?;
    let chain = Arc::new(Chain { device: metadata.dev(), inode: metadata.ino(), above: None });
    Ok((real, Folder { path: OsString::new(), depth: 0, chain }))
}

/// The folders above a folder, itself first.
struct Chain {
    device: u64,
    inode: u64,
    above: Option<Arc<Self>>,
}

impl Chain {
    fn holds(&self, metadata: &Metadata) -> bool {
        let mut link = Some(self);
        while let Some(folder) = link {
            if folder.device == metadata.dev() && folder.inode == metadata.ino() {
                return true;
            }
            link = folder.above.as_deref();
        }
        false
    }
}

/// A folder that waits to be listed.
struct Folder {
    /// Relative to the tree; empty for the tree itself.
    path: OsString,
    depth: usize,
    chain: Arc<Chain>,
}

impl Folder {
    fn child_path(&self, name: &OsStr) -> OsString {
        let mut path = OsString::with_capacity(self.path.len() + 1 + name.len());
        if !self.path.is_empty() {
            path.push(&self.path);
            path.push("/");
        }
        path.push(name);
        path
    }
}

struct Walk {
    tree: PathBuf,
    real_tree: PathBuf,
    queue: Queue,
}

#[derive(Default)]
struct Report {
    files: Vec<Found>,
    problems: Vec<Problem>,
}

impl Walk {
    fn work(&self) -> (Vec<Found>, Vec<Problem>) {
        let mut report = Report::default();
        while let Some(folder) = self.queue.take() {
            let below = self.list(&folder, &mut report);
            self.queue.done(below);
        }
        (report.files, report.problems)
    }

    fn list(&self, folder: &Folder, report: &mut Report) -> Vec<Folder> {
        let mut below = Vec::new();
        let entries = match fs::read_dir(self.tree.join(&folder.path)) {
            Ok(entries) => entries,
            Err(error) => {
                report.problems.push(Problem::reading(&folder.path, error));
                return below;
            }
        };
        for entry in entries {
            let visited = match entry {
                Ok(entry) if folder.depth == 0 && entry.file_name() == ".odi" => continue,
                Ok(entry) => self.visit(folder, &entry),
                Err(error) => Err(Problem::reading(&folder.path, error)),
            };
            match visited {
                Ok(Visited::File(found)) => report.files.push(found),
                Ok(Visited::Folder(folder)) => below.push(folder),
                Err(problem) => report.problems.push(problem),
            }
        }
        below
    }

    fn visit(&self, folder: &Folder, entry: &DirEntry) -> Result<Visited, Problem> {
        let path = folder.child_path(&entry.file_name());
        let metadata = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => self.follow(&path)?,
            Ok(_) => entry.metadata().map_err(|error| Problem::reading(&path, error))?,
            Err(error) => return Err(Problem::reading(&path, error)),
        };
        if metadata.is_dir() {
            return self.descend(folder, path, &metadata).map(Visited::Folder);
        }
        file(&path, metadata.file_type(), &metadata).map(Visited::File)
    }

    /// What a link inside the tree leads to.
    fn follow(&self, path: &OsStr) -> Result<Metadata, Problem> {
        let link = self.tree.join(path);
        let says = || fs::read_link(&link).map(|to| printable(to.as_os_str())).unwrap_or_default();
        let target = match fs::canonicalize(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::new(path, Why::Dangling { target: says() }));
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(Problem::new(path, Why::Cycle { target: says() }));
            }
            Err(error) => return Err(Problem::reading(path, error)),
        };
        let inside = target.strip_prefix(&self.real_tree).is_ok_and(|below| !below.starts_with(".odi"));
        if !inside {
            let target = printable(target.as_os_str());
            return Err(Problem::new(path, Why::LeavesTree { target }));
        }
        fs::metadata(&target).map_err(|error| Problem::reading(path, error))
    }

    fn descend(&self, above: &Folder, path: OsString, metadata: &Metadata) -> Result<Folder, Problem> {
        if above.chain.holds(metadata) {
            let target = fs::canonicalize(self.tree.join(&path)).unwrap_or_default();
            let target = printable(target.as_os_str());
            return Err(Problem::new(&path, Why::Cycle { target }));
        }
        let depth = above.depth + 1;
        if depth > DEPTH_MAX {
            // Any file below would break the rule on depth; ask that rule for its words.
            let sample = format!("{}/x", printable(&path));
            let rule = ArtifactPath::parse(&sample).expect_err("deeper than any path may be");
            return Err(Problem::new(&path, Why::Name(rule)));
        }
        let chain =
            Chain { device: metadata.dev(), inode: metadata.ino(), above: Some(Arc::clone(&above.chain)) };
        Ok(Folder { path, depth, chain: Arc::new(chain) })
    }
}

enum Visited {
    File(Found),
    Folder(Folder),
}

fn file(path: &OsStr, kind: FileType, metadata: &Metadata) -> Result<Found, Problem> {
    if !kind.is_file() {
        return Err(Problem::new(path, Why::Special));
    }
    let text = path.to_str().ok_or_else(|| Problem::new(path, Why::NotUtf8))?;
    let parsed = ArtifactPath::parse(text).map_err(|rule| Problem::new(path, Why::Name(rule)))?;
    let stamp = Stamp::of(metadata);
    if stamp.size > BLOB_BYTES_MAX {
        return Err(Problem::new(path, Why::TooLarge { size: stamp.size }));
    }
    Ok(Found { path: parsed, stamp })
}

/// Folders to list, and how many are being listed: the walk is over when both are none.
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

struct QueueState {
    waiting: Vec<Folder>,
    in_hand: usize,
}

impl Queue {
    fn starting_with(folder: Folder) -> Self {
        Self { state: Mutex::new(QueueState { waiting: vec![folder], in_hand: 0 }), changed: Condvar::new() }
    }

    fn take(&self) -> Option<Folder> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(folder) = state.waiting.pop() {
                state.in_hand += 1;
                return Some(folder);
            }
            if state.in_hand == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, below: Vec<Folder>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.extend(below);
        state.in_hand -= 1;
        drop(state);
        self.changed.notify_all();
    }
}
