//! A disk in memory that fails at its nth change and then, like a machine without power, does nothing at all.
//!
//! It keeps two states: what a reader sees, and what survives. `sync` moves a file's bytes, and `sync_dir` a folder's
//! names, from one to the other.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use odi_store::{Disk, DiskFile, OpenMode};

/// What happens to the change at which the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen.
    Failed,
    /// It happens, reaches the platter, and is reported as failed.
    FailedButPersisted,
    /// Half of its bytes reach the platter (a rename or a removal: as `Failed`).
    Torn,
}

#[derive(Clone, Debug, Default)]
struct Bytes {
    seen: Vec<u8>,
    survives: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Bytes>,
    names: BTreeMap<PathBuf, usize>,
    surviving_names: BTreeMap<PathBuf, usize>,
    /// Changes until the fault; `None` for a sound disk.
    fault: Option<(u64, Fault)>,
    changes: u64,
    is_dead: bool,
}

#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Arc<Mutex<State>>);

impl CrashDisk {
    /// Counts changes from here on, and fails at the given one (from 0).
    pub fn fail_at(&self, change: u64, fault: Fault) {
        let mut state = self.state();
        state.changes = 0;
        state.fault = Some((change, fault));
    }

    /// Whether the fault has struck.
    pub fn has_crashed(&self) -> bool {
        self.state().is_dead
    }

    /// The machine comes back. What was not synced is gone, or, if `lucky`, was written all the same.
    pub fn restart(&self, lucky: bool) {
        let mut state = self.state();
        state.is_dead = false;
        state.fault = None;
        if lucky {
            state.surviving_names = state.names.clone();
        } else {
            state.names = state.surviving_names.clone();
        }
        for file in &mut state.files {
            if lucky { file.survives = file.seen.clone() } else { file.seen = file.survives.clone() }
        }
    }

    /// Flips a bit of a file, as rot does.
    pub fn rot(&self, file_name: &str) {
        let mut state = self.state();
        let id = *state.names.iter().find(|(path, _)| path.ends_with(file_name)).unwrap().1;
        let file = &mut state.files[id];
        let middle = file.seen.len() / 2;
        file.seen[middle] ^= 4;
        file.survives[middle] ^= 4;
    }

    /// The names that a reader sees, without folders.
    pub fn file_names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        self.state().names.keys().map(name).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts a change. `Ok(None)`: make it. `Ok(Some(fault))`: make it so, then fail.
    fn change(state: &mut State) -> io::Result<Option<Fault>> {
        if state.is_dead {
            return Err(io::Error::other("the machine has no power"));
        }
        let now = state.changes;
        state.changes += 1;
        match state.fault {
            Some((at, fault)) if at == now => {
                state.is_dead = true;
                if fault == Fault::Failed { Err(io::Error::other("failed")) } else { Ok(Some(fault)) }
            }
            _ => Ok(None),
        }
    }
}

fn done(fault: Option<Fault>) -> io::Result<()> {
    fault.map_or(Ok(()), |_| Err(io::Error::other("failed, or so it says")))
}

impl Disk for CrashDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let known = state.names.get(path).copied();
        let id = match (known, mode) {
            (Some(id), OpenMode::Existing | OpenMode::Create) => id,
            (Some(_), OpenMode::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let fault = Self::change(&mut state)?;
                state.files.push(Bytes::default());
                let id = state.files.len() - 1;
                state.names.insert(path.to_owned(), id);
                done(fault)?;
                id
            }
        };
        Ok(Box::new(CrashFile { disk: self.clone(), id }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_dir(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = Self::change(&mut state)?;
        if fault == Some(Fault::Torn) {
            return done(fault);
        }
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        if fault.is_some() {
            state.surviving_names.remove(from);
            state.surviving_names.insert(to.to_owned(), id);
        }
        done(fault)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = Self::change(&mut state)?;
        if fault != Some(Fault::Torn) {
            state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        }
        done(fault)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = Self::change(&mut state)?;
        if fault != Some(Fault::Torn) {
            let State { names, surviving_names, .. } = &mut *state;
            surviving_names.retain(|path, _| path.parent() != Some(folder));
            let inside = names.iter().filter(|(path, _)| path.parent() == Some(folder));
            surviving_names.extend(inside.map(|(path, id)| (path.clone(), *id)));
        }
        done(fault)
    }
}

#[derive(Debug)]
struct CrashFile {
    disk: CrashDisk,
    id: usize,
}

impl DiskFile for CrashFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.id].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let seen = &state.files[self.id].seen;
        let start = usize::try_from(offset).unwrap().min(seen.len());
        let length = into.len().min(seen.len() - start);
        into[..length].copy_from_slice(&seen[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = CrashDisk::change(&mut state)?;
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if fault == Some(Fault::Torn) {
            bytes.truncate(bytes.len() / 2);
        }
        let start = usize::try_from(offset).unwrap();
        let file = &mut state.files[self.id];
        file.seen.resize(file.seen.len().max(start + bytes.len()), 0);
        file.seen[start..start + bytes.len()].copy_from_slice(&bytes);
        if fault.is_some() {
            file.survives = file.seen.clone();
        }
        done(fault)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = CrashDisk::change(&mut state)?;
        state.files[self.id].seen.resize(usize::try_from(size).unwrap(), 0);
        done(fault)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = CrashDisk::change(&mut state)?;
        let file = &mut state.files[self.id];
        let length = if fault == Some(Fault::Torn) { file.seen.len() / 2 } else { file.seen.len() };
        file.survives = file.seen[..length].to_vec();
        done(fault)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
