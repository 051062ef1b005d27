//! All that the index knows of one blob id, and how records change it. Pure: rows in, rows and accounts out.

use std::collections::HashSet;

use odi_manifest::CHUNK_BYTES;

use crate::pack::{Location, PackId};
use crate::record::{Body, Header};
use crate::row::{BlobRow, Hour, Ordinal, TombstoneRow};

/// What is held under one blob id.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    pub(super) complete: Option<BlobRow>,
    /// One row per claimed size.
    pub(super) partial: Vec<BlobRow>,
    pub(super) tombstone: Option<TombstoneRow>,
}

/// Changes of live bytes, to be booked on packs.
#[derive(Debug, Default)]
pub(super) struct Accounts(pub(super) Vec<(PackId, i64)>);

impl Accounts {
    fn gain(&mut self, at: Location, bytes: u64) {
        self.0.push((at.pack, i64::try_from(bytes).expect("records are below 9 MiB")));
    }

    fn lose(&mut self, at: Location, bytes: u64) {
        self.0.push((at.pack, -i64::try_from(bytes).expect("records are below 9 MiB")));
    }

    fn lose_row(&mut self, row: &BlobRow) {
        let bytes = |bytes| -i64::try_from(bytes).expect("packs are below 4 GiB");
        self.0.extend(row.records().map(|(pack, len)| (pack, bytes(len))));
    }
}

impl Holding {
    pub(super) fn is_dead(&self) -> bool {
        self.tombstone.is_some_and(|tombstone| !tombstone.lifted)
    }

    /// Takes in a data or list record. `source` must be where the row says, if it is given.
    pub(super) fn take(
        &mut self,
        header: &Header,
        at: Location,
        source: Option<Location>,
        now: Hour,
        mut ordinal: impl FnMut() -> Ordinal,
        accounts: &mut Accounts,
    ) {
        let (size, chunk) = match header.body {
            Body::Data { size, chunk, .. } => (size, Some(chunk)),
            Body::List { size, .. } => (size, None),
            _ => return,
        };
        if self.is_dead() || self.complete.as_ref().is_some_and(|row| row.size != size) {
            return;
        }
        let known = self.complete.as_ref().or_else(|| self.partial.iter().find(|row| row.size == size));
        if source.is_some() && known.and_then(|row| place_of(row, chunk)) != source {
            return;
        }
        if known.is_none() {
            self.partial.push(BlobRow::new(ordinal(), size, now));
        }
        let Some(row) = self.complete.iter_mut().chain(&mut self.partial).find(|row| row.size == size) else {
            return;
        };
        let bytes = header.body.record_len();
        let former = match chunk {
            Some(chunk) => row.place(chunk, at),
            None => row.list.replace(at),
        };
        accounts.gain(at, bytes);
        if let Some(former) = former {
            accounts.lose(former, bytes);
        }
        self.settle(accounts);
    }

    /// Drops a chunk, or the list, that lies damaged at a place. `false` if it no longer lies there.
    pub(super) fn drop_at(
        &mut self,
        size: u64,
        chunk: Option<u32>,
        at: Location,
        bytes: u64,
        accounts: &mut Accounts,
    ) -> bool {
        let row = self.complete.iter_mut().chain(&mut self.partial).find(|row| row.size == size);
        let Some(row) = row.filter(|row| place_of(row, chunk) == Some(at)) else { return false };
        match chunk {
            Some(chunk) => _ = row.forget(chunk),
            None => row.list = None,
        }
        accounts.lose(at, bytes);
        self.settle(accounts);
        true
    }

    /// Takes in a tombstone, or the end of one. Returns the packs that dead bytes lie in now.
    pub(super) fn bury(
        &mut self,
        tombstone: TombstoneRow,
        bytes: u64,
        accounts: &mut Accounts,
    ) -> HashSet<PackId> {
        if let Some(former) = self.tombstone {
            // Compaction carries the one in force along under its own generation.
            if former.generation > tombstone.generation {
                return HashSet::new();
            }
            accounts.lose(former.at, bytes);
        }
        accounts.gain(tombstone.at, bytes);
        self.tombstone = Some(tombstone);
        if tombstone.lifted {
            return HashSet::new();
        }
        let rows = self.complete.iter().chain(&self.partial);
        let packs = rows.flat_map(BlobRow::records).map(|(pack, _)| pack).collect();
        self.clear(accounts);
        packs
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self, accounts: &mut Accounts) {
        for row in self.complete.take().into_iter().chain(self.partial.drain(..)) {
            accounts.lose_row(&row);
        }
    }

    /// Moves rows to where they belong: complete, partial, or gone.
    fn settle(&mut self, accounts: &mut Accounts) {
        if let Some(row) = self.complete.take_if(|row| !row.is_complete()) {
            self.partial.push(row);
        }
        self.partial.retain(|row| !row.is_empty());
        if let Some(found) = self.partial.iter().position(BlobRow::is_complete) {
            let row = self.partial.swap_remove(found);
            self.clear(accounts);
            self.complete = Some(row);
        }
    }
}

/// Where a row says that a chunk, or the list, lies.
fn place_of(row: &BlobRow, chunk: Option<u32>) -> Option<Location> {
    match chunk {
        Some(chunk) => row.location(chunk),
        None => row.list.filter(|_| row.size > CHUNK_BYTES),
    }
}
