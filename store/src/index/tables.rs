//! The tables by name, version and key, and the counters.

use odi_manifest::BlobId;
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, Value};

use crate::error::StoreError;
use crate::pack::{Location, PackId};

pub(super) const BLOBS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("blobs-1");
pub(super) const PARTIAL: TableDefinition<'_, &[u8; 40], &[u8]> = TableDefinition::new("partial-1");
pub(super) const DEAD: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("dead-1");
pub(super) const NODES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("nodes-1");
pub(super) const PACKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("packs-1");
pub(super) const PINS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("pins-1");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta-1");

/// The key of a partial blob: id, then size big-endian.
pub(super) fn partial_key(blob: &BlobId, size: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(blob.as_bytes());
    key[32..].copy_from_slice(&size.to_be_bytes());
    key
}

pub(super) fn open_read<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<ReadOnlyTable<K, V>, StoreError> {
    txn.open_table(table).map_err(|error| StoreError::index("open a table", error))
}

/// The counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The next ordinal.
    pub(crate) ordinal: u64,
    /// The lowest pack number that was never committed.
    pub(crate) pack: PackId,
    /// The last tombstone's generation.
    pub(crate) generation: u64,
    /// How far scrub has come.
    pub(crate) scrub: Location,
}

impl Default for Location {
    fn default() -> Self {
        Self::NONE
    }
}

impl Meta {
    pub(super) fn load(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, StoreError> {
        let number = |name: &str| -> Result<u64, StoreError> {
            let value = table.get(name).map_err(|error| StoreError::index("read", error))?;
            Ok(value.map_or(0, |value| value.value()))
        };
        let short = |name: &str| u32::try_from(number(name)?).map_err(|_| StoreError::IndexRow);
        Ok(Self {
            ordinal: number("ordinal")?,
            pack: PackId(short("pack")?.max(1)),
            generation: number("generation")?,
            scrub: Location { pack: PackId(short("scrub pack")?), offset: short("scrub offset")? },
        })
    }

    pub(super) fn store(&self, table: &mut redb::Table<'_, &'static str, u64>) -> Result<(), StoreError> {
        let numbers = [
            ("ordinal", self.ordinal),
            ("pack", u64::from(self.pack.0)),
            ("generation", self.generation),
            ("scrub pack", u64::from(self.scrub.pack.0)),
            ("scrub offset", u64::from(self.scrub.offset)),
        ];
        for (name, number) in numbers {
            table.insert(name, number).map_err(|error| StoreError::index("write", error))?;
        }
        Ok(())
    }
}
