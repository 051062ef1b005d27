//! The one function that changes rows, for callers, recovery and rebuild alike (FORMAT.md I5, I6).

use std::collections::{HashMap, HashSet};

use odi_manifest::{BlobId, NodeId};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::holding::{Accounts, Holding};
use super::tables::{self, Meta};
use crate::change::Change;
use crate::error::StoreError;
use crate::events::Event;
use crate::pack::{Location, PackId};
use crate::record::{Body, HEADER_BYTES, Header};
use crate::row::{self, BlobRow, Hour, NodeRow, Ordinal, PackRow, TombstoneRow};

/// Who asks, and hence what a MOVED record means (FORMAT.md I6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Callers: it counts where the row names its source.
    Live,
    /// Recovery: passed over, its source is still there.
    Recovery,
    /// Rebuild: as any other record.
    Rebuild,
}

/// What an eviction must not touch, and what time it is.
pub(crate) struct Guard<'a> {
    pub(crate) hour: Hour,
    pub(crate) keeps_blob: &'a dyn Fn(&BlobId, Ordinal) -> bool,
    pub(crate) keeps_node: &'a dyn Fn(Ordinal) -> bool,
}

impl Default for Guard<'_> {
    fn default() -> Self {
        Self { hour: Hour::default(), keeps_blob: &|_, _| true, keeps_node: &|_| true }
    }
}

/// A blob's state after a commit, for those who remember rows.
#[derive(Clone, Debug)]
pub(crate) enum Published {
    Complete(BlobRow),
    Dead,
    Absent,
}

/// What a commit did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) published: Vec<(BlobId, Published)>,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) events: Vec<Event>,
    /// Packs whose rows are gone and whose files may go.
    pub(crate) removed: Vec<(PackId, PackRow)>,
    /// Ends of the packs that changed.
    pub(crate) ends: Vec<(PackId, u64)>,
    pub(crate) evicted: u64,
    pub(crate) confirmations: Vec<(std::sync::mpsc::SyncSender<bool>, bool)>,
}

pub(super) struct Transaction<'t, 'g> {
    blobs: Table<'t, &'static [u8; 32], &'static [u8]>,
    partial: Table<'t, &'static [u8; 40], &'static [u8]>,
    dead: Table<'t, &'static [u8; 32], &'static [u8]>,
    nodes: Table<'t, &'static [u8; 32], &'static [u8]>,
    packs: Table<'t, u32, &'static [u8]>,
    pins: Table<'t, &'static [u8], ()>,
    meta_table: Table<'t, &'static str, u64>,
    meta: Meta,
    has_partial: bool,
    has_dead: bool,
    holdings: HashMap<BlobId, Holding>,
    touched_nodes: HashMap<NodeId, Option<NodeRow>>,
    touched_packs: HashMap<PackId, Option<PackRow>>,
    mode: Mode,
    guard: &'g Guard<'g>,
    outcome: Outcome,
}

/// Applies changes within a transaction that the caller commits.
pub(super) fn transact(
    txn: &WriteTransaction,
    changes: &[Change],
    mode: Mode,
    guard: &Guard<'_>,
) -> Result<Outcome, StoreError> {
    let mut transaction = Transaction::open(txn, mode, guard)?;
    for change in changes {
        transaction.apply(change)?;
    }
    transaction.write()
}

fn read<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::index("read", error)
}

fn write<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::index("write", error)
}

