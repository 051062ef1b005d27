//! The records of a pack: a fixed header, a payload, one CRC32C over both (FORMAT.md § Packs).
//!
//! Decoding checks shape and CRC, never content: whether bytes are the blob's is decided by hashing after every read.

use odi_manifest::{BLOB_BYTES_MAX, BlobId, CHUNK_BYTES, NodeId, chunk_count, chunk_len};

/// Length of a record's header.
pub(crate) const HEADER_BYTES: u64 = 72;
/// The bytes of a record's header.
pub(crate) type RawHeader = [u8; 72];
/// [`CHUNK_BYTES`] as a length in memory.
pub(crate) const CHUNK_LEN: usize = 256 << 10;
const _: () = assert!(CHUNK_LEN as u64 == CHUNK_BYTES && size_of::<RawHeader>() as u64 == HEADER_BYTES);
/// From the record of one full chunk to the next in an extent.
pub(crate) const STRIDE: u64 = HEADER_BYTES + CHUNK_BYTES;
/// The largest payload any kind may have: the chunk list of a 64 GiB blob.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = BLOB_BYTES_MAX / CHUNK_BYTES * 32;
/// An encoded tree node is at most this long (manifest/FORMAT.md § Tree).
pub(crate) const NODE_BYTES_MAX: u64 = 128 << 10;

const FLAG_MOVED: u8 = 1;
const FLAG_LIFTED: u8 = 2;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// One chunk of a blob of a claimed size.
    Data { blob: BlobId, size: u64, chunk: u32 },
    /// The chunk list of a blob of a claimed size.
    List { blob: BlobId, size: u64 },
    /// An encoded tree node.
    Node { node: NodeId, length: u32 },
    /// The blob is dead from this generation on, or alive again.
    Tombstone { blob: BlobId, generation: u64, lifted: bool },
    /// Reserved; passed over.
    Recipe { length: u32 },
}

/// A record's header without its CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) body: Body,
    /// Written by compaction.
    pub(crate) moved: bool,
}

/// Bytes that are no record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotARecord;

impl Body {
    /// Length of the payload.
    pub(crate) fn payload_len(&self) -> u64 {
        match *self {
            Self::Data { size, chunk, .. } => u64::from(chunk_len(size, chunk)),
            Self::List { size, .. } => u64::from(chunk_count(size)) * 32,
            Self::Node { length, .. } | Self::Recipe { length } => u64::from(length),
            Self::Tombstone { .. } => 0,
        }
    }

    /// Length of header and payload.
    pub(crate) fn record_len(&self) -> u64 {
        HEADER_BYTES + self.payload_len()
    }
}

impl Header {
    /// The header with the CRC of itself and the payload.
    pub(crate) fn encode(&self, salt: u64, payload: &[u8]) -> RawHeader {
        debug_assert_eq!(self.body.payload_len(), payload.len() as u64);
        let zero = [0; 32];
        let (kind, offset, size, id) = match &self.body {
            Body::Data { blob, size, chunk } => (1, u64::from(*chunk) * CHUNK_BYTES, *size, blob.as_bytes()),
            Body::List { blob, size } => (2, 0, *size, blob.as_bytes()),
            Body::Node { node, length } => (3, 0, u64::from(*length), node.as_bytes()),
            Body::Tombstone { blob, generation, .. } => (4, *generation, 0, blob.as_bytes()),
            Body::Recipe { length } => (5, 0, u64::from(*length), &zero),
        };
        let lifted = matches!(self.body, Body::Tombstone { lifted: true, .. });
        let flags = if self.moved { FLAG_MOVED } else { 0 } | if lifted { FLAG_LIFTED } else { 0 };
        let length = u32::try_from(payload.len()).expect("payloads are at most 8 MiB");
        let mut bytes: RawHeader = [0; 72];
        bytes[..8].copy_from_slice(&salt.to_le_bytes());
        bytes[8] = kind;
        bytes[9] = flags;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        bytes[16..24].copy_from_slice(&offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&size.to_le_bytes());
        bytes[32..64].copy_from_slice(id);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..68]), payload);
        bytes[68..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header. The CRC can be checked only with the payload: [`payload_checks`].
    pub(crate) fn decode(salt: u64, bytes: &RawHeader) -> Result<Self, NotARecord> {
        let (kind, flags, length) = (bytes[8], bytes[9], word(bytes, 12));
        let (offset, size) = (double(bytes, 16), double(bytes, 24));
        if double(bytes, 0) != salt || bytes[10..12] != [0; 2] || bytes[64..68] != [0; 4] || flags > 3 {
            return Err(NotARecord);
        }
        let id: [u8; 32] = bytes[32..64].try_into().expect("32 bytes");
        let blob = BlobId::from_bytes(id);
        let whole = offset == 0 && flags & FLAG_LIFTED == 0;
        let body = match kind {
            1 | 2 if size > BLOB_BYTES_MAX || flags & FLAG_LIFTED != 0 => return Err(NotARecord),
            1 if offset % CHUNK_BYTES == 0 && offset / CHUNK_BYTES < u64::from(chunk_count(size)) => {
                let chunk = u32::try_from(offset / CHUNK_BYTES).map_err(|_| NotARecord)?;
                Body::Data { blob, size, chunk }
            }
            2 if whole && size > CHUNK_BYTES => Body::List { blob, size },
            3 if whole && size == u64::from(length) && size <= NODE_BYTES_MAX => {
                Body::Node { node: NodeId::from_bytes(id), length }
            }
            4 if size == 0 => Body::Tombstone { blob, generation: offset, lifted: flags & FLAG_LIFTED != 0 },
            5 if whole && size == u64::from(length) && size <= PAYLOAD_BYTES_MAX => Body::Recipe { length },
            _ => return Err(NotARecord),
        };
        if body.payload_len() != u64::from(length) {
            return Err(NotARecord);
        }
        Ok(Self { body, moved: flags & FLAG_MOVED != 0 })
    }
}

/// Whether header and payload are what was written together.
pub(crate) fn payload_checks(header: &RawHeader, payload: &[u8]) -> bool {
    crc32c::crc32c_append(crc32c::crc32c(&header[..68]), payload) == word(header, 68)
}

fn word(bytes: &RawHeader, at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(*field.expect("fields lie within the header"))
}

fn double(bytes: &RawHeader, at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(*field.expect("fields lie within the header"))
}

#[cfg(test)]
mod tests;
