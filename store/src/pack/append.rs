//! Appends records to the open packs and queues what they change.
//!
//! Two lanes, each one open pack behind a lock, so that two threads can write at once. A lane's changes are queued
//! under its lock: the queue has the order of every pack, and a committed end covers all records before it.

use std::io::IoSlice;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Location, PACK_HEADER_BYTES, PackId, Shelf};
use crate::budget::{Budget, Purpose};
use crate::change::Change;
use crate::disk::DiskFile;
use crate::error::StoreError;
use crate::queue::{Queue, Seq};
use crate::record::{Body, Header, RawHeader};

const LANES: usize = 2;

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) header: Header,
    pub(crate) payload: &'a [u8],
    /// Where compaction took it from.
    pub(crate) source: Option<Location>,
}

/// Records that were written back to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    /// Where the first one begins.
    pub(crate) at: Location,
    /// What to wait for.
    pub(crate) seq: Seq,
}

#[derive(Debug)]
pub(crate) struct Appender {
    shelf: Arc<Shelf>,
    queue: Arc<Queue>,
    budget: Arc<Budget>,
    pack_bytes: u64,
    next_pack: AtomicU32,
    lanes: [Mutex<Option<OpenPack>>; LANES],
}

#[derive(Debug)]
pub(crate) struct OpenPack {
    pub(crate) id: PackId,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) tail: u64,
}

impl Appender {
    /// An appender that goes on with the packs that recovery left open, and then numbers new ones from `next_pack`.
    pub(crate) fn new(
        shelf: Arc<Shelf>,
        queue: Arc<Queue>,
        budget: Arc<Budget>,
        pack_bytes: u64,
        next_pack: PackId,
        open: Vec<OpenPack>,
    ) -> Self {
        let mut open = open.into_iter();
        let lanes = std::array::from_fn(|_| Mutex::new(open.next()));
        Self { shelf, queue, budget, pack_bytes, next_pack: AtomicU32::new(next_pack.0), lanes }
    }

    /// Writes records back to back into one pack and queues their changes.
    ///
    /// # Errors
    /// Over budget, or the disk refused; then nothing was queued, and the pack is sealed where it was good.
    pub(crate) fn append(&self, records: &[Record<'_>]) -> Result<Appended, StoreError> {
        let bytes: u64 = records.iter().map(|record| record.header.body.record_len()).sum();
        let headers: Vec<_> =
            records.iter().map(|record| record.header.encode(self.shelf.salt(), record.payload)).collect();
        let purpose = match records.first().map(|record| record.header) {
            Some(Header { moved: true, .. }) => Purpose::Compaction,
            Some(Header { body: Body::Node { .. } | Body::Tombstone { .. }, .. }) => Purpose::Structure,
            _ => Purpose::Content,
        };
        self.budget.reserve(bytes, purpose)?;
        let appended = self.write(records, &headers, bytes);
        if appended.is_err() {
            self.budget.release(bytes);
        }
        appended
    }

    fn write(
        &self,
        records: &[Record<'_>],
        headers: &[RawHeader],
        bytes: u64,
    ) -> Result<Appended, StoreError> {
        let mut lane = self.lane();
        let pack = self.room(&mut lane, bytes)?;
        let (id, start) = (pack.id, pack.tail);
        let parts: Vec<IoSlice<'_>> = headers
            .iter()
            .zip(records)
            .flat_map(|(header, record)| [IoSlice::new(header), IoSlice::new(record.payload)])
            .collect();
        if let Err(error) = pack.file.write_at(start, &parts) {
            let error = StoreError::disk("write", &self.shelf.path(id), error);
            return Err(self.cut(&mut lane, error));
        }
        pack.tail += bytes;
        let mut offset = u32::try_from(start).expect("packs are below 4 GiB");
        let at = Location { pack: id, offset };
        let changes = records.iter().map(|record| {
            let at = Location { pack: id, offset };
            let len = record.header.body.record_len();
            offset += u32::try_from(len).expect("records are below 9 MiB");
            Change::Record { header: record.header, at, source: record.source }
        });
        let seq = self.queue.push(changes, bytes)?;
        Ok(Appended { at, seq })
    }

    /// A free lane if there is one, else the first.
    fn lane(&self) -> MutexGuard<'_, Option<OpenPack>> {
        let [first, second] = &self.lanes;
        if let Ok(lane) = first.try_lock() {
            return lane;
        }
        if let Ok(lane) = second.try_lock() {
            return lane;
        }
        first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane's pack, if the bytes fit, else a new one.
    fn room<'l>(&self, lane: &'l mut Option<OpenPack>, bytes: u64) -> Result<&'l mut OpenPack, StoreError> {
        let empty = u64::from(PACK_HEADER_BYTES);
        if lane.as_ref().is_some_and(|pack| pack.tail > empty && pack.tail + bytes > self.pack_bytes) {
            self.seal(lane)?;
        }
        match lane {
            Some(pack) => Ok(pack),
            None => {
                let id = PackId(self.next_pack.fetch_add(1, Ordering::Relaxed));
                let created = self.shelf.create(id);
                let file =
                    created.map_err(|error| StoreError::disk("create", &self.shelf.path(id), error))?;
                self.budget.found(empty);
                Ok(lane.insert(OpenPack { id, file, tail: empty }))
            }
        }
    }

    /// Ends a pack at its tail.
    fn seal(&self, lane: &mut Option<OpenPack>) -> Result<(), StoreError> {
        if let Some(pack) = lane.take() {
            self.queue.push([Change::Seal { pack: pack.id, end: pack.tail }].into_iter(), 0)?;
        }
        Ok(())
    }

    /// After a failed write: cuts off what it may have left behind the tail, durably, and seals the pack. Else a
    /// rebuild could one day find a record there that nobody was ever told of. If even that fails, the store stops.
    fn cut(&self, lane: &mut Option<OpenPack>, error: StoreError) -> StoreError {
        let cut = lane.as_ref().map_or(Ok(()), |pack| {
            pack.file.set_size(pack.tail)?;
            pack.file.sync()
        });
        match cut {
            Ok(()) => self.seal(lane).err().unwrap_or(error),
            Err(_) => {
                *lane = None;
                self.queue.fail(error.clone());
                error
            }
        }
    }

    /// Seals those of these packs that are open, so that they can be compacted. The others stay open: sealed before they are full, they
    /// would lie about as small packs for as long as half of them is needed.
    pub(crate) fn seal_open(&self, packs: &[PackId]) -> Result<(), StoreError> {
        for lane in &self.lanes {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            if lane.as_ref().is_some_and(|pack| packs.contains(&pack.id)) {
                self.seal(&mut lane)?;
            }
        }
        Ok(())
    }

    /// Lets go of the open packs, whose tails nobody trusts any more.
    pub(crate) fn abandon(&self) {
        for lane in &self.lanes {
            lane.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}
