//! What earlier publishes learnt about a tree's files, so that an unchanged tree costs a walk and no reading.
//!
//! One file per tree in the user's cache folder, never under `.odi/`: it is private, worthless to others, and may be
//! deleted at any time. Layout: [`MAGIC`], then records ascending by path, then the BLAKE3 of all before it. A record
//! is `u16 path length | path | size | mtime_ns | ctime_ns | inode | blob 32 | sha256 32`, integers little-endian and
//! 64 bits wide. A file that is cut, foreign or damaged counts as empty. Only settled stamps are kept
//! ([`Stamp::settled`]).

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use odi_manifest::{BlobId, Sha256};

use super::scan::Stamp;
use super::tree_disk::{DiskError, RealTreeDisk, replace};

/// The kind of these files in the cache folder.
pub(super) const SCANS: &str = "scan";
const MAGIC: &[u8; 16] = b"odi scan cache 1";
const CHECKSUM_BYTES: usize = 32;
/// Enough for 50 million entries with long paths; a longer file is not one of ours.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// The hashes that a file with a certain stamp had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What the file looked like.
    pub stamp: Stamp,
    /// Its BLAKE3.
    pub blob: BlobId,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// The cache of one tree as it was when read: paths in ascending order, and what is known of each.
#[derive(Debug, Default)]
pub(super) struct ScanCache {
    records: Vec<u8>,
}

impl ScanCache {
    /// Reads a tree's cache; whatever is wrong with it, the answer is then an empty one.
    #[must_use]
    pub(super) fn read(file: &Path) -> Self {
        let sane = fs::metadata(file).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
        let bytes = if sane { fs::read(file).unwrap_or_default() } else { Vec::new() };
        Self::decode(bytes).unwrap_or_default()
    }

    fn decode(mut bytes: Vec<u8>) -> Option<Self> {
        let body = bytes.len().checked_sub(CHECKSUM_BYTES)?;
        let (signed, checksum) = bytes.split_at_checked(body)?;
        if blake3::hash(signed).as_bytes() != checksum || !signed.starts_with(MAGIC) {
            return None;
        }
        bytes.truncate(body);
        bytes.drain(..MAGIC.len());
        Some(Self { records: bytes })
    }

    /// The records in ascending order of their paths.
    #[must_use]
    pub(super) fn records(&self) -> Records<'_> {
        Records { rest: &self.records }
    }
}

/// An iterator over paths and what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a str, Known);

    fn next(&mut self) -> Option<Self::Item> {
        let length = u16::from_le_bytes(self.array()?);
        let (path, rest) = self.rest.split_at_checked(usize::from(length))?;
        self.rest = rest;
        let stamp = Stamp {
            size: u64::from_le_bytes(self.array()?),
            mtime_ns: i64::from_le_bytes(self.array()?),
            ctime_ns: i64::from_le_bytes(self.array()?),
            inode: u64::from_le_bytes(self.array()?),
        };
        let blob = BlobId::from_bytes(self.array()?);
        let sha256 = Sha256::from_bytes(self.array()?);
        Some((std::str::from_utf8(path).ok()?, Known { stamp, blob, sha256 }))
    }
}

impl Records<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }
}

/// Collects the records of the next cache, in ascending order of their paths.
#[derive(Debug)]
pub(super) struct ScanCacheWriter {
    bytes: Vec<u8>,
}

impl Default for ScanCacheWriter {
    fn default() -> Self {
        Self { bytes: MAGIC.to_vec() }
    }
}

impl ScanCacheWriter {
    /// Adds what is known of a path that is greater than all before it.
    pub(super) fn push(&mut self, path: &str, known: &Known) {
        let length = u16::try_from(path.len()).expect("an artifact's path has at most 1024 bytes");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.extend_from_slice(&known.stamp.size.to_le_bytes());
        self.bytes.extend_from_slice(&known.stamp.mtime_ns.to_le_bytes());
        self.bytes.extend_from_slice(&known.stamp.ctime_ns.to_le_bytes());
        self.bytes.extend_from_slice(&known.stamp.inode.to_le_bytes());
        self.bytes.extend_from_slice(known.blob.as_bytes());
        self.bytes.extend_from_slice(known.sha256.as_bytes());
    }

    /// Replaces the cache file.
    ///
    /// # Errors
    /// When the cache folder cannot be written; the publish itself does not depend on it.
    pub(super) fn write(mut self, file: &Path) -> Result<(), DiskError> {
        let checksum = blake3::hash(&self.bytes);
        self.bytes.extend_from_slice(checksum.as_bytes());
        replace(&RealTreeDisk, file.to_path_buf(), &self.bytes)?;
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(file, private).map_err(DiskError::at("restrict", file))
    }
}

/// The file of the tree with this path among those of its kind, within a cache folder.
///
/// # Errors
/// When the tree's real path cannot be found out.
pub(super) fn cache_file(cache_folder: &Path, kind: &str, tree: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(tree)?;
    let hash = blake3::hash(real.as_os_str().as_bytes());
    let (name, _) = hash.as_bytes().split_at(16);
    Ok(cache_folder.join(kind).join(HEXLOWER.encode(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(size: u64) -> Known {
        let stamp = Stamp { size, mtime_ns: -3, ctime_ns: 1 << 60, inode: u64::MAX };
        Known { stamp, blob: BlobId::of(&size.to_le_bytes()), sha256: Sha256::of(b"x") }
    }

    fn written(records: &[(&str, Known)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scan").join("cache");
        let mut writer = ScanCacheWriter::default();
        records.iter().for_each(|(path, known)| writer.push(path, known));
        writer.write(&file).unwrap();
        fs::read(file).unwrap()
    }

    #[test]
    fn records_read_back() {
        let records = [("a", known(1)), ("b/c", known(2)), ("ü", known(3))];
        let cache = ScanCache::decode(written(&records)).unwrap();
        assert_eq!(cache.records().collect::<Vec<_>>(), records);
    }

    #[test]
    fn every_cut_and_every_flip_counts_as_empty() {
        let bytes = written(&[("a", known(1))]);
        for length in 0..bytes.len() {
            assert!(ScanCache::decode(bytes[..length].to_vec()).is_none(), "cut to {length}");
        }
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert!(ScanCache::decode(damaged).is_none(), "flip at {index}");
        }
    }
}
