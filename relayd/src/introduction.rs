//! How relays that start together get to know each other before they fill.
//!
//! A relay that knows of no other takes itself for the home of everything. So it first lets directories know what it fills,
//! and then waits a moment for the others to do the same; not for ever, and never while a client waits. Before it fills with
//! a new head it makes sure once more who there is, for many may have come since it last heard.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Between the first announcement of what this relay fills and the list of relays that counts.
const SETTLING: Duration = Duration::from_millis(2500);
/// How long a fill waits at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same when the relays met before.
const RENEWAL: Duration = Duration::from_secs(2);
/// For how long what was heard of the others will do.
const FRESH: Duration = Duration::from_secs(5);

/// Whether the relays of one catalog know each other.
#[derive(Debug, Default)]
pub struct Introduction {
    announced: Mutex<Option<Instant>>,
    heard: Mutex<Option<Instant>>,
    made: watch::Sender<bool>,
}

impl Introduction {
    /// A directory has taken an announcement that says what this relay fills.
    pub fn announced(&self, now: Instant) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
    }

    /// A directory has said who else there is.
    pub fn heard(&self, now: Instant) {
        let announced = *self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.is_some_and(|announced| now.duration_since(announced) >= SETTLING) {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            self.made.send_replace(true);
        }
    }

    /// There is a new head to fill with: the others are heard of again, unless that was just now.
    pub fn renew(&self, now: Instant) {
        if self.last_heard().is_some_and(|heard| now.duration_since(heard) > FRESH) {
            self.made.send_replace(false);
        }
    }

    fn last_heard(&self) -> Option<Instant> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is waited for any more.
    #[must_use]
    pub fn is_made(&self) -> bool {
        *self.made.borrow()
    }

    /// Waits until the others are known, or long enough.
    pub async fn wait(&self) {
        let mut made = self.made.subscribe();
        let patience = if self.last_heard().is_some() { RENEWAL } else { PATIENCE };
        let _ = timeout(patience, made.wait_for(|made| *made)).await;
        self.made.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_count_once_they_had_time_to_speak() {
        let introduction = Introduction::default();
        let now = Instant::now();
        introduction.heard(now);
        introduction.announced(now);
        introduction.announced(now + SETTLING);
        introduction.heard(now + SETTLING / 2);
        assert!(!introduction.is_made());
        introduction.heard(now + SETTLING);
        introduction.wait().await;
        assert!(introduction.is_made());
    }

    #[test]
    fn a_new_head_is_filled_with_by_those_who_are_there_now() {
        let introduction = Introduction::default();
        introduction.renew(Instant::now());
        introduction.announced(Instant::now());
        let met = Instant::now() + SETTLING;
        introduction.heard(met);
        introduction.renew(met + FRESH);
        assert!(introduction.is_made(), "heard just now");
        let later = met + FRESH + Duration::from_millis(1);
        introduction.renew(later);
        assert!(!introduction.is_made());
        introduction.heard(later);
        assert!(introduction.is_made());
    }
}
