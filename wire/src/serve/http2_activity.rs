//! What goes on in one HTTP/2 connection: which requests are open, who waits for whom, and when it is over.
//!
//! HTTP/1.1 needs none of this, since there a full socket is a caller that does not read. Over HTTP/2 the socket stays
//! free while each request's own window is shut, and requests cost the peer nothing to take back.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::limits::Limits;

/// Shared by a connection and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    abandoned_max: u64,
    flooded: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests whose answer is not wholly handed over.
    open: usize,
    /// Answers that hold a piece until the peer takes it.
    waiting: usize,
    /// When a piece was last handed over, or a request begun or ended.
    last_move: Instant,
    answered: u64,
    abandoned: u64,
}

/// Why a connection ends that its peer does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No request for long: it may go in peace.
    Idle,
    /// Answers wait, and the peer takes none of them.
    Stalled,
    /// It takes back more requests than it lets us answer.
    Flooded,
}

impl Activity {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let state = State { open: 0, waiting: 0, last_move: Instant::now(), answered: 0, abandoned: 0 };
        Arc::new(Self {
            state: Mutex::new(state),
            abandoned_max: limits.h2_abandoned,
            flooded: Notify::new(),
        })
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.change(|state| state.open += 1);
        OpenRequest { activity: Arc::clone(self), answered: false, waiting: false, permit: None }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.last_move = Instant::now();
        if state.abandoned > state.answered.saturating_add(self.abandoned_max) {
            self.flooded.notify_one();
        }
    }

    /// Waits until the connection has to end.
    pub(super) async fn verdict(&self, limits: &Limits) -> Verdict {
        loop {
            let look_again = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let (patience, verdict) = match &*state {
                    State { open: 0, .. } => (limits.head_timeout, Some(Verdict::Idle)),
                    State { waiting: 0, .. } => (limits.stall_interval, None),
                    _ => (limits.stall_interval, Some(Verdict::Stalled)),
                };
                let due = state.last_move + patience;
                match verdict {
                    Some(verdict) if due <= Instant::now() => return verdict,
                    Some(_) => due,
                    // We are the slow ones; things may change at any time, and are then due no sooner than this.
                    None => Instant::now() + limits.head_timeout.min(limits.stall_interval),
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(look_again) => {}
                () = self.flooded.notified() => return Verdict::Flooded,
            }
        }
    }
}

/// One request, from its head to the last piece of its answer.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Arc<Activity>,
    answered: bool,
    waiting: bool,
    /// Its share of what all connections may have at work.
    permit: Option<OwnedSemaphorePermit>,
}

impl OpenRequest {
    pub(super) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// The service has answered; a body may follow.
    pub(super) const fn answered(&mut self) {
        self.answered = true;
    }

    /// A piece of the answer waits for the peer.
    pub(super) fn gave(&mut self) {
        self.waiting = true;
        self.activity.change(|state| state.waiting += 1);
    }

    /// The peer has made room for the next, if one waited.
    pub(super) fn taken(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.activity.change(|state| state.waiting -= 1);
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.taken();
        let answered = self.answered;
        self.activity.change(|state| {
            state.open -= 1;
            if answered {
                state.answered = state.answered.saturating_add(1);
            } else {
                state.abandoned = state.abandoned.saturating_add(1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits { h2_abandoned: 2, ..Limits::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle_and_one_with_a_slow_answer_is_not() {
        let limits = limits();
        let activity = Activity::new(&limits);
        assert_eq!(activity.verdict(&limits).await, Verdict::Idle);
        let request = activity.begin();
        let hour = tokio::time::timeout(Duration::from_secs(3600), activity.verdict(&limits));
        assert!(hour.await.is_err(), "an answer that takes an hour is ours");
        drop(request);
        assert_eq!(activity.verdict(&limits).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_piece_that_nobody_takes_is_a_stall() {
        let limits = limits();
        let activity = Activity::new(&limits);
        let (mut stuck, mut moving) = (activity.begin(), activity.begin());
        stuck.answered();
        stuck.gave();
        for _ in 0..100 {
            moving.gave();
            let soon = tokio::time::timeout(limits.stall_interval / 2, activity.verdict(&limits));
            assert!(soon.await.is_err(), "something moves");
            moving.taken();
        }
        assert_eq!(activity.verdict(&limits).await, Verdict::Stalled);
    }

    #[tokio::test(start_paused = true)]
    async fn taking_back_more_than_is_answered_is_a_flood() {
        let limits = limits();
        let activity = Activity::new(&limits);
        for _ in 0..10 {
            activity.begin().answered();
            drop(activity.begin());
        }
        let _open = activity.begin();
        drop((activity.begin(), activity.begin()));
        let now = tokio::time::timeout(Duration::from_millis(1), activity.verdict(&limits));
        assert!(now.await.is_err(), "as many as were answered, and the two that are allowed");
        drop(activity.begin());
        assert_eq!(activity.verdict(&limits).await, Verdict::Flooded);
    }
}
