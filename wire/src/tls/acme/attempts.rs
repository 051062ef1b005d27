//! How often it was ordered in vain, kept over restarts: a daemon that ends again and again must not order each time, since
//! authorities lock out whoever insists.

use std::path::Path;
use std::time::Duration;

use odi_manifest::Timestamp;
use serde::{Deserialize, Serialize};

use super::AcmeError;
use crate::off_worker::off_worker;
use crate::private_file;

const FILE: &str = "attempts.json";
/// The pause after the first order in vain, what it grows by, and how far.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_GROWTH: u32 = 4;
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Orders since a certificate was last in use that was not due. One counts as in vain until then, so that one whose outcome was
/// lost does too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    last: Timestamp,
    in_vain: u32,
}

impl Attempts {
    const NONE: Self = Self { last: Timestamp(0), in_vain: 0 };

    /// What is remembered. What does not read counts as nothing, for it may be a crash's.
    pub(super) async fn open(folder: &Path) -> Result<Self, AcmeError> {
        let path = folder.join(FILE);
        let reading = path.clone();
        let text = off_worker(move || private_file::read(&reading)).await;
        Ok(Self::read(text.map_err(|source| AcmeError::File { path, source })?.as_deref()))
    }

    fn read(text: Option<&[u8]>) -> Self {
        text.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or(Self::NONE)
    }

    fn to_text(self) -> Vec<u8> {
        serde_json::to_vec(&self).expect("two numbers are plain")
    }

    const fn begun(self, now: Timestamp) -> Self {
        Self { last: now, in_vain: self.in_vain.saturating_add(1) }
    }

    /// How long there must be no order. A clock that was set back makes that no longer than the pause.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        let Some(former) = self.in_vain.checked_sub(1) else { return Duration::ZERO };
        let pause = PAUSE.saturating_mul(PAUSE_GROWTH.saturating_pow(former)).min(PAUSE_MAX);
        self.last.plus(pause).since(now).min(pause)
    }

    /// Notes an order, durably, before it is placed.
    pub(super) async fn begin(&mut self, folder: &Path, now: Timestamp) -> Result<(), AcmeError> {
        *self = self.begun(now);
        self.keep(folder).await
    }

    /// Notes that the last one was not in vain.
    pub(super) async fn succeeded(&mut self, folder: &Path) -> Result<(), AcmeError> {
        if self.in_vain == 0 {
            return Ok(());
        }
        self.in_vain = 0;
        self.keep(folder).await
    }

    async fn keep(&self, folder: &Path) -> Result<(), AcmeError> {
        let (path, text) = (folder.join(FILE), self.to_text());
        let writing = path.clone();
        let kept = off_worker(move || private_file::replace(&writing, &text)).await;
        kept.map_err(|source| AcmeError::File { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_clock_that_is_set_back_makes_none_endless() {
        let at = |in_vain| Attempts { last: Timestamp(1_000_000), in_vain };
        assert_eq!(Attempts::NONE.wait(Timestamp(0)), Duration::ZERO);
        let waits = [1, 2, 3, 4, 5, 6, 1000].map(|n| at(n).wait(Timestamp(1_000_000)).as_secs() / 60);
        assert_eq!(waits, [1, 4, 16, 64, 256, 360, 360]);
        assert_eq!(at(1).wait(Timestamp(1_000_059)).as_secs(), 1);
        assert!(at(1).wait(Timestamp(1_000_060)).is_zero());
        assert_eq!(at(2).wait(Timestamp(5)).as_secs(), 240);
    }

    #[test]
    fn an_order_counts_over_restarts() {
        let now = Timestamp(1_000_000);
        let restarted = |attempts: Attempts| Attempts::read(Some(&attempts.to_text()));
        // The process is killed while the order is under way, twice.
        let once = restarted(Attempts::read(None).begun(now));
        assert_eq!(once.wait(now), PAUSE);
        let twice = restarted(once.begun(now.plus(PAUSE)));
        assert_eq!(twice.wait(now.plus(PAUSE)), PAUSE * PAUSE_GROWTH);
        assert_eq!(Attempts::read(Some(b"{")), Attempts::NONE);
    }
}
