//! Rows as bytes: LEB128 varints in the order of FORMAT.md § Index.
//!
//! The index is ours, but a disk can rot: decoding is bounded and refuses what `encode` would not write.

use odi_manifest::{BLOB_BYTES_MAX, CHUNK_BYTES, chunk_count};

use super::{BlobRow, Extent, Hour, Ordinal};
use crate::pack::{Location, PackId};

/// A row that no `encode` wrote: the index is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row is malformed")]
pub(crate) struct BadRow;

/// Where a node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) ordinal: Ordinal,
    pub(crate) at: Location,
    pub(crate) length: u32,
}

/// A pack's accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackRow {
    /// Where the last committed record stops.
    pub(crate) end: u64,
    /// Bytes of records that rows refer to.
    pub(crate) live: u64,
    pub(crate) sealed: bool,
    /// Has, or may have, records of a purged blob.
    pub(crate) stained: bool,
}

/// The tombstone in force for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TombstoneRow {
    pub(crate) generation: u64,
    pub(crate) lifted: bool,
    pub(crate) at: Location,
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Result<u64, BadRow> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(BadRow)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(BadRow);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BadRow)
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, BadRow> {
    u32::try_from(take(bytes)?).map_err(|_| BadRow)
}

fn take_location(bytes: &mut &[u8]) -> Result<Location, BadRow> {
    Ok(Location { pack: PackId(take_u32(bytes)?), offset: take_u32(bytes)? })
}

fn put_location(out: &mut Vec<u8>, at: Location) {
    put(out, u64::from(at.pack.0));
    put(out, u64::from(at.offset));
}

pub(crate) fn encode_row(row: &BlobRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + row.extents.len() * 12);
    put(&mut out, u64::from(row.ordinal.0));
    put(&mut out, u64::from(row.last_use.0));
    put(&mut out, row.size);
    if row.size > CHUNK_BYTES {
        put_location(&mut out, row.list.unwrap_or(Location::NONE));
    }
    put(&mut out, row.extents.len() as u64);
    let mut end = 0;
    for extent in &row.extents {
        put(&mut out, u64::from(extent.first - end));
        put(&mut out, u64::from(extent.count));
        put_location(&mut out, extent.at);
        end = extent.end();
    }
    out
}

pub(crate) fn decode_row(mut bytes: &[u8]) -> Result<BlobRow, BadRow> {
    let bytes = &mut bytes;
    let (ordinal, last_use) = (Ordinal(take_u32(bytes)?), Hour(take_u32(bytes)?));
    let mut row = BlobRow::new(ordinal, take(bytes)?, last_use);
    if row.size > BLOB_BYTES_MAX {
        return Err(BadRow);
    }
    if row.size > CHUNK_BYTES {
        row.list = Some(take_location(bytes)?).filter(|at| *at != Location::NONE);
    }
    let (count, chunks) = (take(bytes)?, chunk_count(row.size));
    if count > u64::from(chunks) || count > bytes.len() as u64 {
        return Err(BadRow);
    }
    let mut end = 0u32;
    for _ in 0..count {
        let first = end.checked_add(take_u32(bytes)?).ok_or(BadRow)?;
        let count = take_u32(bytes)?;
        end = first.checked_add(count).filter(|end| *end <= chunks && count > 0).ok_or(BadRow)?;
        row.extents.push(Extent { first, count, at: take_location(bytes)? });
    }
    if bytes.is_empty() { Ok(row) } else { Err(BadRow) }
}

pub(crate) fn encode_node(row: &NodeRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put(&mut out, u64::from(row.ordinal.0));
    put_location(&mut out, row.at);
    put(&mut out, u64::from(row.length));
    out
}

pub(crate) fn decode_node(mut bytes: &[u8]) -> Result<NodeRow, BadRow> {
    let bytes = &mut bytes;
    let ordinal = Ordinal(take_u32(bytes)?);
    let row = NodeRow { ordinal, at: take_location(bytes)?, length: take_u32(bytes)? };
    if bytes.is_empty() { Ok(row) } else { Err(BadRow) }
}

pub(crate) fn encode_pack(row: &PackRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    put(&mut out, row.end);
    put(&mut out, row.live);
    put(&mut out, u64::from(row.sealed) | u64::from(row.stained) << 1);
    out
}

pub(crate) fn decode_pack(mut bytes: &[u8]) -> Result<PackRow, BadRow> {
    let bytes = &mut bytes;
    let (end, live, flags) = (take(bytes)?, take(bytes)?, take(bytes)?);
    if !bytes.is_empty() || flags > 3 {
        return Err(BadRow);
    }
    Ok(PackRow { end, live, sealed: flags & 1 != 0, stained: flags & 2 != 0 })
}

pub(crate) fn encode_tombstone(row: &TombstoneRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put(&mut out, row.generation);
    put(&mut out, u64::from(row.lifted));
    put_location(&mut out, row.at);
    out
}

pub(crate) fn decode_tombstone(mut bytes: &[u8]) -> Result<TombstoneRow, BadRow> {
    let bytes = &mut bytes;
    let row = TombstoneRow { generation: take(bytes)?, lifted: take(bytes)? == 1, at: take_location(bytes)? };
    if bytes.is_empty() { Ok(row) } else { Err(BadRow) }
}
