//! What a manifest says about one artifact. FORMAT.md § Tree gives the encoding.

use std::fmt;

use crate::cbor::{CborError, CborReason, Kind, Reader, Writer};
use crate::{BLOB_BYTES_MAX, BlobId, EXT_BYTES_MAX, MTIME_MAX, Sha256};

/// The arrays around an entry's extension map in a node. The map counts as if they were always there, so that what
/// fits a diff fits a node.
const EXT_DEPTH: usize = 3;

/// The key of an extension map that says that the bytes lie elsewhere, and its only value.
const ELSEWHERE: u64 = 1;
const TRUE: &[u8] = b"\xf5";

/// Fields of an entry without an extension map.
const FIELDS: usize = 4;

/// What a manifest promises of one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Bytes of the artifact, up to [`BLOB_BYTES_MAX`].
    pub size: u64,
    /// The artifact's bytes, by name.
    pub blob: BlobId,
    /// Their SHA-256.
    pub sha256: Sha256,
    /// When they last changed: seconds since 1970, up to [`MTIME_MAX`].
    pub mtime: u64,
    /// What a later version of the format adds.
    pub ext: Option<Ext>,
}

/// An entry that no manifest may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Larger than any blob.
    #[error("size {0} is over {BLOB_BYTES_MAX} bytes")]
    Size(u64),
    /// Later than an HTTP date can say.
    #[error("modification time {0} is past the year 9999")]
    Mtime(u64),
    /// Not the profile's CBOR, or not an entry.
    #[error("entry is malformed")]
    Cbor(#[from] CborError),
}

impl EntryError {
    /// The reason's name in published vectors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Size(_) => "size",
            Self::Mtime(_) => "mtime",
            Self::Cbor(error) => error.reason.name(),
        }
    }
}

impl Entry {
    /// Whether size and time lie within the format's bounds.
    ///
    /// # Errors
    /// They do not.
    pub const fn check(&self) -> Result<(), EntryError> {
        if self.size > BLOB_BYTES_MAX {
            return Err(EntryError::Size(self.size));
        }
        if self.mtime > MTIME_MAX {
            return Err(EntryError::Mtime(self.mtime));
        }
        Ok(())
    }

    /// Whether its bytes are not in the maintainers' tree, but only where they say that it may be pulled from.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.ext.as_ref().is_some_and(|ext| ext.value(ELSEWHERE) == Some(TRUE))
    }

    /// The bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.ext.as_ref().map_or(0, |ext| ext.as_bytes().len())
    }

    /// How many items [`Self::write`] writes.
    pub(crate) const fn fields(&self) -> usize {
        if self.ext.is_some() { FIELDS + 1 } else { FIELDS }
    }

    /// Writes `size, blob, sha256, mtime, ext?` into an array that the caller has opened.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.uint(self.size).bytes(self.blob.as_bytes()).bytes(self.sha256.as_bytes()).uint(self.mtime);
        if let Some(ext) = &self.ext {
            writer.encoded(ext.as_bytes());
        }
    }

    /// Reads what [`Self::write`] wrote, from an array with `fields` items left.
    pub(crate) fn read(reader: &mut Reader<'_>, fields: usize) -> Result<Self, EntryError> {
        if fields != FIELDS && fields != FIELDS + 1 {
            return Err(reader.expected("an entry of four or five fields").into());
        }
        let size = reader.uint()?;
        let blob = BlobId::from_bytes(reader.fixed()?);
        let sha256 = Sha256::from_bytes(reader.fixed()?);
        let mtime = reader.uint()?;
        let ext = if fields > FIELDS { Some(Ext::read(reader)?) } else { None };
        let entry = Self { size, blob, sha256, mtime, ext };
        entry.check()?;
        Ok(entry)
    }
}

/// An entry's extension map {uint: value}: signed, carried along, and ignored where a key is unknown.
/// At most [`EXT_BYTES_MAX`] bytes encoded, and never empty, because an empty map would be a second way to say none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ext(Box<ExtBytes>);

/// Fixed length behind one thin pointer: nearly no entry has extensions, so absence must cost little.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ExtBytes {
    length: u8,
    bytes: [u8; EXT_BYTES_MAX],
}

