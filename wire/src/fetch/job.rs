//! One blob on its way into the store: what all who fetch parts of it, and all who wait for them, share.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use odi_manifest::{BlobId, Sha256, chunk_count};
use odi_store::{Partial, Store};
use tokio::sync::watch;

use super::running_sha::RunningSha;
use super::suspects::Suspects;
use super::window::next_window;
use super::{FetchError, Party, Place};
use crate::off_worker::off_worker;

/// What the catalog says about a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub blob: BlobId,
    /// Its size in bytes; a claim until the last chunk has verified.
    pub size: u64,
    /// Its SHA-256, where the entry is at hand; checked when the blob completes.
    pub sha256: Option<Sha256>,
}

/// How a fetch stands, for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Chunks come; this many have been stored since it began.
    Running(u32),
    /// The blob is complete.
    Complete,
    /// It will not complete now. Chunks that verified stay.
    Failed,
}

/// A blob of any size being fetched, in an `Arc`: stripes of it may come from several places at once while clients
/// wait for its chunks in order.
#[derive(Debug)]
pub struct BlobFetch {
    wanted: Wanted,
    store: Store,
    partial: Partial,
    stage: watch::Sender<Stage>,
    suspects: Mutex<Suspects>,
    sha: Mutex<RunningSha>,
}

impl BlobFetch {
    /// Begins, or resumes, with what the store has of the blob.
    ///
    /// # Errors
    /// The store knows the blob with another size, as purged, or cannot write.
    pub async fn begin(store: &Store, wanted: Wanted) -> Result<Arc<Self>, FetchError> {
        let (in_store, blob, size) = (store.clone(), wanted.blob, wanted.size);
        let partial = blocking(move || in_store.begin(&blob, size)).await?;
        Ok(Arc::new(Self {
            wanted,
            store: store.clone(),
            partial,
            stage: watch::Sender::new(Stage::Running(0)),
            suspects: Mutex::default(),
            sha: Mutex::default(),
        }))
    }

    /// What is being fetched.
    #[must_use]
    pub const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What the store has of it.
    #[must_use]
    pub const fn partial(&self) -> &Partial {
        &self.partial
    }

    /// The first of these chunks that is not there.
    #[must_use]
    pub fn first_missing(&self, chunks: &Range<u32>) -> Option<u32> {
        next_window(&self.partial.missing(), chunks, u64::MAX).map(|gap| gap.start)
    }

    /// Where it goes.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// A watch on how it stands; it changes with each stored chunk.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Waits until a chunk has verified and returns it; nothing if the fetch failed without it.
    ///
    /// # Errors
    /// The store could not read it back.
    pub async fn chunk(self: &Arc<Self>, index: u32) -> Result<Option<Bytes>, FetchError> {
        let mut stage = self.watch();
        loop {
            let seen = *stage.borrow_and_update();
            let fetch = Arc::clone(self);
            let chunk = blocking(move || fetch.stored(index)).await?;
            if chunk.is_some() || seen == Stage::Failed || index >= chunk_count(self.wanted.size) {
                return Ok(chunk);
            }
            // The sender lives in `self`, so a change, or an end, is always still to come.
            if stage.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Checks the SHA-256 of a blob whose chunks are all there, and tells everybody who waits.
    ///
    /// # Errors
    /// The SHA-256 is another, which condemns the entry; or the store could not read.
    pub async fn complete(self: &Arc<Self>) -> Result<(), FetchError> {
        let fetch = Arc::clone(self);
        let checked = blocking(move || fetch.check_sha256()).await;
        self.stage.send_replace(if checked.is_ok() { Stage::Complete } else { Stage::Failed });
        checked
    }

    /// Gives up: whoever waits for a chunk that is not there hears of it.
    pub fn fail(&self) {
        self.stage.send_replace(Stage::Failed);
    }

    /// A chunk that the store has, be it of the partial blob or of one that came whole. Blocking.
    fn stored(&self, index: u32) -> Result<Option<Bytes>, FetchError> {
        if let Some(chunk) = self.partial.chunk(index)? {
            return Ok(Some(chunk));
        }
        match self.store.open_blob(&self.wanted.blob)? {
            Some(reader) => Ok(Some(reader.chunk(index)?)),
            None => Ok(None),
        }
    }

    fn check_sha256(&self) -> Result<(), FetchError> {
        let Some(expected) = self.wanted.sha256 else { return Ok(()) };
        let mut sha = self.sha();
        for index in sha.next_index()..chunk_count(self.wanted.size) {
            let chunk = self.stored(index)?.ok_or(FetchError::Vanished { blob: self.wanted.blob })?;
            sha.offer(index, &chunk);
        }
        let got = sha.value();
        if got == expected {
            Ok(())
        } else {
            Err(FetchError::OtherSha256 { blob: self.wanted.blob, expected, got })
        }
    }

    /// Verifies and stores one chunk that came from `party`; returns who is thereby convicted. Blocking.
    pub(crate) fn put(&self, index: u32, bytes: &[u8], party: &Party) -> Result<Vec<Party>, FetchError> {
        self.partial.put_chunk(index, bytes)?;
        if self.wanted.sha256.is_some() {
            self.sha().offer(index, bytes);
        }
        self.stage.send_modify(|stage| {
            if let Stage::Running(stored) = stage {
                *stored += 1;
            }
        });
        Ok(self.suspects().satisfied(Place::Chunk(index), party))
    }

    pub(crate) fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sha(&self) -> MutexGuard<'_, RunningSha> {
        self.sha.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a call of the store where it may block.
pub(crate) async fn blocking<T, E>(
    call: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, FetchError>
where
    T: Send + 'static,
    E: Send + 'static,
    FetchError: From<E>,
{
    Ok(off_worker(call).await?)
}
