//! The operator's own list of what is never served, whatever anybody signs or asks (threat row 64): a relay's or a
//! directory's. Pure; which list is in force, and what it means, is [`Denied`]'s.
//!
//! One line each: `blake3:HEX`, `sha256:HEX`, a path as it stands in a URL, `/debian/pool/x.deb`, or a folder with its
//! slash, `/debian/pool/`. Percent-escapes are decoded once, as in a request, so a plain `%` is `%25`. Empty lines and
//! those that begin with `#` say nothing.

mod denied;
mod given;

use std::collections::BTreeSet;
use std::path::Path;

use odi_manifest::{BlobId, Entry, Sha256};

pub use denied::{Denied, FOUND_MAX, Found};
pub use given::given;

use crate::config::Fault;
use crate::route;

/// The most lines that count.
const LINES_MAX: usize = 100_000;
/// The largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denylist {
    blobs: BTreeSet<BlobId>,
    sha256: BTreeSet<Sha256>,
    /// `catalog/path`, and `catalog/folder/`, decoded.
    paths: BTreeSet<String>,
}

impl Denylist {
    /// Reads the text of a list.
    ///
    /// # Errors
    /// Every line that says nothing.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let mut list = Self::default();
        let mut faults = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if at >= LINES_MAX {
                faults.push(Fault { line: Some(at + 1), what: format!("more than {LINES_MAX} lines") });
                break;
            }
            if !list.add(line) {
                let what =
                    format!("`{line}` is none of blake3:HEX, sha256:HEX and /catalog/path as in a URL");
                faults.push(Fault { line: Some(at + 1), what });
            }
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or lines of it say nothing: in words that name the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let named = |line: Option<usize>, what: &dyn std::fmt::Display| {
            let place = line.map_or_else(String::new, |line| format!(", line {line}"));
            Fault { line: None, what: format!("denylist {}{place}: {what}", path.display()) }
        };
        let size = std::fs::metadata(path).map_err(|error| vec![named(None, &error)])?.len();
        if size > FILE_BYTES_MAX {
            return Err(vec![named(None, &format!("longer than {FILE_BYTES_MAX} bytes"))]);
        }
        let text = std::fs::read_to_string(path).map_err(|error| vec![named(None, &error)])?;
        Self::parse(&text)
            .map_err(|faults| faults.iter().map(|fault| named(fault.line, &fault.what)).collect())
    }

    fn add(&mut self, line: &str) -> bool {
        if let Some(hex) = line.strip_prefix("blake3:") {
            return hex.parse().map(|blob| self.blobs.insert(blob)).is_ok();
        }
        if let Some(hex) = line.strip_prefix("sha256:") {
            return hex.parse().map(|sha256| self.sha256.insert(sha256)).is_ok();
        }
        match line.strip_prefix('/') {
            Some(path) if path.split_once('/').is_some_and(|(name, _)| !name.is_empty()) => {
                route::decode(path).map(|path| self.paths.insert(path.into_owned())).is_ok()
            }
            _ => false,
        }
    }

    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.says_nothing_by_catalogs()
    }

    /// Whether every rule names content by its own name; what the others mean only catalogs can tell.
    #[must_use]
    pub fn says_nothing_by_catalogs(&self) -> bool {
        self.sha256.is_empty() && self.paths.is_empty()
    }

    /// Whether content is denied by its own name.
    #[must_use]
    pub fn denies_blob(&self, blob: &BlobId) -> bool {
        self.blobs.contains(blob)
    }

    /// Whether content is denied by one of its hashes, whatever it is called.
    #[must_use]
    pub fn denies_content(&self, blob: &BlobId, sha256: Option<&Sha256>) -> bool {
        self.blobs.contains(blob) || sha256.is_some_and(|sha256| self.sha256.contains(sha256))
    }

    /// Whether a path of a catalog is denied, or a folder above it.
    #[must_use]
    pub fn denies_path(&self, catalog: &str, path: &str) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        let full = format!("{catalog}/{path}");
        let mut above = full.match_indices('/').map(|(at, _)| full.split_at(at + 1).0);
        self.paths.contains(&full) || above.any(|folder| self.paths.contains(folder))
    }

    /// Whether a folder of a catalog is denied, or one above it. The top is called "".
    #[must_use]
    pub fn denies_folder(&self, catalog: &str, folder: &str) -> bool {
        let slash = if folder.is_empty() { "" } else { "/" };
        self.denies_path(catalog, &format!("{folder}{slash}"))
    }

    /// The content that is named by its own name.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobId> {
        self.blobs.iter()
    }

    /// What catalogs are called that have rules by path, each once.
    pub fn catalogs(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        let named = self.paths.iter().filter_map(|path| Some(path.split_once('/')?.0));
        named.filter(move |name| last.replace(*name) != Some(*name))
    }

    /// Whether an artifact is denied: by a hash, its path, or a folder above it.
    #[must_use]
    pub fn denies(&self, catalog: &str, path: &str, entry: &Entry) -> bool {
        self.denies_content(&entry.blob, Some(&entry.sha256)) || self.denies_path(catalog, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: &[u8]) -> Entry {
        let sha256 = Sha256::from_bytes([bytes.len().try_into().unwrap_or(0); 32]);
        Entry { size: bytes.len() as u64, blob: BlobId::of(bytes), sha256, mtime: 0, ext: None }
    }

    #[test]
    fn table() {
        let text = format!(
            "# a court said so\n\nblake3:{}\nsha256:{}\n /debian/pool/x.deb \n/debian/secret/\n/jenkins/\n\
             /npm/@s%2fpad\n/gems/a%20b%2525/\n/plain/a b\n",
            BlobId::of(b"bad"),
            "05".repeat(32)
        );
        let list = Denylist::parse(&text).unwrap();
        for (catalog, path, bytes, denied) in [
            ("debian", "any", &b"bad"[..], true),
            ("debian", "any", b"five.", true),
            ("debian", "pool/x.deb", b"x", true),
            ("debian", "pool/x.deb.asc", b"x", false),
            ("fedora", "pool/x.deb", b"x", false),
            ("debian", "secret/a/b", b"x", true),
            ("debian", "secret", b"x", false),
            ("debian", "secrets/a", b"x", false),
            ("jenkins", "anything/at/all", b"x", true),
            ("npm", "@s/pad", b"x", true),
            ("npm", "@s%2fpad", b"x", false),
            ("gems", "a b%25/c", b"x", true),
            ("plain", "a b", b"x", true),
        ] {
            assert_eq!(list.denies(catalog, path, &entry(bytes)), denied, "{catalog}/{path}");
        }
    }

    #[test]
    fn a_folder_is_denied_by_its_own_rule_or_one_above() {
        let list = Denylist::parse("/debian/secret/\n/debian/pool/x.deb\n/jenkins/").unwrap();
        for (catalog, folder, denied) in [
            ("debian", "secret", true),
            ("debian", "secret/a", true),
            ("debian", "secrets", false),
            ("debian", "pool/x.deb", false),
            ("debian", "", false),
            ("jenkins", "", true),
        ] {
            assert_eq!(list.denies_folder(catalog, folder), denied, "{catalog}/{folder}");
        }
        assert_eq!(list.catalogs().collect::<Vec<_>>(), ["debian", "jenkins"]);
    }

    #[test]
    fn lines_that_say_nothing_are_named() {
        let faults =
            Denylist::parse("blake3:12\nok\n/debian\n/x/y\nsha256:zz\n//z\n/x/50%\n/x/%C3").unwrap_err();
        let lines: Vec<_> = faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 2, 3, 5, 6, 7, 8]);
        assert!(faults[1].to_string().starts_with("line 2: `ok` is none of"));
        let missing = Denylist::load(Path::new("/nowhere/denied")).unwrap_err();
        assert!(missing[0].what.starts_with("denylist /nowhere/denied: "), "{missing:?}");
    }
}
