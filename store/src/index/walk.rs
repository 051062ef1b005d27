//! Walks over whole tables, in steps, so that no read transaction lives long.

use odi_manifest::{BlobId, NodeId};
use redb::{ReadableTable, ReadableTableMetadata};

use super::{Index, tables};
use crate::error::StoreError;
use crate::row::{self, BlobRow, NodeRow, Ordinal};

/// Rows read under one transaction.
pub(crate) const KEYS_PER_STEP: usize = 16 << 10;

/// How many rows there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) blobs: u64,
    pub(crate) partial: u64,
    pub(crate) nodes: u64,
    pub(crate) dead: u64,
}

fn read<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::index("read", error)
}

impl Index {
    /// Up to [`KEYS_PER_STEP`] complete blobs after `after`, ascending.
    pub(crate) fn blobs_after(&self, after: Option<BlobId>) -> Result<Vec<(BlobId, BlobRow)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let table = tables::open_read(&self.read()?, tables::BLOBS)?;
        let from = after.as_ref().map_or(Unbounded, |blob| Excluded(blob.as_bytes()));
        let range = table.range::<&[u8; 32]>((from, Unbounded)).map_err(read)?;
        range
            .take(KEYS_PER_STEP)
            .map(|entry| {
                let (key, value) = entry.map_err(read)?;
                let row = row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?;
                Ok((BlobId::from_bytes(*key.value()), row))
            })
            .collect()
    }

    /// Up to [`KEYS_PER_STEP`] partial blobs after `after`, ascending by id and size.
    pub(crate) fn partial_after(
        &self,
        after: Option<(BlobId, u64)>,
    ) -> Result<Vec<(BlobId, BlobRow)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let table = tables::open_read(&self.read()?, tables::PARTIAL)?;
        let from = after.map(|(blob, size)| tables::partial_key(&blob, size));
        let from = from.as_ref().map_or(Unbounded, Excluded);
        let range = table.range::<&[u8; 40]>((from, Unbounded)).map_err(read)?;
        range
            .take(KEYS_PER_STEP)
            .map(|entry| {
                let (key, value) = entry.map_err(read)?;
                let blob = key.value().first_chunk::<32>().copied().ok_or(StoreError::IndexRow)?;
                let row = row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?;
                Ok((BlobId::from_bytes(blob), row))
            })
            .collect()
    }

    /// Up to [`KEYS_PER_STEP`] nodes after `after`, ascending.
    pub(crate) fn nodes_after(&self, after: Option<NodeId>) -> Result<Vec<(NodeId, NodeRow)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let table = tables::open_read(&self.read()?, tables::NODES)?;
        let from = after.as_ref().map_or(Unbounded, |node| Excluded(node.as_bytes()));
        let range = table.range::<&[u8; 32]>((from, Unbounded)).map_err(read)?;
        range
            .take(KEYS_PER_STEP)
            .map(|entry| {
                let (key, value) = entry.map_err(read)?;
                let row = row::decode_node(value.value()).map_err(|_| StoreError::IndexRow)?;
                Ok((NodeId::from_bytes(*key.value()), row))
            })
            .collect()
    }

    /// The ordinals of all rows, complete and partial, of some blobs.
    pub(crate) fn ordinals(&self, blobs: &[BlobId], mut each: impl FnMut(Ordinal)) -> Result<(), StoreError> {
        let txn = self.read()?;
        let (complete, partial) =
            (tables::open_read(&txn, tables::BLOBS)?, tables::open_read(&txn, tables::PARTIAL)?);
        let has_partial = !partial.is_empty().map_err(read)?;
        for blob in blobs {
            if let Some(value) = complete.get(blob.as_bytes()).map_err(read)? {
                each(row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?.ordinal);
            } else if has_partial {
                let (from, to) = (tables::partial_key(blob, 0), tables::partial_key(blob, u64::MAX));
                for entry in partial.range::<&[u8; 40]>(&from..=&to).map_err(read)? {
                    let (_, value) = entry.map_err(read)?;
                    each(row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?.ordinal);
                }
            }
        }
        Ok(())
    }

    /// Every pinned blob, once per pin.
    pub(crate) fn pinned(&self, mut each: impl FnMut(BlobId)) -> Result<(), StoreError> {
        let table = tables::open_read(&self.read()?, tables::PINS)?;
        for entry in table.iter().map_err(read)? {
            let (key, _) = entry.map_err(read)?;
            if let Some(blob) = key.value().last_chunk::<32>() {
                each(BlobId::from_bytes(*blob));
            }
        }
        Ok(())
    }

    /// How many rows each table has.
    pub(crate) fn counts(&self) -> Result<Counts, StoreError> {
        let txn = self.read()?;
        Ok(Counts {
            blobs: tables::open_read(&txn, tables::BLOBS)?.len().map_err(read)?,
            partial: tables::open_read(&txn, tables::PARTIAL)?.len().map_err(read)?,
            nodes: tables::open_read(&txn, tables::NODES)?.len().map_err(read)?,
            dead: tables::open_read(&txn, tables::DEAD)?.len().map_err(read)?,
        })
    }

    /// The tombstone in force for a blob, if any.
    pub(crate) fn tombstone(&self, blob: &BlobId) -> Result<Option<row::TombstoneRow>, StoreError> {
        let table = tables::open_read(&self.read()?, tables::DEAD)?;
        let value = table.get(blob.as_bytes()).map_err(read)?;
        value.map(|value| row::decode_tombstone(value.value())).transpose().map_err(|_| StoreError::IndexRow)
    }
}
