//! `odi-relayd check`: what would fail, said beforehand and in words, changing nothing that matters.

use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::config::{Config, Size};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// The relay runs, but not as its operator probably means.
    Doubtful,
    /// The relay would not start, or no directory would send anybody to it.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub severity: Severity,
    /// What, in a sentence.
    pub words: String,
}

impl Finding {
    fn new(severity: Severity, words: impl Into<String>) -> Self {
        Self { severity, words: words.into() }
    }

    /// Whether this alone keeps the relay from working.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Fine => "ok     ",
            Severity::Doubtful => "warning",
            Severity::Fatal => "FAILS  ",
        };
        write!(f, "{mark}  {}", self.words)
    }
}

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_dir(&config.data_dir), disk(config)];
    findings.extend(config.listen.iter().map(|address| match TcpListener::bind(address) {
        Ok(_) => Finding::new(Severity::Fine, format!("{address} can be listened on.")),
        Err(error) => Finding::new(Severity::Fatal, format!("{address} cannot be listened on: {error}.")),
    }));
    findings.extend(config.public_urls.iter().map(|url| {
        let words =
            format!("{url} must lead here from outside; the directory will try it when the relay registers.");
        Finding::new(if url.is_https() { Severity::Fine } else { Severity::Doubtful }, words)
    }));
    findings
}

fn data_dir(path: &Path) -> Finding {
    let existing = nearest_existing(path);
    match tempfile_in(&existing) {
        Ok(()) => Finding::new(Severity::Fine, format!("{} can be written to.", existing.display())),
        Err(error) => {
            Finding::new(Severity::Fatal, format!("{} cannot be written to: {error}.", existing.display()))
        }
    }
}

/// The folder itself, or the nearest one above it that is there; it is made on the first start.
fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or_else(|| Path::new(".")).to_owned()
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".odi-relayd-check-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

/// Whether the promised disk exists: what is free, and what the store already takes.
fn disk(config: &Config) -> Finding {
    let folder = nearest_existing(&config.data_dir);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::new(Severity::Doubtful, format!("the free space cannot be told: {error}."));
        }
    };
    let available = free.saturating_add(folder_bytes(&config.data_dir));
    if available >= config.disk.0 {
        Finding::new(Severity::Fine, format!("{} of disk are there ({} free).", config.disk, Size(free)))
    } else {
        let words = format!(
            "disk = {} is more than there is: {} for this relay, {} free. It would stop filling when the disk is full.",
            config.disk,
            Size(available),
            Size(free)
        );
        Finding::new(Severity::Fatal, words)
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
