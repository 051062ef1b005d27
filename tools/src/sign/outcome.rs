//! What a command did, in the words that a maintainer reads and in the JSON that a script reads.

use std::fmt;
use std::path::{Path, PathBuf};

use odi_manifest::{CatalogId, Head, HeadId, PublicKey, RoleName, Timestamp, Verified};
use serde::Serialize;

use super::next_head::Sealed;
use super::published::Published;

/// `odi-sign keygen` made a key.
#[derive(Debug, Serialize)]
pub(super) struct KeygenOutcome {
    /// The private key's file.
    pub key: PathBuf,
    /// The public key, as an OpenSSH line.
    pub public: PublicKey,
}

impl fmt::Display for KeygenOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wrote {} and {}.pub.", self.key.display(), self.key.display())?;
        write!(f, "{}", self.public)
    }
}

/// `odi-sign init` began a catalog.
#[derive(Debug, Serialize)]
pub struct InitOutcome {
    /// The catalog's id, for ever.
    pub id: CatalogId,
    /// What it calls itself.
    pub name: String,
    /// When its root of trust expires, seconds since 1970.
    pub root_expires: Timestamp,
    /// Whether more root keys must countersign before anything can be published.
    pub waits: bool,
    /// What will surprise the maintainer, such as witnesses that do not cosign.
    pub warnings: Vec<String>,
    /// The tree, for what to do next.
    #[serde(skip)]
    pub tree: PathBuf,
    /// The private release key's file, as far as it is known.
    #[serde(skip)]
    pub key: Option<PathBuf>,
}

impl fmt::Display for InitOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "WARNING: {warning}.")?;
        }
        if self.waits {
            writeln!(f, "Drafted catalog {}: {}", self.name, self.id)?;
            let tree = shell_word(&self.tree);
            return write!(f, "More root keys must sign: odi-sign trust countersign {tree} --root-key KEY");
        }
        writeln!(f, "Began catalog {}: {}", self.name, self.id)?;
        writeln!(f, "Its root of trust is good until {}.", self.root_expires)?;
        let key = self.key.as_deref().map_or_else(|| "KEY".to_owned(), shell_word);
        write!(f, "Next: odi-sign publish {} --key {key}", shell_word(&self.tree))
    }
}

/// What became of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadState {
    /// It is the newest head.
    Published,
    /// Nothing changed, and the newest head is good for long enough.
    Unchanged,
    /// It waits for more signatures.
    Waiting,
}

/// A command made a head, or found no need to.
#[derive(Clone, Debug, Serialize)]
pub struct HeadOutcome {
    /// What became of it.
    pub state: HeadState,
    /// The catalog.
    pub id: CatalogId,
    /// What it calls itself.
    pub name: String,
    /// The head's sequence number.
    pub seq: u64,
    /// The head.
    pub head: HeadId,
    /// How many artifacts it has.
    pub entries: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// When it expires, seconds since 1970.
    pub expires: Timestamp,
    /// Paths that are new.
    pub added: u64,
    /// Paths with other bytes.
    pub changed: u64,
    /// Paths that are gone.
    pub removed: u64,
    /// Files that were read, because nothing vouched for them.
    pub read_files: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// How many signatures it has.
    pub signatures: usize,
    /// How many it needs.
    pub threshold: usize,
    /// A head that an interrupted run had signed, and this one installed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// What the maintainer should know, such as servers that could not be asked.
    pub notes: Vec<String>,
    /// What was done beside signing, such as withdrawing something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

impl HeadOutcome {
    /// The newest head stays.
    pub(crate) fn unchanged(published: &Published, head: &Verified<Head>) -> Self {
        Self::about(published, HeadState::Unchanged, head, head.id())
    }

    /// A head was made.
    pub(crate) fn sealed(published: &Published, sealed: &Sealed) -> Self {
        match sealed {
            Sealed::Installed(head) => Self::about(published, HeadState::Published, head, head.id()),
            Sealed::Waits { head, have, need } => {
                let waits = Self::about(published, HeadState::Waiting, head.claims(), head.id());
                Self { signatures: *have, threshold: *need, ..waits }
            }
        }
    }

    fn about(published: &Published, state: HeadState, head: &Head, id: HeadId) -> Self {
        let threshold = published.trust.role(RoleName::Release).map_or(1, |role| role.threshold());
        Self {
            state,
            id: published.catalog(),
            name: published.trust.root().name.clone(),
            seq: head.seq,
            head: id,
            entries: head.entries,
            bytes: head.bytes,
            expires: head.expires,
            added: 0,
            changed: 0,
            removed: 0,
            read_files: 0,
            read_bytes: 0,
            signatures: threshold,
            threshold,
            finished: None,
            notes: Vec::new(),
            done: Vec::new(),
        }
    }
}

impl fmt::Display for HeadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "Note: {note}.")?;
        }
        for done in &self.done {
            writeln!(f, "{done}.")?;
        }
        if let Some(seq) = self.finished {
            writeln!(f, "Finished head {seq}, which an interrupted run had signed.")?;
        }
        let seq = self.seq;
        match self.state {
            HeadState::Published => writeln!(f, "Published {} head {seq}.", self.name)?,
            HeadState::Unchanged => writeln!(f, "Nothing changed; {} stays at head {seq}.", self.name)?,
            HeadState::Waiting => writeln!(
                f,
                "{} head {seq} waits: {} of {} signatures. Next: odi-sign sign TREE --key KEY",
                self.name, self.signatures, self.threshold
            )?,
        }
        if self.added + self.changed + self.removed > 0 {
            writeln!(f, "  {} added, {} changed, {} removed", self.added, self.changed, self.removed)?;
        }
        writeln!(f, "  {}, {}", counted(self.entries, "artifact"), size(self.bytes))?;
        writeln!(f, "  good until {}", self.expires)?;
        write!(f, "  {}", self.head)?;
        if self.state == HeadState::Published {
            write!(f, "\nDirectories look every few minutes; odi-sign push TREE URL tells one at once.")?;
        }
        Ok(())
    }
}

/// A number of things for people.
#[must_use]
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A path as one word of a shell's line.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A number of bytes for people.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return counted(bytes, "byte");
    }
    let mut rest = bytes;
    let mut unit = "bytes";
    let mut tenths = 0;
    for name in UNITS {
        if rest < 1000 {
            break;
        }
        tenths = rest % 1000 / 100;
        rest /= 1000;
        unit = name;
    }
    format!("{rest}.{tenths} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let sizes = [0, 1, 999, 1000, 1_234_567, 5_000_000_000_000_000];
        assert_eq!(sizes.map(size), ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.2 MB", "5000.0 TB"]);
    }

    #[test]
    fn a_path_is_one_word_of_a_line() {
        let words = ["/srv/tree", "my tree", "it's", "$(x)"].map(|path| shell_word(Path::new(path)));
        assert_eq!(words, ["/srv/tree", "'my tree'", r"'it'\''s'", "'$(x)'"]);
    }
}
