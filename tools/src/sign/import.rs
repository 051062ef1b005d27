//! `odi-sign import`: publishing what somebody else puts there (docs/import.md).
//!
//! Two ways. *Lists* name artifacts that stay where they are, with checksums ([`elsewhere`]).
//! A *folder* that a job fills is published once it is quiet: once, or again and again ([`watch`]). What can be known to be unfinished is
//! never published: temporaries of rsync, a tree that changed since the last look or while it was read, a job that has not
//! touched its marker. The decision is pure ([`course`]); looks, signals and words are around it.

mod course;
mod elsewhere;
mod known;
mod list;
mod look;
mod marker;
mod rules;
mod watch;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::outcome::HeadOutcome;
use look::Look;
use marker::Marker;

pub use elsewhere::Imported;
pub(super) use elsewhere::{Lists, prepare};
pub use list::ListFault;
pub(super) use watch::watch;

/// A folder that is filled, and when it counts as done.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    /// The tree.
    pub(super) tree: &'a Path,
    /// How long it must have been quiet.
    pub(super) settle: Duration,
    /// What the job touches last.
    pub(super) marker: Option<&'a Path>,
    /// How many threads look at it.
    pub(super) workers: usize,
}

/// Publishes the tree as it is now.
pub(super) type Publish<'a> = dyn Fn() -> Result<HeadOutcome, Failure> + 'a;

/// On standard error, beside the outcomes on standard output.
fn say(words: &str) {
    // Nobody is left to tell if even this cannot be written.
    let _unheard = writeln!(io::stderr(), "odi-sign: {words}");
}

/// What came of importing once.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ImportOutcome {
    /// A head, or none because nothing changed.
    Head(Box<HeadOutcome>),
    /// The job has not said that it is done.
    Untouched {
        /// "untouched".
        state: &'static str,
        /// What it would touch.
        marker: PathBuf,
    },
}

impl fmt::Display for ImportOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(outcome) => write!(f, "{outcome}"),
            Self::Untouched { marker, .. } => {
                write!(f, "{} was not touched since the last import; nothing to do.", marker.display())
            }
        }
    }
}

/// Publishes once, if the job is done and the tree is quiet.
pub(super) fn once(filled: &Filled<'_>, publish: &Publish<'_>) -> Result<ImportOutcome, Failure> {
    let marker = filled.marker.map(|file| Marker::of(filled.tree, file));
    let touched = match &marker {
        None => None,
        Some(marker) => match marker.touched()? {
            Some(stamp) => Some(stamp),
            None => {
                let marker = marker.file().to_path_buf();
                return Ok(ImportOutcome::Untouched { state: "untouched", marker });
            }
        },
    };
    let busy = |why: String| Failure::BeingFilled { tree: filled.tree.to_path_buf(), why };
    let before = Look::take(filled.tree, filled.workers);
    if let Some(file) = before.unfinished {
        return Err(busy(format!("{file} is not finished")));
    }
    if !filled.settle.is_zero() {
        thread::sleep(filled.settle);
        let after = Look::take(filled.tree, filled.workers);
        if after.print != before.print {
            return Err(busy(format!("it changed within {} s", filled.settle.as_secs())));
        }
    }
    let outcome = publish()?;
    if let (Some(marker), Some(stamp)) = (&marker, touched) {
        marker.heeded(&stamp)?;
    }
    Ok(ImportOutcome::Head(Box::new(outcome)))
}
