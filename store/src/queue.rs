//! The queue between everybody and the writer thread, and where everybody waits for their commit.
//!
//! Changes are numbered as they are queued; a commit acknowledges all numbers up to one. A batch is taken at its
//! limits, after the interval, or at once when somebody waits for it: those who come during a commit share the next.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::change::Change;
use crate::error::StoreError;

/// The number of a queued change; commits acknowledge in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seq(u64);

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) interval: Duration,
    pub(crate) bytes: u64,
    pub(crate) changes: usize,
}

/// What the writer takes at once.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) last: Seq,
}

#[derive(Debug)]
pub(crate) struct Queue {
    limits: BatchLimits,
    state: Mutex<State>,
    /// The writer waits here for work.
    work: Condvar,
    /// Everybody else waits here, for a commit or for room.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: Vec<Change>,
    bytes: u64,
    since: Option<Instant>,
    pushed: Seq,
    wanted: Seq,
    committed: Seq,
    closing: bool,
    failed: Option<StoreError>,
}

impl Queue {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self { limits, state: Mutex::default(), work: Condvar::new(), progress: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues changes that stand for `bytes` of a pack. Waits while twice a batch is queued already.
    pub(crate) fn push(&self, changes: impl Iterator<Item = Change>, bytes: u64) -> Result<Seq, StoreError> {
        let mut state = self.lock();
        while state.failed.is_none() && state.overflows(&self.limits) {
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.check()?;
        let before = state.changes.len();
        state.changes.extend(changes);
        state.pushed.0 += (state.changes.len() - before) as u64;
        state.bytes += bytes;
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.work.notify_one();
        } else if state.is_full(&self.limits) {
            self.work.notify_one();
        }
        Ok(state.pushed)
    }

    /// As [`push`](Self::push) for what may as well be forgotten: never waits.
    pub(crate) fn push_if_room(&self, change: Change) {
        let mut state = self.lock();
        if state.check().is_ok() && !state.is_full(&self.limits) {
            state.changes.push(change);
            state.pushed.0 += 1;
            if state.since.is_none() {
                state.since = Some(Instant::now());
                self.work.notify_one();
            }
        }
    }

    /// Waits until everything up to `seq` is durable.
    pub(crate) fn wait(&self, seq: Seq) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.committed < seq && state.wanted < seq {
            state.wanted = seq;
            self.work.notify_one();
        }
        while state.committed < seq {
            state.check()?;
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Whether everything up to `seq` is durable.
    pub(crate) fn is_committed(&self, seq: Seq) -> bool {
        self.lock().committed >= seq
    }

    /// The number of the last change queued.
    pub(crate) fn last(&self) -> Seq {
        self.lock().pushed
    }

    /// Why nothing more is taken, if so.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.lock().failed.clone()
    }

    /// The writer's next batch; `None` when the store closes and all is done.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let age = state.since.map(|since| since.elapsed());
            let due = age.is_some_and(|age| age >= self.limits.interval);
            if state.since.is_some()
                && (due || state.closing || state.wanted > state.committed || state.is_full(&self.limits))
            {
                let changes = std::mem::take(&mut state.changes);
                (state.bytes, state.since) = (0, None);
                self.progress.notify_all();
                return Some(Batch { changes, last: state.pushed });
            }
            if state.closing {
                return None;
            }
            state = match age {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(age) => {
                    let rest = self.limits.interval.saturating_sub(age);
                    self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Acknowledges a batch.
    pub(crate) fn committed(&self, last: Seq) {
        self.lock().committed = last;
        self.progress.notify_all();
    }

    /// Refuses everything from now on, and tells all who wait.
    pub(crate) fn fail(&self, error: StoreError) {
        let mut state = self.lock();
        state.failed = Some(error);
        state.changes.clear();
        self.progress.notify_all();
    }

    /// Lets the writer finish what is queued and end.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }
}

impl State {
    fn check(&self) -> Result<(), StoreError> {
        match &self.failed {
            Some(error) => Err(StoreError::Stopped { source: error.clone().into() }),
            None => Ok(()),
        }
    }

    fn is_full(&self, limits: &BatchLimits) -> bool {
        self.bytes >= limits.bytes || self.changes.len() >= limits.changes
    }

    fn overflows(&self, limits: &BatchLimits) -> bool {
        self.bytes >= 2 * limits.bytes || self.changes.len() >= 2 * limits.changes
    }
}
