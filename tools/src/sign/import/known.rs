//! What was downloaded before, so that an import that is run again downloads only what is new.
//!
//! One file per tree in the user's cache folder: a line `SHA256 BLAKE3 SIZE MTIME URL` for each artifact that was downloaded
//! and had the checksum of its list. A line that says anything else counts as absent.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use odi_manifest::{BlobId, Entry, Ext, Sha256};
use url::Url;

use super::super::odi_folder::read_bounded;
use super::super::tree_disk::DiskError;

const BYTES_MAX: u64 = 256 << 20;

/// What was learnt from downloads.
#[derive(Debug, Default)]
pub(super) struct Known {
    file: Option<PathBuf>,
    entries: HashMap<(Sha256, Url), Entry>,
}

impl Known {
    /// What earlier imports noted in this file; without one, nothing is remembered.
    pub(super) fn read(file: Option<PathBuf>) -> Self {
        let bytes = file.as_deref().and_then(|file| read_bounded(file, BYTES_MAX).ok().flatten());
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        // What was cut off by a crash has no end of line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Self { file, entries: whole.lines().filter_map(read_line).collect() }
    }

    /// What lies at a URL, if it had this checksum.
    pub(super) fn entry(&self, sha256: &Sha256, url: &Url) -> Option<&Entry> {
        self.entries.get(&(*sha256, url.clone()))
    }

    /// Notes a download.
    pub(super) fn note(&mut self, url: &Url, entry: &Entry) -> Result<(), DiskError> {
        self.entries.insert((entry.sha256, url.clone()), entry.clone());
        let Some(file) = &self.file else { return Ok(()) };
        let Entry { size, blob, sha256, mtime, .. } = entry;
        append(file, &format!("{sha256} {blob} {size} {mtime} {url}\n")).map_err(DiskError::at("write", file))
    }
}

fn read_line(line: &str) -> Option<((Sha256, Url), Entry)> {
    let mut words = line.split(' ');
    let sha256: Sha256 = words.next()?.parse().ok()?;
    let blob: BlobId = words.next()?.parse().ok()?;
    let (size, mtime) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let url = Url::parse(words.next()?).ok()?;
    let entry = Entry { size, blob, sha256, mtime, ext: Some(Ext::elsewhere()) };
    entry.check().ok().map(|()| ((sha256, url), entry))
}

fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_and_what_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("import").join("x");
        let url = Url::parse("https://h/get?a%20b").unwrap();
        let entry = |bytes: &[u8]| Entry {
            size: bytes.len() as u64,
            blob: BlobId::of(bytes),
            sha256: Sha256::of(bytes),
            mtime: 7,
            ext: Some(Ext::elsewhere()),
        };
        let mut known = Known::read(Some(file.clone()));
        known.note(&url, &entry(b"a")).unwrap();
        known.note(&url, &entry(b"b")).unwrap();
        let known = Known::read(Some(file.clone()));
        assert_eq!(known.entry(&Sha256::of(b"a"), &url), Some(&entry(b"a")));
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let known = Known::read(Some(file));
        assert_eq!(known.entry(&Sha256::of(b"a"), &url), Some(&entry(b"a")));
        assert_eq!(known.entry(&Sha256::of(b"b"), &url), None);
    }
}
