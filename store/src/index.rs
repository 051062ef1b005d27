//! The index: redb rows about records, rebuildable from the packs alone (FORMAT.md § Index).
//!
//! One writer thread commits; anybody may look up in short read transactions. Every change to rows goes through
//! [`apply`](apply::Transaction::apply).

mod apply;
mod backend;
mod holding;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use odi_manifest::{BlobId, NodeId};
use redb::{Database, Durability, ReadableDatabase, ReadableTable};

use crate::change::Change;
use crate::disk::{Disk, OpenMode};
use crate::error::StoreError;
use crate::pack::PackId;
use crate::row::{self, BlobRow, NodeRow, PackRow};

pub(crate) use apply::{Guard, Mode, Outcome, Published};
pub(crate) use tables::Meta;

/// What is known of a blob.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// All of it is here.
    Complete(BlobRow),
    /// Purged.
    Dead,
    /// Not here, or not whole.
    Absent,
}

pub(crate) struct Index {
    database: Database,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index file, creating its tables if it is new; `length` follows the file's length.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        mode: OpenMode,
        cache_bytes: u64,
        length: Arc<AtomicU64>,
    ) -> Result<Self, StoreError> {
        let file = disk.open(path, mode).map_err(|error| StoreError::disk("open", path, error))?;
        let backend =
            backend::Backend::new(file, length).map_err(|error| StoreError::disk("measure", path, error))?;
        let database = Database::builder()
            .set_cache_size(usize::try_from(cache_bytes).unwrap_or(usize::MAX))
            .create_with_backend(backend)
            .map_err(|error| StoreError::index("open", error))?;
        let index = Self { database };
        if mode != OpenMode::Existing {
            let outcome = index.commit(&[], Mode::Live, &Guard::default())?;
            debug_assert!(outcome.published.is_empty());
        }
        Ok(index)
    }

    /// Applies changes in order and commits them durably: the only commit point of the store.
    pub(crate) fn commit(
        &self,
        changes: &[Change],
        mode: Mode,
        guard: &Guard<'_>,
    ) -> Result<Outcome, StoreError> {
        let mut txn = self.database.begin_write().map_err(|error| StoreError::index("begin", error))?;
        txn.set_durability(Durability::Immediate).map_err(|error| StoreError::index("begin", error))?;
        // Quick repair keeps opening instant; two phases because those who publish choose our keys and values.
        txn.set_quick_repair(true);
        txn.set_two_phase_commit(true);
        let outcome = apply::transact(&txn, changes, mode, guard)?;
        txn.commit().map_err(|error| StoreError::index("commit", error))?;
        Ok(outcome)
    }

    fn read(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| StoreError::index("read", error))
    }

    pub(crate) fn lookup(&self, blob: &BlobId) -> Result<Lookup, StoreError> {
        let txn = self.read()?;
        let blobs = tables::open_read(&txn, tables::BLOBS)?;
        if let Some(value) = blobs.get(blob.as_bytes()).map_err(|error| StoreError::index("read", error))? {
            let row = row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?;
            return Ok(Lookup::Complete(row));
        }
        let dead = tables::open_read(&txn, tables::DEAD)?;
        let value = dead.get(blob.as_bytes()).map_err(|error| StoreError::index("read", error))?;
        match value.map(|value| row::decode_tombstone(value.value())) {
            None => Ok(Lookup::Absent),
            Some(Ok(tombstone)) if tombstone.lifted => Ok(Lookup::Absent),
            Some(Ok(_)) => Ok(Lookup::Dead),
            Some(Err(_)) => Err(StoreError::IndexRow),
        }
    }

    /// What is held of a blob if it had this size.
    pub(crate) fn partial(&self, blob: &BlobId, size: u64) -> Result<Option<BlobRow>, StoreError> {
        let txn = self.read()?;
        let partial = tables::open_read(&txn, tables::PARTIAL)?;
        let value = partial.get(&tables::partial_key(blob, size));
        let value = value.map_err(|error| StoreError::index("read", error))?;
        value.map(|value| row::decode_row(value.value())).transpose().map_err(|_| StoreError::IndexRow)
    }

    pub(crate) fn node(&self, node: &NodeId) -> Result<Option<NodeRow>, StoreError> {
        let txn = self.read()?;
        let nodes = tables::open_read(&txn, tables::NODES)?;
        let value = nodes.get(node.as_bytes()).map_err(|error| StoreError::index("read", error))?;
        value.map(|value| row::decode_node(value.value())).transpose().map_err(|_| StoreError::IndexRow)
    }

    /// The accounts of all packs, ascending.
    pub(crate) fn packs(&self) -> Result<Vec<(PackId, PackRow)>, StoreError> {
        let txn = self.read()?;
        let packs = tables::open_read(&txn, tables::PACKS)?;
        let rows = packs.iter().map_err(|error| StoreError::index("read", error))?;
        rows.map(|entry| {
            let (key, value) = entry.map_err(|error| StoreError::index("read", error))?;
            let row = row::decode_pack(value.value()).map_err(|_| StoreError::IndexRow)?;
            Ok((PackId(key.value()), row))
        })
        .collect()
    }

    /// The counters.
    pub(crate) fn meta(&self) -> Result<Meta, StoreError> {
        Meta::load(&tables::open_read(&self.read()?, tables::META)?)
    }
}

mod walk;
pub(crate) use walk::KEYS_PER_STEP;