impl<'t, 'g> Transaction<'t, 'g> {
    fn open(txn: &'t WriteTransaction, mode: Mode, guard: &'g Guard<'g>) -> Result<Self, StoreError> {
        let open = |error| StoreError::index("open a table", error);
        let meta_table = txn.open_table(tables::META).map_err(open)?;
        let partial = txn.open_table(tables::PARTIAL).map_err(open)?;
        let dead = txn.open_table(tables::DEAD).map_err(open)?;
        Ok(Self {
            meta: Meta::load(&meta_table)?,
            has_partial: !partial.is_empty().map_err(read)?,
            has_dead: !dead.is_empty().map_err(read)?,
            blobs: txn.open_table(tables::BLOBS).map_err(open)?,
            nodes: txn.open_table(tables::NODES).map_err(open)?,
            packs: txn.open_table(tables::PACKS).map_err(open)?,
            pins: txn.open_table(tables::PINS).map_err(open)?,
            partial,
            dead,
            meta_table,
            holdings: HashMap::new(),
            touched_nodes: HashMap::new(),
            touched_packs: HashMap::new(),
            mode,
            guard,
            outcome: Outcome::default(),
        })
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Record { header, at, source } => self.record(header, *at, *source)?,
            Change::Drop { blob, size, chunk, at } => self.drop_chunk(*blob, *size, *chunk, *at)?,
            Change::DropNode { node, at } => {
                if self.node(node)?.is_some_and(|row| row.at == *at) {
                    self.set_node(*node, None)?;
                    self.outcome.events.push(Event::NodeLost { node: *node });
                }
            }
            Change::Evict { blobs, nodes } => self.evict(blobs, nodes)?,
            Change::Confirm { blob, reply } => {
                let complete = self.holding(*blob)?.complete.is_some();
                self.outcome.confirmations.push((reply.clone(), complete));
            }
            Change::Touch { blob, hour } => {
                if let Some(row) = &mut self.holding(*blob)?.complete {
                    row.last_use = row.last_use.max(*hour);
                }
            }
            Change::Seal { pack, end } => {
                let row = self.pack(*pack)?;
                (row.sealed, row.end) = (true, *end);
            }
            Change::Stain { pack } => self.stain(*pack)?,
            Change::Remove { pack } => self.remove(*pack)?,
            Change::Pin { name, blobs } => {
                for blob in blobs {
                    self.pins.insert(name.key(blob).as_slice(), ()).map_err(write)?;
                }
            }
            Change::Unpin { name } => {
                let (from, to) = name.range();
                self.pins.retain_in(from.as_slice()..to.as_slice(), |_, ()| false).map_err(write)?;
            }
            Change::Scrubbed { at } => self.meta.scrub = *at,
        }
        Ok(())
    }

    fn record(&mut self, header: &Header, at: Location, source: Option<Location>) -> Result<(), StoreError> {
        let bytes = header.body.record_len();
        let end = u64::from(at.offset) + bytes;
        let pack = self.pack(at.pack)?;
        pack.end = pack.end.max(end);
        // Also of one that is passed over below: its bytes are there.
        if let Body::Data { blob, .. } | Body::List { blob, .. } = header.body
            && self.holding(blob)?.is_dead()
        {
            return self.stain(at.pack);
        }
        if header.moved && self.mode == Mode::Recovery {
            return Ok(());
        }
        match header.body {
            Body::Data { blob, .. } | Body::List { blob, .. } => {
                let mut accounts = Accounts::default();
                let (mut next, hour) = (self.meta.ordinal, self.guard.hour);
                let ordinal = || {
                    next += 1;
                    // Four thousand million blobs and nodes per index; a rebuild numbers afresh.
                    Ordinal(u32::try_from(next - 1).unwrap_or(u32::MAX))
                };
                self.holding(blob)?.take(header, at, source, hour, ordinal, &mut accounts);
                self.meta.ordinal = next;
                self.book(accounts)
            }
            Body::Node { node, length } => {
                let former = self.node(&node)?;
                if source.is_some() && former.map(|row| row.at) != source {
                    return Ok(());
                }
                let ordinal = match former {
                    Some(row) => row.ordinal,
                    None => {
                        self.meta.ordinal += 1;
                        Ordinal(u32::try_from(self.meta.ordinal - 1).unwrap_or(u32::MAX))
                    }
                };
                self.set_node(node, Some(NodeRow { ordinal, at, length }))
            }
            Body::Tombstone { blob, generation, lifted } => {
                let mut accounts = Accounts::default();
                self.meta.generation = self.meta.generation.max(generation);
                let tombstone = TombstoneRow { generation, lifted, at };
                for pack in self.holding(blob)?.bury(tombstone, bytes, &mut accounts) {
                    self.stain(pack)?;
                }
                self.book(accounts)
            }
            Body::Recipe { .. } => Ok(()),
        }
    }

    fn drop_chunk(
        &mut self,
        blob: BlobId,
        size: u64,
        chunk: Option<u32>,
        at: Location,
    ) -> Result<(), StoreError> {
        let body = match chunk {
            Some(chunk) => Body::Data { blob, size, chunk },
            None => Body::List { blob, size },
        };
        let mut accounts = Accounts::default();
        if self.holding(blob)?.drop_at(size, chunk, at, body.record_len(), &mut accounts) {
            self.outcome.events.push(Event::ChunkLost { blob, size, chunk });
        }
        self.book(accounts)
    }

    fn evict(&mut self, blobs: &[BlobId], nodes: &[NodeId]) -> Result<(), StoreError> {
        let guard = self.guard;
        for blob in blobs {
            let holding = self.holding(*blob)?;
            let mut rows = holding.complete.iter().chain(&holding.partial);
            if rows.all(|row| !(guard.keeps_blob)(blob, row.ordinal)) {
                let mut accounts = Accounts::default();
                holding.clear(&mut accounts);
                self.outcome.evicted += u64::from(!accounts.0.is_empty());
                self.book(accounts)?;
            }
        }
        for node in nodes {
            if self.node(node)?.is_some_and(|row| !(guard.keeps_node)(row.ordinal)) {
                self.set_node(*node, None)?;
                self.outcome.evicted += 1;
            }
        }
        Ok(())
    }

    /// Notes that a pack has purged bytes. One that is gone has none.
    fn stain(&mut self, pack: PackId) -> Result<(), StoreError> {
        let row = self.pack(pack)?;
        row.stained = true;
        if row.end == 0 {
            self.touched_packs.insert(pack, None);
        }
        Ok(())
    }

    fn remove(&mut self, pack: PackId) -> Result<(), StoreError> {
        let row = *self.pack(pack)?;
        if row.sealed && row.live == 0 {
            self.touched_packs.insert(pack, None);
            self.outcome.removed.push((pack, row));
        }
        Ok(())
    }

    fn book(&mut self, accounts: Accounts) -> Result<(), StoreError> {
        for (pack, bytes) in accounts.0 {
            let row = self.pack(pack)?;
            row.live = row.live.saturating_add_signed(bytes);
        }
        Ok(())
    }

    /// The blob's rows, read once per batch.
    fn holding(&mut self, blob: BlobId) -> Result<&mut Holding, StoreError> {
        use std::collections::hash_map::Entry;
        let entry = match self.holdings.entry(blob) {
            Entry::Occupied(entry) => return Ok(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        let mut holding = Holding::default();
        if let Some(value) = self.blobs.get(blob.as_bytes()).map_err(read)? {
            holding.complete = Some(row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?);
        } else if self.has_partial {
            let range = tables::partial_key(&blob, 0)..=tables::partial_key(&blob, u64::MAX);
            for value in self.partial.range::<&[u8; 40]>(range.start()..=range.end()).map_err(read)? {
                let (_, value) = value.map_err(read)?;
                holding.partial.push(row::decode_row(value.value()).map_err(|_| StoreError::IndexRow)?);
            }
        }
        if self.has_dead
            && let Some(value) = self.dead.get(blob.as_bytes()).map_err(read)?
        {
            holding.tombstone = Some(row::decode_tombstone(value.value()).map_err(|_| StoreError::IndexRow)?);
        }
        Ok(entry.insert(holding))
    }

    fn pack(&mut self, pack: PackId) -> Result<&mut PackRow, StoreError> {
        use std::collections::hash_map::Entry;
        let slot = match self.touched_packs.entry(pack) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = self.packs.get(pack.0).map_err(read)?;
                let row = value.map(|value| row::decode_pack(value.value())).transpose();
                entry.insert(row.map_err(|_| StoreError::IndexRow)?)
            }
        };
        self.meta.pack = self.meta.pack.max(PackId(pack.0 + 1));
        Ok(slot.get_or_insert_default())
    }

    fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreError> {
        if let Some(row) = self.touched_nodes.get(node) {
            return Ok(*row);
        }
        let value = self.nodes.get(node.as_bytes()).map_err(read)?;
        value.map(|value| row::decode_node(value.value())).transpose().map_err(|_| StoreError::IndexRow)
    }

    fn set_node(&mut self, node: NodeId, row: Option<NodeRow>) -> Result<(), StoreError> {
        let former = self.node(&node)?;
        self.touched_nodes.insert(node, row);
        let bytes = |row: NodeRow| i64::from(row.length) + i64::try_from(HEADER_BYTES).expect("72");
        let mut accounts = Accounts::default();
        accounts.0.extend(former.map(|row| (row.at.pack, -bytes(row))));
        accounts.0.extend(row.map(|row| (row.at.pack, bytes(row))));
        self.book(accounts)
    }

    /// Writes what changed, each table in key order.
    fn write(mut self) -> Result<Outcome, StoreError> {
        let mut holdings: Vec<(BlobId, Holding)> = std::mem::take(&mut self.holdings).into_iter().collect();
        holdings.sort_unstable_by_key(|(blob, _)| *blob);
        for (blob, holding) in holdings {
            self.write_holding(blob, holding)?;
        }
        let mut nodes: Vec<(NodeId, Option<NodeRow>)> = self.touched_nodes.drain().collect();
        nodes.sort_unstable_by_key(|(node, _)| *node);
        for (node, row) in nodes {
            match row {
                Some(row) => {
                    _ = self.nodes.insert(node.as_bytes(), &*row::encode_node(&row)).map_err(write)?
                }
                None => _ = self.nodes.remove(node.as_bytes()).map_err(write)?,
            }
            self.outcome.nodes.push(node);
        }
        for (pack, row) in self.touched_packs.drain() {
            match row {
                Some(row) => {
                    self.packs.insert(pack.0, &*row::encode_pack(&row)).map_err(write)?;
                    self.outcome.ends.push((pack, row.end));
                }
                None => _ = self.packs.remove(pack.0).map_err(write)?,
            }
        }
        self.meta.store(&mut self.meta_table)?;
        Ok(self.outcome)
    }

    fn write_holding(&mut self, blob: BlobId, holding: Holding) -> Result<(), StoreError> {
        match &holding.complete {
            Some(row) => _ = self.blobs.insert(blob.as_bytes(), &*row::encode_row(row)).map_err(write)?,
            None => _ = self.blobs.remove(blob.as_bytes()).map_err(write)?,
        }
        if self.has_partial {
            let sizes: HashSet<u64> = holding.partial.iter().map(|row| row.size).collect();
            let (from, to) = (tables::partial_key(&blob, 0), tables::partial_key(&blob, u64::MAX));
            let stale = |key: &[u8; 40], _: &[u8]| {
                let size = key.last_chunk::<8>().map(|size| u64::from_be_bytes(*size));
                size.is_some_and(|size| sizes.contains(&size))
            };
            self.partial.retain_in::<&[u8; 40], _>(&from..=&to, stale).map_err(write)?;
        }
        for row in &holding.partial {
            let key = tables::partial_key(&blob, row.size);
            self.partial.insert(&key, &*row::encode_row(row)).map_err(write)?;
        }
        if let Some(tombstone) = &holding.tombstone {
            self.dead.insert(blob.as_bytes(), &*row::encode_tombstone(tombstone)).map_err(write)?;
        }
        let published = match holding {
            Holding { complete: Some(row), .. } => Published::Complete(row),
            _ if holding.is_dead() => Published::Dead,
            _ => Published::Absent,
        };
        self.outcome.published.push((blob, published));
        Ok(())
    }
}
