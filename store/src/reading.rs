//! Reads that wait for the disk: of one chunk, one at a time, whoever asks meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::ReadError;
use crate::lent::ChunkKey;

type Answer = Box<dyn FnOnce(Result<Bytes, ReadError>) + Send>;

/// Who waits for which chunk.
#[derive(Default)]
pub(crate) struct Reading {
    waiting: Mutex<HashMap<ChunkKey, Vec<Answer>>>,
}

/// The one read of a chunk. Dropped without [`end`](Self::end), because nobody could do it, it tells everybody so.
#[derive(Debug)]
pub(crate) struct Read {
    reading: Arc<Reading>,
    key: ChunkKey,
    ended: bool,
}

impl Reading {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChunkKey, Vec<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a chunk. Whoever is the first to do so gets the read, and must see to it.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: ChunkKey,
        answer: impl FnOnce(Result<Bytes, ReadError>) + Send + 'static,
    ) -> Option<Read> {
        let mut waiting = self.lock();
        let others = waiting.entry(key).or_default();
        others.push(Box::new(answer));
        (others.len() == 1).then(|| Read { reading: Arc::clone(self), key, ended: false })
    }
}

impl Read {
    /// Tells everybody who waits.
    pub(crate) fn end(mut self, result: &Result<Bytes, ReadError>) {
        self.ended = true;
        self.tell(result);
    }

    fn tell(&self, result: &Result<Bytes, ReadError>) {
        // Not under the lock: an answer may ask for the next chunk.
        let waiting = self.reading.lock().remove(&self.key).unwrap_or_default();
        for answer in waiting {
            answer(result.clone());
        }
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        // After its end the place belongs to the next read of the chunk.
        if !self.ended {
            self.tell(&Err(ReadError::Busy));
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use odi_manifest::BlobId;

    use super::*;

    #[test]
    fn all_who_wait_get_what_one_read_brought() {
        let reading = Arc::<Reading>::default();
        let key = (BlobId::of(b"a"), 0);
        let (tell, told) = channel();
        let reads: Vec<Option<Read>> = (0..3)
            .map(|_| {
                let tell = tell.clone();
                reading.join(key, move |result| tell.send(result.map_err(|_| ())).unwrap())
            })
            .collect();
        let read = reads.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(read.len(), 1, "one reads");
        read.into_iter().for_each(|read| read.end(&Ok(Bytes::from_static(b"a"))));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), vec![Ok(Bytes::from_static(b"a")); 3]);
        assert!(reading.join(key, |_| ()).is_some(), "the next one reads anew");
    }

    #[test]
    fn a_read_that_never_came_to_pass_keeps_nobody_waiting() {
        let reading = Arc::<Reading>::default();
        let key = (BlobId::of(b"a"), 0);
        let (tell, told) = channel();
        let read = reading.join(key, move |result| tell.send(result.is_err()).unwrap());
        drop(read);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true]);
        assert!(reading.join(key, |_| ()).is_some());
    }
}
