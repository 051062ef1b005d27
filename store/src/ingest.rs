//! Taking in whole blobs: from memory, or from a file that is read as it is hashed.
//!
//! A blob is written once, whoever brings it and however often. What [`Store::ingest`] returns for is durable.

use std::io::{Read, Seek, SeekFrom};
use std::sync::mpsc::sync_channel;

use odi_manifest::{
    BLOB_BYTES_MAX, BlobId, CHUNK_BYTES, ChunkError, ChunkList, ChunkListBuilder, chunk_count, chunk_len,
    verify_small,
};

use crate::change::Change;
use crate::error::{IngestError, StoreError};
use crate::flights::Claim;
use crate::pack::Record;
use crate::queue::Seq;
use crate::record::{Body, CHUNK_LEN, Header};
use crate::rows::Known;
use crate::store::{Store, is_empty_blob};

/// Chunks written under one lock: 4 MiB.
const CHUNKS_PER_APPEND: usize = 16;
/// Files up to this size are read once and held; larger ones are read again if they turn out to be new.
const HELD_BYTES_MAX: u64 = 4 << 20;

/// What became of a blob that was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingested {
    /// It was written.
    New,
    /// It was here, or on its way, already.
    Known,
}

/// A blob that is written but may not be durable yet.
#[derive(Debug)]
#[must_use = "the blob is acknowledged only by `wait`"]
pub struct Ticket {
    store: Store,
    seq: Seq,
    ingested: Ingested,
}

impl Ticket {
    /// Waits until the blob is durable.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn wait(self) -> Result<Ingested, StoreError> {
        self.store.shared().queue.wait(self.seq)?;
        Ok(self.ingested)
    }

    /// Whether the blob is durable by now.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.store.shared().queue.is_committed(self.seq)
    }

    /// Whether it had to be written.
    #[must_use]
    pub fn ingested(&self) -> Ingested {
        self.ingested
    }
}

/// A reusable buffer for [`Store::ingest_file`]: one per thread.
#[derive(Debug, Default)]
pub struct IngestBuffer {
    bytes: Vec<u8>,
}

/// A whole blob's content by name and, above one chunk, its list.
struct Named {
    blob: BlobId,
    size: u64,
    list: Option<ChunkList>,
}

impl Named {
    fn of(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        if size <= CHUNK_BYTES {
            return Self { blob: BlobId::of(bytes), size, list: None };
        }
        let mut builder = ChunkListBuilder::new();
        chunks(bytes).for_each(|chunk| builder.push(chunk));
        let list = builder.finish();
        let blob = list.as_ref().map_or_else(|| BlobId::of(bytes), |list| *list.blob());
        Self { blob, size, list }
    }

    fn check(&self, expected: &BlobId) -> Result<(), IngestError> {
        if self.blob == *expected {
            return Ok(());
        }
        Err(IngestError::Content(ChunkError::OtherBlob { blob: *expected, got: self.blob }))
    }
}

fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(CHUNK_LEN)
}

impl Store {
    /// Takes in a whole blob and waits until it is durable.
    ///
    /// # Errors
    /// The bytes are not the blob's, the blob is dead, or the store cannot write.
    pub fn ingest(&self, blob: &BlobId, bytes: &[u8]) -> Result<Ingested, IngestError> {
        Ok(self.ingest_nowait(blob, bytes)?.wait()?)
    }

