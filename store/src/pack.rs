//! Packs: append-only files of records, up to 256 MiB each (FORMAT.md § Packs).

mod append;
mod scan;
mod shelf;

pub(crate) use append::{Appender, OpenPack, Record};
pub(crate) use scan::{Scan, Scanned, header_checks};
pub(crate) use shelf::Shelf;

/// Length of a pack's own header.
pub(crate) const PACK_HEADER_BYTES: u32 = 32;
type RawPackHeader = [u8; 32];
const PACK_MAGIC: &[u8; 8] = b"ODIpack1";

/// The number of a pack, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackId(pub(crate) u32);

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    pub(crate) pack: PackId,
    pub(crate) offset: u32,
}

impl Location {
    /// No place: pack numbers begin at 1.
    pub(crate) const NONE: Self = Self { pack: PackId(0), offset: 0 };
}

impl PackId {
    /// The name of the pack's file.
    pub(crate) fn file_name(self) -> String {
        format!("{:08}.pack", self.0)
    }

    /// The pack that a file name names.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".pack")?;
        let id = Self(digits.parse().ok().filter(|number| *number > 0)?);
        (id.file_name() == name).then_some(id)
    }

    /// The first bytes of the pack's file.
    pub(crate) fn header(self, salt: u64) -> RawPackHeader {
        let mut bytes: RawPackHeader = [0; 32];
        bytes[..8].copy_from_slice(PACK_MAGIC);
        bytes[8..12].copy_from_slice(&self.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

impl std::fmt::Display for PackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pack {}", self.0)
    }
}
