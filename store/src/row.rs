//! What the index knows of a blob: where its chunks lie, and nothing of what they say.
//!
//! Invariants: extents ascend by first chunk and do not overlap; neighbours that continue each other are one.

mod codec;

use std::ops::Range;

use odi_manifest::{CHUNK_BYTES, chunk_count};

use crate::pack::{Location, PackId};
use crate::record::{HEADER_BYTES, STRIDE};

pub(crate) use codec::{
    NodeRow, PackRow, TombstoneRow, decode_node, decode_pack, decode_row, decode_tombstone, encode_node,
    encode_pack, encode_row, encode_tombstone,
};

/// Names a row in bitmaps; never used twice in one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ordinal(pub(crate) u32);

/// Hours since 1970, the grain of "last use".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub u32);

impl Hour {
    /// The hour in which `now` falls.
    #[must_use]
    pub fn of(now: odi_manifest::Timestamp) -> Self {
        Self(u32::try_from(now.0 / 3600).unwrap_or(u32::MAX))
    }
}

/// Chunks `first..first + count` lie in records back to back from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) at: Location,
}

/// A blob, complete or partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    pub(crate) ordinal: Ordinal,
    pub(crate) last_use: Hour,
    pub(crate) size: u64,
    pub(crate) list: Option<Location>,
    pub(crate) extents: Vec<Extent>,
}

impl Extent {
    fn end(&self) -> u32 {
        self.first + self.count
    }

    fn location(&self, chunk: u32) -> Location {
        let skip = u64::from(chunk - self.first) * STRIDE;
        let skip = u32::try_from(skip).expect("an extent lies within one pack");
        Location { pack: self.at.pack, offset: self.at.offset + skip }
    }

    fn continues(&self, former: &Self) -> bool {
        former.end() == self.first
            && former.at.pack == self.at.pack
            && u64::from(former.at.offset) + u64::from(former.count) * STRIDE == u64::from(self.at.offset)
    }
}

impl BlobRow {
    pub(crate) fn new(ordinal: Ordinal, size: u64, last_use: Hour) -> Self {
        Self { ordinal, last_use, size, list: None, extents: Vec::new() }
    }

    /// Whether every chunk, and the list if the blob needs one, is held.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing().next().is_none() && (self.size <= CHUNK_BYTES || self.list.is_some())
    }

    /// Whether nothing at all is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty() && self.list.is_none()
    }

    /// Where the record of a chunk begins.
    pub(crate) fn location(&self, chunk: u32) -> Option<Location> {
        let next = self.extents.partition_point(|extent| extent.first <= chunk);
        let extent = self.extents.get(next.checked_sub(1)?)?;
        (chunk < extent.end()).then(|| extent.location(chunk))
    }

    /// The runs of chunks that are not held.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Range<u32>> {
        let starts = std::iter::once(0).chain(self.extents.iter().map(Extent::end));
        let ends =
            self.extents.iter().map(|extent| extent.first).chain(std::iter::once(chunk_count(self.size)));
        starts.zip(ends).map(|(start, end)| start..end).filter(|gap| !gap.is_empty())
    }

    /// Notes where a chunk lies now; returns where it lay before.
    pub(crate) fn place(&mut self, chunk: u32, at: Location) -> Option<Location> {
        let former = self.forget(chunk);
        let next = self.extents.partition_point(|extent| extent.first < chunk);
        self.extents.insert(next, Extent { first: chunk, count: 1, at });
        self.join(next + 1);
        if next > 0 {
            self.join(next);
        }
        former
    }

    /// Drops a chunk; returns where it lay.
    pub(crate) fn forget(&mut self, chunk: u32) -> Option<Location> {
        let former = self.location(chunk)?;
        let index = self.extents.partition_point(|extent| extent.first <= chunk) - 1;
        let extent = self.extents.remove(index);
        let (before, after) = (chunk - extent.first, extent.end() - chunk - 1);
        if after > 0 {
            let rest = Extent { first: chunk + 1, count: after, at: extent.location(chunk + 1) };
            self.extents.insert(index, rest);
        }
        if before > 0 {
            self.extents.insert(index, Extent { count: before, ..extent });
        }
        Some(former)
    }

    /// Makes one of the extent at `index` and the one before it, if they continue each other.
    fn join(&mut self, index: usize) {
        if let (Some(former), Some(extent)) = (self.extents.get(index - 1), self.extents.get(index))
            && extent.continues(former)
        {
            let count = former.count + extent.count;
            self.extents.remove(index);
            if let Some(former) = self.extents.get_mut(index - 1) {
                former.count = count;
            }
        }
    }

    /// Every record the row refers to: pack and length in bytes, headers included.
    pub(crate) fn records(&self) -> impl Iterator<Item = (PackId, u64)> {
        let last = chunk_count(self.size).saturating_sub(1);
        let short = STRIDE - HEADER_BYTES - u64::from(odi_manifest::chunk_len(self.size, last));
        let list = self.list.map(|at| (at.pack, HEADER_BYTES + u64::from(chunk_count(self.size)) * 32));
        let data = self.extents.iter().map(move |extent| {
            let cut = if extent.end() > last { short } else { 0 };
            (extent.at.pack, u64::from(extent.count) * STRIDE - cut)
        });
        list.into_iter().chain(data)
    }

    /// The chunks that lie in a pack, and where.
    pub(crate) fn in_pack(&self, pack: PackId) -> impl Iterator<Item = (u32, Location)> {
        let extents = self.extents.iter().filter(move |extent| extent.at.pack == pack);
        extents.flat_map(|extent| (extent.first..extent.end()).map(|chunk| (chunk, extent.location(chunk))))
    }

    /// Roughly what the row costs in memory.
    pub(crate) fn weight(&self) -> u64 {
        (size_of::<Self>() + self.extents.len() * size_of::<Extent>()) as u64 + 96
    }
}

#[cfg(test)]
mod tests;