    /// Takes in many whole blobs and waits once.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest); blobs before the one that failed are taken in.
    pub fn ingest_many<'b>(
        &self,
        blobs: impl IntoIterator<Item = (&'b BlobId, &'b [u8])>,
    ) -> Result<(), IngestError> {
        let mut last = None;
        for (blob, bytes) in blobs {
            last = Some(self.ingest_nowait(blob, bytes)?);
        }
        Ok(last.map_or(Ok(Ingested::Known), Ticket::wait).map(|_| ())?)
    }

    /// Takes in a whole blob; the ticket says when it is durable.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest).
    pub fn ingest_nowait(&self, blob: &BlobId, bytes: &[u8]) -> Result<Ticket, IngestError> {
        if bytes.len() as u64 <= CHUNK_BYTES {
            verify_small(blob, bytes).map_err(IngestError::Content)?;
            let named = Named { blob: *blob, size: bytes.len() as u64, list: None };
            return self.take_in(&named, |write| write(0, bytes));
        }
        let named = Named::of(bytes);
        named.check(blob)?;
        self.take_in(&named, |write| write(0, bytes))
    }

    /// Takes in a file of a known size, hashing it as it is read; the ticket says when it is durable. Files above
    /// 4 MiB are read a second time if they are new.
    ///
    /// # Errors
    /// The file cannot be read or changes meanwhile, is not what was expected, or as [`ingest`](Self::ingest).
    pub fn ingest_file_nowait(
        &self,
        file: &mut (impl Read + Seek),
        size: u64,
        expected: Option<&BlobId>,
        buffer: &mut IngestBuffer,
    ) -> Result<(BlobId, Ticket), IngestError> {
        if size > BLOB_BYTES_MAX {
            let blob = expected.copied().unwrap_or_else(|| BlobId::from_bytes([0; 32]));
            return Err(IngestError::Content(ChunkError::BlobTooLarge { blob, size }));
        }
        let held = size <= HELD_BYTES_MAX;
        let named = if held {
            Named::of(buffer.fill(file, size)?)
        } else {
            let mut builder = ChunkListBuilder::new();
            for chunk in 0..chunk_count(size) {
                builder.push(buffer.fill(file, u64::from(chunk_len(size, chunk)))?);
            }
            let list = builder.finish().expect("more than 4 MiB is more than one chunk");
            Named { blob: *list.blob(), size, list: Some(list) }
        };
        if let Some(expected) = expected {
            named.check(expected)?;
        }
        let ticket = self.take_in(&named, |write| {
            if held {
                return write(0, &buffer.bytes);
            }
            let list = named.list.as_ref().expect("more than 4 MiB has a list");
            file.seek(SeekFrom::Start(0)).map_err(IngestError::Source)?;
            let step = CHUNKS_PER_APPEND as u64 * CHUNK_BYTES;
            for first in (0..chunk_count(size)).step_by(CHUNKS_PER_APPEND) {
                let bytes = buffer.fill(file, step.min(size - u64::from(first) * CHUNK_BYTES))?;
                for (chunk, bytes) in (first..).zip(chunks(bytes)) {
                    list.check(chunk, bytes).map_err(|_| IngestError::Changed)?;
                }
                write(first, bytes)?;
            }
            Ok(())
        })?;
        Ok((named.blob, ticket))
    }

    /// As [`ingest_file_nowait`](Self::ingest_file_nowait), and waits until the blob is durable.
    ///
    /// # Errors
    /// As there.
    pub fn ingest_file(
        &self,
        file: &mut (impl Read + Seek),
        size: u64,
        expected: Option<&BlobId>,
    ) -> Result<BlobId, IngestError> {
        let (blob, ticket) = self.ingest_file_nowait(file, size, expected, &mut IngestBuffer::default())?;
        ticket.wait()?;
        Ok(blob)
    }

    /// Writes a verified blob unless it is here. `content` hands over runs of chunks, each with its first index.
    fn take_in(
        &self,
        named: &Named,
        content: impl FnOnce(&mut dyn FnMut(u32, &[u8]) -> Result<(), IngestError>) -> Result<(), IngestError>,
    ) -> Result<Ticket, IngestError> {
        let ticket = |seq, ingested| Ok(Ticket { store: self.clone(), seq, ingested });
        let shared = self.shared();
        let blob = named.blob;
        if is_empty_blob(&blob) {
            return ticket(Seq::default(), Ingested::Known);
        }
        if matches!(shared.rows.remembered(&blob), Some(Known::Complete(_))) && self.confirms(&blob)? {
            return ticket(Seq::default(), Ingested::Known);
        }
        let mine = match shared.flights.claim(&blob) {
            Claim::Theirs(seq) => return ticket(seq, Ingested::Known),
            Claim::Mine(mine) => mine,
        };
        match self.known(&blob)? {
            Known::Dead => return Err(IngestError::Dead(blob)),
            Known::Complete(_) if self.confirms(&blob)? => return ticket(Seq::default(), Ingested::Known),
            Known::Complete(_) | Known::Absent => {}
        }
        let mut seq = Seq::default();
        if let Some(list) = &named.list {
            let header = Header { body: Body::List { blob, size: named.size }, moved: false };
            seq = shared.appender.append(&[Record { header, payload: &list.to_bytes(), source: None }])?.seq;
        }
        content(&mut |first, bytes| {
            let firsts = (first..=u32::MAX).step_by(CHUNKS_PER_APPEND);
            for (first, bytes) in firsts.zip(bytes.chunks(CHUNKS_PER_APPEND * CHUNK_LEN)) {
                seq = self.append_chunks(&blob, named.size, first, bytes)?;
            }
            Ok(())
        })?;
        mine.queued(seq);
        ticket(seq, Ingested::New)
    }

    fn append_chunks(&self, blob: &BlobId, size: u64, first: u32, bytes: &[u8]) -> Result<Seq, StoreError> {
        let records: Vec<Record<'_>> = (first..)
            .zip(chunks(bytes))
            .map(|(chunk, payload)| {
                let header = Header { body: Body::Data { blob: *blob, size, chunk }, moved: false };
                Record { header, payload, source: None }
            })
            .collect();
        Ok(self.shared().appender.append(&records)?.seq)
    }

    /// Whether a blob that memory knows is here to stay: while a reclaim runs only the writer can say.
    fn confirms(&self, blob: &BlobId) -> Result<bool, StoreError> {
        let shared = self.shared();
        if !shared.marking.is_active() {
            return Ok(true);
        }
        if let Known::Complete(row) = self.known(blob)? {
            shared.marking.mark(row.ordinal);
        }
        let (reply, answer) = sync_channel(1);
        let seq = shared.queue.push([Change::Confirm { blob: *blob, reply }].into_iter(), 0)?;
        shared.queue.wait(seq)?;
        Ok(answer.recv().unwrap_or(false))
    }
}

impl IngestBuffer {
    /// Reads exactly `len` bytes.
    fn fill(&mut self, file: &mut impl Read, len: u64) -> Result<&[u8], IngestError> {
        self.bytes.resize(usize::try_from(len).expect("at most 4 MiB"), 0);
        file.read_exact(&mut self.bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => IngestError::Changed,
            _ => IngestError::Source(error),
        })?;
        Ok(&self.bytes)
    }
}
