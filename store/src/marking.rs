//! Marks of a running reclaim: one bit per ordinal (10 M rows: 1.25 MB).
//!
//! Whatever is written after the start has a higher ordinal and counts as marked; whatever somebody comes to need
//! meanwhile is marked by them, and the writer has the last word, since it alone evicts.
//!
//! A tree that is being put together is named by nobody yet, and shares nodes with trees that may expire meanwhile. So
//! a reclaim that overlaps a [`NodeHold`] anywhere takes no nodes at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::row::Ordinal;
use crate::store::{Shared, Store};

#[derive(Debug, Default)]
pub(crate) struct Marking {
    active: AtomicBool,
    bits: Mutex<Vec<u64>>,
    evicted: AtomicU64,
    holds: Mutex<Holds>,
    /// One reclaim, eviction or scrub at a time.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Holds {
    now: usize,
    /// Whether there was any since the last reclaim started.
    since_start: bool,
}

/// While it lives, and until the end of any reclaim that runs meanwhile, no reclaim takes tree nodes.
#[derive(Debug)]
pub struct NodeHold {
    shared: Arc<Shared>,
}

impl Store {
    /// For whoever puts a tree together: keeps all nodes, those that are here and those to come, until it is dropped.
    /// By then somebody must name them to a reclaim. Blobs are not kept by it.
    #[must_use]
    pub fn hold_nodes(&self) -> NodeHold {
        let mut holds = self.shared().marking.holds();
        holds.now += 1;
        holds.since_start = true;
        drop(holds);
        NodeHold { shared: Arc::clone(self.shared()) }
    }
}

impl Drop for NodeHold {
    fn drop(&mut self) {
        self.shared.marking.holds().now -= 1;
    }
}

/// A reclaim's turn; over when dropped.
pub(crate) struct Turn<'m> {
    marking: &'m Marking,
    _turn: MutexGuard<'m, ()>,
}

impl Marking {
    /// Starts with all or no ordinals below `end` marked, once no other reclaim runs.
    pub(crate) fn start(&self, end: u64, marked: bool) -> Turn<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let words = usize::try_from(end.div_ceil(64)).expect("ordinals are below 2^32");
        *self.lock() = vec![if marked { u64::MAX } else { 0 }; words];
        let mut holds = self.holds();
        holds.since_start = holds.now > 0;
        drop(holds);
        self.evicted.store(0, Ordering::Release);
        self.active.store(true, Ordering::SeqCst);
        Turn { marking: self, _turn: turn }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.bits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }

    pub(crate) fn mark(&self, ordinal: Ordinal) {
        let (word, bit) = place(ordinal);
        if let Some(word) = self.lock().get_mut(word) {
            *word |= bit;
        }
    }

    pub(crate) fn unmark(&self, ordinal: Ordinal) {
        let (word, bit) = place(ordinal);
        if let Some(word) = self.lock().get_mut(word) {
            *word &= !bit;
        }
    }

    /// Whether an eviction must pass over this ordinal. Without a reclaim nothing is evicted.
    pub(crate) fn keeps(&self, ordinal: Ordinal) -> bool {
        let (word, bit) = place(ordinal);
        !self.is_active() || self.lock().get(word).is_none_or(|word| word & bit != 0)
    }

    /// As [`keeps`](Self::keeps), for a node.
    pub(crate) fn keeps_node(&self, ordinal: Ordinal) -> bool {
        self.holds().since_start || self.keeps(ordinal)
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn evicted(&self, count: u64) {
        self.evicted.fetch_add(count, Ordering::AcqRel);
    }
}

fn place(ordinal: Ordinal) -> (usize, u64) {
    (ordinal.0 as usize / 64, 1 << (ordinal.0 % 64))
}

impl Turn<'_> {
    /// Rows evicted in this turn so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.marking.evicted.load(Ordering::Acquire)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.marking.active.store(false, Ordering::SeqCst);
        *self.marking.lock() = Vec::new();
    }
}
