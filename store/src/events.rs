//! What the store lost and somebody may fetch again, in a queue with a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use odi_manifest::{BlobId, NodeId};

/// More are counted, not kept.
pub const EVENTS_MAX: usize = 1024;

/// Something that its owner should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A chunk, or with `None` the chunk list, was damaged on disk and has been dropped. What is left is partial.
    ChunkLost {
        /// The blob.
        blob: BlobId,
        /// Its size in bytes.
        size: u64,
        /// The chunk, from 0.
        chunk: Option<u32>,
    },
    /// A tree node was damaged on disk and has been dropped.
    NodeLost {
        /// The node.
        node: NodeId,
    },
    /// The queue was full: so many events are not told. A scrub or a look at `missing` finds what they were about.
    Overflow {
        /// How many.
        lost: u64,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: Mutex<(VecDeque<Event>, u64)>,
}

impl Events {
    pub(crate) fn push(&self, event: Event) {
        tracing::warn!(?event, "damaged on disk");
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.0.len() < EVENTS_MAX { queue.0.push_back(event) } else { queue.1 += 1 }
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = std::mem::take(&mut queue.1);
        let overflow = (lost > 0).then_some(Event::Overflow { lost });
        queue.0.drain(..).chain(overflow).collect()
    }
}
