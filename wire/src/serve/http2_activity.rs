//! What goes on in one HTTP/2 connection: which requests are open, who waits for whom, and when it is over.
//!
//! HTTP/1.1 needs none of this, since there a full socket is a caller that does not read. Over HTTP/2 the socket stays
//! free while each request's own window is shut, and requests cost the peer nothing to take back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::limits::Limits;

/// So many times as long as a peer may take nothing it may leave one answer lying while it takes others: each holds memory
/// and a share of the requests that all connections may have at work.
const LEFT_LYING: u32 = 10;

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
    /// Answers that hold a piece until the peer takes it, by number, and since when.
    waiting: BTreeMap<u64, Instant>,
    /// When a piece was last taken, or the last request ended.
    last_move: Instant,
    /// How many requests there have been.
    begun: u64,
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
        let state = State {
            open: 0,
            waiting: BTreeMap::new(),
            last_move: Instant::now(),
            begun: 0,
            answered: 0,
            abandoned: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            abandoned_max: limits.h2_abandoned,
            flooded: Notify::new(),
        })
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        let number = self.change(|state| {
            state.open += 1;
            state.begun += 1;
            state.begun
        });
        OpenRequest { activity: Arc::clone(self), number, answered: false, permit: None }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut state);
        if state.abandoned > state.answered.saturating_add(self.abandoned_max) {
            self.flooded.notify_one();
        }
        changed
    }

    /// Waits until the connection has to end.
    pub(super) async fn verdict(&self, limits: &Limits) -> Verdict {
        loop {
            let look_again = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let (due, verdict) = match state.waiting.values().min() {
                    _ if state.open == 0 => (state.last_move + limits.head_timeout, Verdict::Idle),
                    // Whoever reads another answer meanwhile may let this one wait, and not for ever.
                    Some(oldest) => {
                        let nothing_taken = (*oldest).max(state.last_move) + limits.stall_interval;
                        let left_lying = *oldest + limits.stall_interval * LEFT_LYING;
                        (nothing_taken.min(left_lying), Verdict::Stalled)
                    }
                    // We are the slow ones; things may change at any time, and are then due no sooner than this.
                    None => {
                        let soon = limits.head_timeout.min(limits.stall_interval);
                        (Instant::now() + soon, Verdict::Stalled)
                    }
                };
                if due <= Instant::now() {
                    return verdict;
                }
                due
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
    number: u64,
    answered: bool,
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
        let number = self.number;
        self.activity.change(|state| _ = state.waiting.insert(number, Instant::now()));
    }

    /// The peer has made room for the next, if one waited.
    pub(super) fn taken(&mut self) {
        let number = self.number;
        self.activity.change(|state| {
            if state.waiting.remove(&number).is_some() {
                state.last_move = Instant::now();
            }
        });
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let (number, answered) = (self.number, self.answered);
        self.activity.change(|state| {
            // What is taken back was not taken: it keeps no stall from being one.
            state.waiting.remove(&number);
            state.open -= 1;
            if state.open == 0 {
                state.last_move = Instant::now();
            }
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
        for _ in 0..LEFT_LYING * 2 - 2 {
            moving.gave();
            let soon = tokio::time::timeout(limits.stall_interval / 2, activity.verdict(&limits));
            assert!(soon.await.is_err(), "something moves");
            moving.taken();
        }
        assert_eq!(activity.verdict(&limits).await, Verdict::Stalled);
    }

    #[tokio::test(start_paused = true)]
    async fn small_requests_do_not_keep_a_stall_from_being_one() {
        let limits = limits();
        let activity = Activity::new(&limits);
        let mut stuck = activity.begin();
        stuck.answered();
        stuck.gave();
        let asking = async {
            loop {
                // An answer without a body, as to HEAD.
                activity.begin().answered();
                tokio::time::sleep(limits.stall_interval / 4).await;
            }
        };
        let verdict = tokio::select! {
            verdict = activity.verdict(&limits) => verdict,
            () = asking => unreachable!("it asks for ever"),
            () = tokio::time::sleep(limits.stall_interval * 2) => panic!("no verdict"),
        };
        assert_eq!(verdict, Verdict::Stalled);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_lying_for_ever_while_others_are_taken() {
        let limits = limits();
        let activity = Activity::new(&limits);
        let (mut stuck, mut moving) = (activity.begin(), activity.begin());
        stuck.gave();
        let reading = async {
            loop {
                moving.gave();
                tokio::time::sleep(limits.stall_interval / 4).await;
                moving.taken();
            }
        };
        let began = Instant::now();
        let verdict = tokio::select! {
            verdict = activity.verdict(&limits) => verdict,
            () = reading => unreachable!("it reads for ever"),
        };
        assert_eq!(verdict, Verdict::Stalled);
        assert!(began.elapsed() >= limits.stall_interval * LEFT_LYING);
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
