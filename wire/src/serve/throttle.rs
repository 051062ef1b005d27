//! The one budget of all that a server sends: its rate, shared between clients, and its count.
//!
//! Every body passes through a [`Flow`] piece by piece, before the piece goes to its connection: so what is counted is never
//! less than what was sent. Whoever must wait leaves a waker; one task looks when the next piece is due, and wakes those that
//! may go and nobody else.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::admission::network_of;
use super::body::Body;
use super::pacer::{Pacer, Ticket};
use crate::limits::PACE_PIECE_BYTES;

/// What a server says for itself is sent beyond the allowance up to this size, and counted: refusals, redirects, status, what
/// directories ask.
const UNMETERED_BYTES_MAX: usize = 64 * 1024;

/// What a server may send, and what it has sent. One for all listeners of a daemon; no limit until one is set.
pub struct Throttle {
    began: Instant,
    state: Mutex<State>,
    /// There is no limit, so whoever sends only counts, without the lock.
    free: AtomicBool,
    /// Everything that was granted.
    sent: AtomicU64,
    /// Somebody has begun to wait, or a limit has changed.
    changed: Notify,
    /// The allowance has fallen below half of what was last allowed, or below what somebody waits for.
    low: Notify,
}

struct State {
    pacer: Pacer<IpAddr>,
    waiting: HashMap<Ticket, Waiter>,
    /// What was last allowed further.
    allowed: u64,
    spent: bool,
}

struct Waiter {
    waker: Option<Waker>,
    cost: u64,
}

/// The budget is spent: nothing more is sent for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transfer budget is spent")]
pub struct Spent;

impl Default for Throttle {
    fn default() -> Self {
        let state = State {
            pacer: Pacer::new(None, u64::MAX, Duration::ZERO),
            waiting: HashMap::new(),
            allowed: u64::MAX,
            spent: false,
        };
        Self {
            began: Instant::now(),
            state: Mutex::new(state),
            free: AtomicBool::new(true),
            sent: AtomicU64::new(0),
            changed: Notify::new(),
            low: Notify::new(),
        }
    }
}

impl Throttle {
    /// Sends at most so many bytes a second from now on; `None` as fast as the line goes.
    pub fn set_rate(&self, bytes_per_second: Option<u64>) {
        let now = self.began.elapsed();
        let mut state = self.held();
        state.pacer.set_rate(bytes_per_second, now);
        self.release(state);
    }

    /// Sends until so many bytes have been sent since the start, as [`Throttle::sent`] counts them; `u64::MAX` is no limit.
    pub fn allow_up_to(&self, total: u64) {
        let mut state = self.held();
        let further = if total == u64::MAX { total } else { total.saturating_sub(self.sent()) };
        state.pacer.allow(further);
        state.allowed = further;
        state.spent = false;
        self.release(state);
    }

    /// Allows nothing more and breaks off what is being sent, until [`Throttle::allow_up_to`] is called.
    pub fn spend(&self) {
        let mut state = self.held();
        state.pacer.allow(0);
        state.spent = true;
        let wakers: Vec<Waker> =
            state.waiting.values_mut().filter_map(|waiter| waiter.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Bytes that were sent since the start, or are about to be: heads and bodies, without what TLS and TCP add.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Bytes that may still be sent before the next [`Throttle::allow_up_to`]; `u64::MAX` is no limit.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.state().pacer.allowance()
    }

    /// How many answers wait for their turn now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until half of what was last allowed is used, or an answer needs more than is left; it may also return early.
    pub async fn low(&self) {
        self.low.notified().await;
    }

    /// Wakes whoever may go, for ever. A server that is limited runs this beside its connections.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let next = self.state().pacer.next();
            match next {
                None => self.changed.notified().await,
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.began + due) => self.wake_due(),
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    fn wake_due(&self) {
        let now = self.began.elapsed();
        let mut state = self.state();
        let (wakers, sent) = state.grant(now);
        self.sent.fetch_add(sent, Ordering::SeqCst);
        self.tell_if_low(&state, 0);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with nobody passing by the lock. What has passed is in `sent` then, for [`Self::passes_freely`] looks twice.
    fn held(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        self.free.store(false, Ordering::SeqCst);
        state
    }

    /// Lets everybody pass by the lock again, if there is no limit.
    fn release(&self, state: MutexGuard<'_, State>) {
        self.free.store(!state.spent && state.pacer.is_unlimited(), Ordering::SeqCst);
        drop(state);
        self.changed.notify_one();
    }

    /// Counts so many bytes if there is no limit.
    fn passes_freely(&self, bytes: u64) -> bool {
        if !self.free.load(Ordering::SeqCst) {
            return false;
        }
        self.sent.fetch_add(bytes, Ordering::SeqCst);
        let free = self.free.load(Ordering::SeqCst);
        if !free {
            // A limit is being set, perhaps by a count without these.
            self.sent.fetch_sub(bytes, Ordering::SeqCst);
        }
        free
    }

    fn count(&self, state: &State, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::SeqCst);
        self.tell_if_low(state, 0);
    }

    fn tell_if_low(&self, state: &State, wanted: u64) {
        if state.allowed != u64::MAX && state.pacer.allowance() < wanted.max(state.allowed / 2) {
            self.low.notify_one();
        }
    }
}

impl State {
    /// Grants what is due: the wakers of those that may go, and their bytes.
    fn grant(&mut self, now: Duration) -> (Vec<Waker>, u64) {
        let granted = self.pacer.grant(now);
        let gone: Vec<Waiter> = granted.iter().filter_map(|ticket| self.waiting.remove(ticket)).collect();
        let bytes = gone.iter().map(|waiter| waiter.cost).sum();
        (gone.into_iter().filter_map(|waiter| waiter.waker).collect(), bytes)
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("sent", &self.sent()).finish_non_exhaustive()
    }
}

/// One answer on its way through the [`Throttle`].
pub(super) struct Flow {
    throttle: Arc<Throttle>,
    lane: IpAddr,
    /// Whether it is held to the allowance. What says that the budget is spent must still go out.
    metered: bool,
    /// Bytes of the response's head, charged with the first piece.
    head: u64,
    waiting: Option<Waiting>,
}

struct Waiting {
    ticket: Ticket,
    piece: usize,
    cost: u64,
}

impl Flow {
    /// An answer to this address. One without a body is counted at once and waits for nobody.
    pub(super) fn begin(throttle: &Arc<Throttle>, caller: IpAddr, head_bytes: u64, body: &Body) -> Self {
        let metered = match body {
            Body::Empty => false,
            Body::Full(bytes) => bytes.len() > UNMETERED_BYTES_MAX,
            Body::Content(_) | Body::Stream { .. } => true,
        };
        let lane = network_of(caller);
        let mut flow =
            Self { throttle: Arc::clone(throttle), lane, metered, head: head_bytes, waiting: None };
        if body.is_empty() {
            flow.head = 0;
            if !throttle.passes_freely(head_bytes) {
                let mut state = throttle.state();
                state.pacer.charge(head_bytes);
                throttle.count(&state, head_bytes);
            }
        }
        flow
    }