impl Ext {
    /// Of an artifact that is not in the maintainers' tree.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self::from_encoded(b"\xa1\x01\xf5").expect("a map of one key")
    }

    /// Takes an encoded map.
    ///
    /// # Errors
    /// Too large, empty, or not a map of the profile with unsigned integers as keys.
    pub fn from_encoded(encoded: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(encoded);
        let ext = Self::read(&mut reader)?;
        reader.end()?;
        Ok(ext)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CborError> {
        let at = reader.position();
        let mut inside = reader.clone();
        let pairs = inside.map()?;
        if pairs == 0 || inside.peek()? != Kind::Uint {
            return Err(reader.expected("a map with at least one unsigned integer as key"));
        }
        let encoded = reader.skip(EXT_DEPTH)?;
        let mut bytes = [0; EXT_BYTES_MAX];
        match (bytes.get_mut(..encoded.len()), u8::try_from(encoded.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(encoded);
                Ok(Self(Box::new(ExtBytes { length, bytes })))
            }
            _ => Err(CborError::new(CborReason::TooLarge, at)),
        }
    }

    /// The encoded map.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes.get(..usize::from(self.0.length)).unwrap_or_default()
    }

    /// The encoded value under a key.
    #[must_use]
    pub fn value(&self, key: u64) -> Option<&[u8]> {
        let mut reader = Reader::new(self.as_bytes());
        for _ in 0..reader.map().ok()? {
            let found = reader.uint().ok()?;
            let value = reader.skip(EXT_DEPTH + 1).ok()?;
            if found == key {
                return Some(value);
            }
        }
        None
    }
}

impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ext({})", data_encoding::HEXLOWER.encode(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ext: Option<Ext>) -> Entry {
        Entry { size: 3, blob: BlobId::of(b"odi"), sha256: Sha256::of(b"odi"), mtime: 1_700_000_000, ext }
    }

    #[test]
    fn entries_round_trip() {
        for ext in [None, Some(Ext::from_encoded(b"\xa2\x01\x61a\x18\x20\x42\x00\x01").unwrap())] {
            let mut writer = Writer::new();
            entry(ext.clone()).write(&mut writer);
            let fields = entry(ext.clone()).fields();
            let mut reader = Reader::new(writer.as_bytes());
            assert_eq!(Entry::read(&mut reader, fields), Ok(entry(ext)));
            assert!(reader.end().is_ok());
        }
    }

    #[test]
    fn what_lies_elsewhere_says_so() {
        assert!(entry(Some(Ext::elsewhere())).is_elsewhere());
        for ext in [&b"\xa1\x01\xf4"[..], b"\xa1\x02\xf5", b"\xa1\x01\x01"] {
            assert!(!entry(Some(Ext::from_encoded(ext).unwrap())).is_elsewhere(), "{ext:?}");
        }
        assert!(!entry(None).is_elsewhere());
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(
            Entry { size: BLOB_BYTES_MAX + 1, ..entry(None) }.check(),
            Err(EntryError::Size(BLOB_BYTES_MAX + 1))
        );
        assert_eq!(
            Entry { mtime: MTIME_MAX + 1, ..entry(None) }.check(),
            Err(EntryError::Mtime(MTIME_MAX + 1))
        );
        assert_eq!(Entry { size: BLOB_BYTES_MAX, mtime: MTIME_MAX, ..entry(None) }.check(), Ok(()));
        assert!(Reader::new(b"").uint().is_err());
        assert!(Entry::read(&mut Reader::new(b"\x01"), 3).is_err());
    }

    #[test]
    fn extension_maps_are_small_and_unambiguous() {
        let ext = Ext::from_encoded(b"\xa2\x01\x61a\x18\x20\x42\x00\x01").unwrap();
        assert_eq!(ext.value(1), Some(&b"\x61a"[..]));
        assert_eq!(ext.value(32), Some(&b"\x42\x00\x01"[..]));
        assert_eq!(ext.value(2), None);
        let refusal = |bytes: &[u8]| Ext::from_encoded(bytes).unwrap_err().reason.name();
        assert_eq!(refusal(b"\xa0"), "unexpected-type");
        assert_eq!(refusal(b"\xa1\x61a\x01"), "unexpected-type");
        assert_eq!(refusal(b"\xa2\x02\x01\x01\x01"), "key-order");
        assert_eq!(refusal(b"\xa2\x01\x01\x61a\x01"), "key-type");
        assert_eq!(refusal(b"\xa1\x01\x01\x00"), "trailing-bytes");
        let largest = [&b"\xa1\x01\x58\x3c"[..], &[0; 60]].concat();
        assert_eq!(largest.len(), EXT_BYTES_MAX);
        assert!(Ext::from_encoded(&largest).is_ok());
        assert_eq!(refusal(&[&b"\xa1\x01\x58\x3d"[..], &[0; 61]].concat()), "too-large");
        assert_eq!(refusal(b"\xa1\x01\x81\x81\x81\x81\x81\x00"), "too-deep");
        assert!(Ext::from_encoded(b"\xa1\x01\x81\x81\x81\x81\x00").is_ok());
    }
}
