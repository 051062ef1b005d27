//! Why a tree cannot be published as it is. Each problem names its file, in words for its owner.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

use odi_manifest::PathError;
use odi_wire::catalog_settings::SettingsError;

/// How many problems a message spells out; the rest are counted.
const SHOWN_MAX: usize = 25;

/// One file or folder that stands in the way of a publish.
#[derive(Debug)]
pub struct Problem {
    /// Where, relative to the tree, with `/`; what is no printable UTF-8 is escaped.
    pub path: String,
    /// What is wrong there.
    pub why: Why,
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// A list says that it lies elsewhere, and it is a file of the tree too.
    AlsoInTree,
    /// It came while the tree was being read.
    Appeared,
    /// It changed between the start and the end of its hashing.
    Changed,
    /// A link that leads to one of the folders it lies in.
    Cycle {
        /// Where it leads.
        target: String,
    },
    /// A link to nothing.
    Dangling {
        /// What it says.
        target: String,
    },
    /// A link out of the tree, or into `.odi/`.
    LeavesTree {
        /// Where it leads.
        target: String,
    },
    /// A path that no manifest can hold.
    Name(PathError),
    /// A name that is not UTF-8.
    NotUtf8,
    /// Settings that no daemon would take.
    Settings(SettingsError),
    /// A pipe, socket or device.
    Special,
    /// It is larger than the largest blob.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It cannot be opened or read.
    Unreadable(io::Error),
    /// It was there, and then it was not.
    Vanished,
}

impl Problem {
    /// A problem of the file with these raw path bytes, relative to the tree.
    pub(crate) fn new(path: &OsStr, why: Why) -> Self {
        Self { path: printable(path), why }
    }

    /// What reading or listing a file that was there a moment ago failed with.
    pub(crate) fn reading(path: &OsStr, error: io::Error) -> Self {
        let gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        Self::new(path, if gone { Why::Vanished } else { Why::Unreadable(error) })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.why {
            Why::AlsoInTree => f.write_str("lies in the tree, and a list says that it lies elsewhere"),
            Why::Appeared => f.write_str("appeared while the tree was being read"),
            Why::Changed => f.write_str("changed while it was being hashed"),
            Why::Cycle { target } => write!(f, "this link leads back to a folder above it ({target})"),
            Why::Dangling { target } => write!(f, "this link leads nowhere ({target})"),
            Why::LeavesTree { target } => write!(f, "this link leaves the tree (to {target})"),
            Why::Name(rule) => write!(f, "the path {}", rule.reason),
            Why::NotUtf8 => f.write_str("the name is not UTF-8"),
            Why::Settings(error) => write!(f, "{error}"),
            Why::Special => f.write_str("a pipe, socket or device, not a file or folder"),
            Why::TooLarge { size } => write!(f, "{size} bytes, and the largest artifact is 64 GiB"),
            Why::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Why::Vanished => f.write_str("vanished while the tree was being read"),
        }
    }
}

/// All problems of a tree, at least one.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The only one.
    pub(crate) fn of(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// `Err` with all of them, sorted by path, if there are any.
    pub(crate) fn none(mut found: Vec<Problem>) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Err(Self(found))
    }

    /// The problems, sorted by path.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} cannot be published", if count == 1 { "path" } else { "paths" })?;
        for problem in self.0.iter().take(SHOWN_MAX) {
            write!(f, "\n  {problem}")?;
        }
        match count.saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// A path as a person can read it: UTF-8 kept, everything else as `\xNN` or `\n`.
pub(crate) fn printable(path: &OsStr) -> String {
    let mut text = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            // What a terminal would act on, or hide, is spelled out; quotes and backslashes are plain here.
            if matches!(character, '"' | '\'' | '\\') {
                text.push(character);
            } else {
                text.extend(character.escape_debug());
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
