//! What each daemon takes: memory and open files as the kernel counts them, and the disk under its data folder.
//!
//! A daemon that is killed on purpose begins its series of memory and files anew with each life; its disk is watched throughout.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::trend::Series;

/// Bytes of one `st_blocks`.
const BLOCK: u64 = 512;

/// One daemon's figures.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Bytes in memory.
    pub(super) memory: Series,
    /// Open file handles.
    pub(super) files: Series,
    /// Bytes on disk, as allocated.
    pub(super) disk: Series,
    /// Bytes on disk, as the daemon says.
    pub(super) accounted: Series,
}

impl Watch {
    /// Notes what a process takes.
    #[expect(clippy::cast_precision_loss, reason = "figures for a table")]
    pub(super) fn note_process(&mut self, seconds: f64, pid: u32) -> Result<()> {
        self.memory.note(seconds, memory_of(pid)? as f64);
        self.files.note(seconds, files_of(pid)? as f64);
        Ok(())
    }

    /// Forgets a process that is no more.
    pub(super) fn begin_life(&mut self) {
        (self.memory, self.files) = (Series::default(), Series::default());
    }
}

fn memory_of(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| path.clone())?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| path.clone())?;
    Ok(kib << 10)
}

fn files_of(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&path).with_context(|| format!("read {path}"))?.count() as u64)
}

/// Bytes that the disk has set aside for what is in a folder. What vanishes meanwhile takes nothing.
pub(super) fn disk_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { disk_of(&entry.path()) } else { metadata.blocks() * BLOCK })
    });
    sizes.sum()
}
