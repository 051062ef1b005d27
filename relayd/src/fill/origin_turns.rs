//! Turns at origins: they are other people's servers, so a relay asks them for few things at once.
//!
//! A stripe takes as long as hundreds of small blobs, for which other relays wait; so stripes never have all the turns.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests to origins at once.
const AT_ONCE: usize = 4;
/// Of these, for parts of blobs of several chunks.
const FOR_STRIPES: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct OriginTurns {
    all: Semaphore,
    stripes: Semaphore,
}

/// One request's turn, until it is dropped.
pub(super) struct Turn<'t> {
    _stripe: Option<SemaphorePermit<'t>>,
    _one: Option<SemaphorePermit<'t>>,
}

impl Default for OriginTurns {
    fn default() -> Self {
        Self { all: Semaphore::new(AT_ONCE), stripes: Semaphore::new(FOR_STRIPES) }
    }
}

impl OriginTurns {
    /// Waits for a turn. The semaphores are never closed.
    pub(super) async fn take(&self, is_stripe: bool) -> Turn<'_> {
        // First: who waits for a stripe's turn must not hold another one meanwhile.
        let stripe = if is_stripe { self.stripes.acquire().await.ok() } else { None };
        Turn { _stripe: stripe, _one: self.all.acquire().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn stripes_leave_a_turn_for_small_blobs() {
        let turns = OriginTurns::default();
        let stripes: Vec<_> = (0..FOR_STRIPES).map(|_| turns.take(true).now_or_never().unwrap()).collect();
        assert!(turns.take(true).now_or_never().is_none());
        let small: Vec<_> =
            (FOR_STRIPES..AT_ONCE).map(|_| turns.take(false).now_or_never().unwrap()).collect();
        assert!(turns.take(false).now_or_never().is_none(), "no more than so many in all");
        drop((stripes, small));
        let all: Vec<_> = (0..=AT_ONCE).filter_map(|_| turns.take(false).now_or_never()).collect();
        assert_eq!(all.len(), AT_ONCE);
    }
}
