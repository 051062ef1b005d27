//! From a body to the store: cuts a byte stream into chunks and lets the store verify and keep them, a few at a time,
//! while the network goes on.

use std::sync::Arc;

use bytes::Bytes;
use odi_manifest::{ChunkError, chunk_len, chunk_range};
use odi_store::{ChunkRoom, PartialError};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::off_worker::joined;

use super::{BlobFetch, FetchError, Party, SourceFault};

/// Why no more chunks are taken from a body.
#[derive(Debug)]
pub(crate) enum SinkStop {
    /// The source is to blame.
    Source(SourceFault),
    /// We are.
    Ours(FetchError),
}

/// What a body has given so far.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    /// What came, verified or not.
    pub(crate) received: u64,
    pub(crate) guilty: Vec<Party>,
}

/// Chunks of one body on their way into the store, in order.
///
/// The write that is under way owns what it writes and ends by itself if this is dropped; it is bounded, and its
/// chunks are as good as any.
pub(crate) struct ChunkSink {
    fetch: Arc<BlobFetch>,
    party: Party,
    index: u32,
    /// The chunk that is arriving.
    open: Option<ChunkRoom>,
    queued: Vec<(u32, Bytes)>,
    queue_max: usize,
    writing: Option<JoinHandle<(Taken, Option<SinkStop>)>>,
    taken: Taken,
}

impl ChunkSink {
    /// For a body that begins with chunk `first`.
    pub(crate) fn new(fetch: &Arc<BlobFetch>, party: Party, first: u32, queue_max: usize) -> Self {
        Self {
            fetch: Arc::clone(fetch),
            party,
            index: first,
            open: None,
            queued: Vec::new(),
            queue_max: queue_max.max(1),
            writing: None,
            taken: Taken::default(),
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) async fn push(&mut self, mut bytes: Bytes) -> Result<(), SinkStop> {
        self.taken.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let length = chunk_len(self.fetch.wanted().size, self.index) as usize;
            if length == 0 {
                return Err(SinkStop::Source(SourceFault::TooLong));
            }
            let open = self.open.get_or_insert_with(|| self.fetch.store().chunk_room(length));
            open.fill(&mut bytes);
            if let Some(whole) = self.open.take_if(|open| open.is_full()) {
                self.queued.push((self.index, whole.into_bytes()));
                self.index += 1;
                self.store_some().await?;
            }
        }
        Ok(())
    }

    /// Ends a body that was to end before byte `end` of the blob.
    pub(crate) async fn finish(&mut self, end: u64) -> Result<(), SinkStop> {
        self.settle().await?;
        self.spawn_write();
        self.settle().await?;
        let open = self.open.as_ref().map_or(0, ChunkRoom::filled);
        let reached = chunk_range(self.fetch.wanted().size, self.index).start + open as u64;
        if reached < end {
            return Err(SinkStop::Source(SourceFault::Truncated { missing: end - reached }));
        }
        Ok(())
    }

    /// After a fault elsewhere: keeps the chunks that are whole, and returns what the body gave.
    pub(crate) async fn salvage(mut self) -> Taken {
        if self.settle().await.is_ok() {
            self.spawn_write();
            // Whatever is wrong with these, the body has a fault already.
            let _ = self.settle().await;
        }
        self.taken
    }

    async fn store_some(&mut self) -> Result<(), SinkStop> {
        let idle = self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        if idle || self.queued.len() >= self.queue_max {
            self.settle().await?;
            self.spawn_write();
        }
        Ok(())
    }

    fn spawn_write(&mut self) {
        if self.queued.is_empty() {
            return;
        }
        let (fetch, party) = (Arc::clone(&self.fetch), self.party.clone());
        let chunks = std::mem::take(&mut self.queued);
        self.writing = Some(spawn_blocking(move || write(&fetch, &party, chunks)));
    }

    /// Waits for the write that is under way.
    async fn settle(&mut self) -> Result<(), SinkStop> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let (taken, stop) = joined(writing).await;
        self.taken.bytes += taken.bytes;
        self.taken.guilty.extend(taken.guilty);
        stop.map_or(Ok(()), Err)
    }
}

fn write(fetch: &BlobFetch, party: &Party, chunks: Vec<(u32, Bytes)>) -> (Taken, Option<SinkStop>) {
    let mut taken = Taken::default();
    for (index, bytes) in chunks {
        match fetch.put(index, &bytes, party) {
            Ok(guilty) => taken.guilty.extend(guilty),
            Err(error) => return (taken, Some(blame(index, error))),
        }
        taken.bytes += bytes.len() as u64;
    }
    (taken, None)
}

fn blame(index: u32, error: FetchError) -> SinkStop {
    match error {
        FetchError::Partial(PartialError::Content(ChunkError::OtherBlob { .. })) => {
            SinkStop::Source(SourceFault::WrongBlob)
        }
        FetchError::Partial(PartialError::Content(_)) => SinkStop::Source(SourceFault::WrongChunk(index)),
        ours => SinkStop::Ours(ours),
    }
}
