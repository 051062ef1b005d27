//! The data folder: whether it can be written, how fast bytes get onto its disk for good, and whether the promised space is there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odi_store::RealDisk;

use super::DiskNeed;
use crate::config::Size;
use crate::finding::{Finding, Severity};

/// What is written to see how fast that goes: so much at once, before it is made durable,
const PIECE_BYTES: usize = 4 << 20;
/// and so often,
const PIECES: u32 = 4;
/// unless it has taken so long.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// A disk that takes fewer bytes a second holds everything up.
const SLOW: Size = Size(10_000_000);
/// On one that takes fewer than this, nothing is ever finished.
const HOPELESS: Size = Size(1_000_000);

/// Whether a daemon has the data folder open. One whose lock cannot be looked at is said to be free, and its folder cannot be
/// written either.
pub(super) fn is_in_use(data_dir: &Path) -> bool {
    odi_store::is_in_use(&RealDisk, &data_dir.join("store")).unwrap_or(false)
}

/// Everything about the folder. Blocking.
pub(super) fn findings(data_dir: &Path, kind: &str, runs: bool, need: DiskNeed) -> Vec<Finding> {
    let folder = nearest_existing(data_dir);
    let mut findings = Vec::new();
    if runs {
        let words = format!("a {kind} runs on {}: what it holds open is its own.", data_dir.display());
        findings.push(Finding::new(Severity::Fine, words));
    }
    if data_dir.exists() && !data_dir.is_dir() {
        let words = format!("{} is no folder.", data_dir.display());
        findings.push(Finding::new(Severity::Fatal, words));
        return findings;
    }
    findings.push(match write(&folder) {
        Ok((bytes, took)) => of_speed(&folder, bytes, took),
        Err(error) => {
            let words = format!("{} cannot be written to: {error}.", folder.display());
            Finding::new(Severity::Fatal, words)
        }
    });
    findings.push(match free(&folder) {
        Ok(free) => of_space(need, Size(free), Size(bytes_below(data_dir))),
        Err(error) => Finding::new(Severity::Doubtful, format!("the free space cannot be told: {error}.")),
    });
    findings
}

/// The folder itself, or the nearest one above it that is there; it is made on the first start.
fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or_else(|| Path::new(".")).to_owned()
}

/// Writes a little, durably; how much that was, and how long it took. The file has no name any more when it is written,
/// so that nothing stays however this ends.
fn write(folder: &Path) -> io::Result<(u64, Duration)> {
    let path = folder.join(format!(".odi-check-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    let mut piece = vec![0; PIECE_BYTES];
    let began = Instant::now();
    let mut written = 0;
    for round in 0..PIECES {
        // A disk that compresses must not find anything to gain.
        blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof().fill(&mut piece);
        file.write_all(&piece)?;
        file.sync_data()?;
        written += PIECE_BYTES as u64;
        if began.elapsed() >= LONG_ENOUGH {
            break;
        }
    }
    Ok((written, began.elapsed()))
}

fn of_speed(folder: &Path, bytes: u64, took: Duration) -> Finding {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let speed = Size(bytes.saturating_mul(1000) / millis);
    let folder = folder.display();
    match speed {
        speed if speed >= SLOW => {
            let words =
                format!("{folder} can be written to, {speed}/s durably (at least {SLOW}/s are wanted).");
            Finding::new(Severity::Fine, words)
        }
        speed if speed >= HOPELESS => {
            let words = format!(
                "the disk of {folder} is slow: {speed}/s durably, less than {SLOW}/s. Whatever comes in waits for it."
            );
            Finding::new(Severity::Doubtful, words)
        }
        speed => {
            let words =
                format!("the disk of {folder} is too slow: {speed}/s durably, less than {HOPELESS}/s.");
            Finding::new(Severity::Fatal, words)
        }
    }
}

fn free(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the promised disk exists: what is free, and what the daemon already takes.
fn of_space(need: DiskNeed, free: Size, taken: Size) -> Finding {
    let DiskNeed { key, wanted, short } = need;
    let available = Size(free.0.saturating_add(taken.0));
    if available >= wanted {
        return Finding::new(Severity::Fine, format!("{key} = {wanted} is there ({free} free)."));
    }
    let words = format!(
        "{key} = {wanted} is more than there is: {available}, {free} of it free. Nothing more would be taken when that is full."
    );
    Finding::new(short, words)
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_as_fast_as_the_words_say() {
        let of = |bytes, millis| of_speed(Path::new("/data"), bytes, Duration::from_millis(millis));
        let words =
            [of(16 << 20, 100), of(8 << 20, 2000), of(4 << 20, 6000), of(1, 0)].map(|f| f.to_string());
        insta::assert_snapshot!(words.join("\n"), @r#"
ok       /data can be written to, 167.7 MB/s durably (at least 10.0 MB/s are wanted).
warning  the disk of /data is slow: 4.1 MB/s durably, less than 10.0 MB/s. Whatever comes in waits for it.
FAILS    the disk of /data is too slow: 699.0 kB/s durably, less than 1.0 MB/s.
FAILS    the disk of /data is too slow: 1.0 kB/s durably, less than 1.0 MB/s.
"#);
    }

    #[test]
    fn space_is_what_is_free_and_what_is_taken_already() {
        let need = DiskNeed { key: "disk", wanted: Size(100), short: Severity::Fatal };
        let of = |free, taken| of_space(need, Size(free), Size(taken)).to_string();
        insta::assert_snapshot!([of(100, 0), of(40, 60), of(40, 59)].join("\n"), @r#"
ok       disk = 100 B is there (100 B free).
ok       disk = 100 B is there (40 B free).
FAILS    disk = 100 B is more than there is: 99 B, 40 B of it free. Nothing more would be taken when that is full.
"#);
    }

    #[test]
    fn what_is_written_to_measure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, took) = write(folder.path()).unwrap();
        assert!(bytes >= PIECE_BYTES as u64 && !took.is_zero());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
