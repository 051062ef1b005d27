//! A disk that dies at a given verb, and from then on does nothing.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test helper may panic on what it did not expect"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use odi_tools::sign::{RealTreeDisk, TreeDisk};

/// How it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The fatal verb does nothing.
    Before,
    /// The fatal verb is done, and nobody hears of it.
    After,
    /// The fatal verb, if it writes bytes, writes half of them.
    Torn,
    /// As `Before`, and every file that was written and not synced loses its second half.
    PowerCut,
}

/// See the module.
pub(crate) struct MortalDisk {
    death: Death,
    state: Mutex<State>,
}

struct State {
    left: usize,
    died: bool,
    unsynced: BTreeSet<PathBuf>,
}

impl MortalDisk {
    /// Dies at verb number `left`, counted from 0.
    pub(crate) fn new(left: usize, death: Death) -> Self {
        Self { death, state: Mutex::new(State { left, died: false, unsynced: BTreeSet::new() }) }
    }

    /// Whether the fatal verb was reached.
    pub(crate) fn died(&self) -> bool {
        self.state.lock().unwrap().died
    }

    /// What a power cut takes back, if that is how it died.
    pub(crate) fn lose_power(&self) {
        let state = self.state.lock().unwrap();
        if self.death == Death::PowerCut && state.died {
            for path in &state.unsynced {
                if let Ok(bytes) = fs::read(path) {
                    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
                }
            }
        }
    }

    fn verb(&self, act: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.died {
            return Err(io::Error::other("the disk is dead"));
        }
        if state.left == 0 {
            state.died = true;
            if self.death == Death::After {
                act(&mut state)?;
            }
            return Err(io::Error::other("the disk dies"));
        }
        state.left -= 1;
        act(&mut state)
    }
}

impl TreeDisk for MortalDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.verb(|_| RealTreeDisk.make_folder(path))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let result = self.verb(|state| {
            state.unsynced.insert(path.to_path_buf());
            RealTreeDisk.write(path, bytes)
        });
        let state = self.state.lock().unwrap();
        if self.death == Death::Torn && state.died && state.left == 0 && result.is_err() {
            RealTreeDisk.write(path, &bytes[..bytes.len() / 2])?;
        }
        result
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.verb(|state| {
            state.unsynced.remove(path);
            RealTreeDisk.sync(path)
        })
    }

    fn sync_all(&self, folder: &Path) -> io::Result<()> {
        self.verb(|state| {
            state.unsynced.clear();
            RealTreeDisk.sync_all(folder)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.verb(|state| {
            if state.unsynced.remove(from) {
                state.unsynced.insert(to.to_path_buf());
            }
            RealTreeDisk.rename(from, to)
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.verb(|_| RealTreeDisk.link(from, to))
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.verb(|state| {
            state.unsynced.insert(to.to_path_buf());
            RealTreeDisk.copy(from, to)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.verb(|_| RealTreeDisk.remove(path))
    }
}