    /// Waits until some of so many bytes may be sent, and says how many. They count as sent.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>, available: usize) -> Poll<Result<usize, Spent>> {
        if self.waiting.is_none() {
            let piece = available.min(usize::try_from(PACE_PIECE_BYTES).unwrap_or(usize::MAX));
            if self.throttle.passes_freely((piece as u64).saturating_add(self.head)) {
                self.head = 0;
                return Poll::Ready(Ok(piece));
            }
        }
        let throttle = Arc::clone(&self.throttle);
        let mut state = throttle.state();
        let waiting = match self.waiting.take() {
            Some(waiting) if !state.waiting.contains_key(&waiting.ticket) => {
                return Poll::Ready(Ok(waiting.piece));
            }
            Some(waiting) => waiting,
            None => {
                let piece = available.min(usize::try_from(state.pacer.piece_bytes()).unwrap_or(usize::MAX));
                let cost = (piece as u64).saturating_add(std::mem::take(&mut self.head));
                match state.pacer.ask(&self.lane, cost, self.metered, throttle.began.elapsed()) {
                    None => {
                        throttle.count(&state, cost);
                        return Poll::Ready(Ok(piece));
                    }
                    Some(ticket) => Waiting { ticket, piece, cost },
                }
            }
        };
        if state.spent && self.metered {
            state.waiting.remove(&waiting.ticket);
            state.pacer.withdraw(&self.lane, waiting.ticket);
            return Poll::Ready(Err(Spent));
        }
        let waiter = Waiter { waker: Some(cx.waker().clone()), cost: waiting.cost };
        let cost = waiting.cost;
        let first = state.waiting.insert(waiting.ticket, waiter).is_none();
        self.waiting = Some(waiting);
        if first {
            throttle.tell_if_low(&state, cost);
            drop(state);
            throttle.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            let mut state = self.throttle.state();
            state.waiting.remove(&waiting.ticket);
            state.pacer.withdraw(&self.lane, waiting.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_keeps_within_the_allowance_however_small_and_what_the_server_says_is_counted() {
        let throttle = Arc::new(Throttle::default());
        throttle.allow_up_to(1000);
        let caller = IpAddr::from([192, 0, 2, 1]);
        let mut cx = Context::from_waker(Waker::noop());
        let mut pass = |body: &Body, bytes| Flow::begin(&throttle, caller, 0, body).poll_pass(&mut cx, bytes);
        assert_eq!(pass(&Body::content(vec![0; 900]), 900), Poll::Ready(Ok(900)));
        assert!(pass(&Body::content(vec![0; 200]), 200).is_pending());
        assert_eq!(pass(&Body::from(vec![0; 200]), 200), Poll::Ready(Ok(200)));
        assert_eq!((throttle.sent(), throttle.left()), (1100, 0));
    }

    #[tokio::test]
    async fn what_passed_before_a_limit_was_set_counts_and_what_comes_after_keeps_to_it() {
        let throttle = Arc::new(Throttle::default());
        let body = Body::stream(3000, futures_util::stream::empty());
        let mut flow = Flow::begin(&throttle, IpAddr::from([192, 0, 2, 1]), 100, &body);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(flow.poll_pass(&mut cx, 1000), Poll::Ready(Ok(1000)));
        assert_eq!(throttle.sent(), 1100, "with its head");
        throttle.allow_up_to(2000);
        assert_eq!(flow.poll_pass(&mut cx, 900), Poll::Ready(Ok(900)));
        assert!(flow.poll_pass(&mut cx, 1).is_pending());
        assert_eq!((throttle.sent(), throttle.waiting()), (2000, 1));
        throttle.spend();
        assert_eq!(flow.poll_pass(&mut cx, 1), Poll::Ready(Err(Spent)));
        throttle.allow_up_to(u64::MAX);
        assert_eq!(flow.poll_pass(&mut cx, 1000), Poll::Ready(Ok(1000)));
        assert_eq!(throttle.sent(), 3000);
    }
}
