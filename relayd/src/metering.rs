//! Counting what is sent, durably, and holding it to the month's budget.
//!
//! Invariant: the count on disk is never less than what was sent. Before bytes may go, a ceiling above them is made durable, and
//! the listener's [`Throttle`] grants nothing beyond it; a process that is killed counts up to one step too much, never too little.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::Timestamp;
use odi_wire::limits::PACE_PIECE_BYTES;
use odi_wire::off_worker::off_worker;
use odi_wire::private_file;
use odi_wire::refusal::Refusal;
use odi_wire::serve::Throttle;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::transfer::{Month, Standing, own_part, standing};

/// Between two looks at the clock: for windows, for the end of a month, and for what is to be announced.
const TICK: Duration = Duration::from_secs(10);
/// Before a ceiling is tried again that could not be made durable.
const RETRY: Duration = Duration::from_secs(1);
/// How far a ceiling is ahead of what was sent: one part of the budget in so many, within these bytes.
const STEP: (u64, u64, u64) = (1000, 1 << 20, 1 << 30);
/// The longest that a client is told to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// Why the count cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum MeteringError {
    /// The file cannot be read or written.
    #[error("cannot keep the transfer count {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not read.
    #[error("the transfer count {} does not read; remove it to count this month from zero", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Record {
    month: String,
    sent: u64,
}

/// The count of this month.
#[derive(Debug)]
pub struct Meter {
    path: PathBuf,
    count: Mutex<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    month: Month,
    /// Sent in this month when the throttle's own count stood at `since`.
    sent: u64,
    since: u64,
    standing: Standing,
}

impl Count {
    const fn used(&self, throttle_sent: u64) -> u64 {
        self.sent.saturating_add(throttle_sent.saturating_sub(self.since))
    }
}

/// What may be sent before the next look.
enum Grant {
    Unlimited,
    Step(u64),
    /// Files have had theirs. What is left is for refusals, which wait for no ceiling.
    RefusalsOnly(u64),
}

impl Grant {
    fn of(budget: Option<u64>, left: u64) -> Self {
        let Some(budget) = budget else { return Self::Unlimited };
        let for_files = left.saturating_sub(own_part(budget));
        let step = (budget / STEP.0).clamp(STEP.1, STEP.2).min(for_files);
        // A piece may never fit again, and whoever waits for one would wait until the month ends.
        if step < 2 * PACE_PIECE_BYTES { Self::RefusalsOnly(left) } else { Self::Step(step) }
    }

    /// What is made durable beforehand as sent.
    const fn bytes(&self) -> u64 {
        match self {
            Self::Unlimited => 0,
            Self::Step(bytes) | Self::RefusalsOnly(bytes) => *bytes,
        }
    }
}

impl Meter {
    /// Reads the count, or begins one. A month that is over on this machine's clock counts from zero; one that has not
    /// begun goes on, for the clock may have been set back. Under a budget the throttle grants nothing until
    /// [`Meter::settle`] has made a ceiling durable.
    ///
    /// # Errors
    /// The file is there and cannot be read, or makes no sense.
    pub fn open(
        data_dir: &Path,
        budget: Option<u64>,
        throttle: &Throttle,
        now: Timestamp,
    ) -> Result<Self, MeteringError> {
        let path = data_dir.join("transfer.json");
        let malformed = || MeteringError::Malformed { path: path.clone() };
        let text = private_file::read(&path);
        let (month, sent) = match text.map_err(|source| MeteringError::File { path: path.clone(), source })? {
            None => (Month::of(now), 0),
            Some(text) => {
                let record: Record = serde_json::from_slice(&text).map_err(|_| malformed())?;
                (Month::parse(&record.month).ok_or_else(malformed)?, record.sent)
            }
        };
        if budget.is_some() {
            throttle.allow_up_to(throttle.sent());
        }
        let standing = standing(budget, sent, month, now);
        Ok(Self { path, count: Mutex::new(Count { month, sent, since: throttle.sent(), standing }) })
    }

    /// Bytes sent this month.
    #[must_use]
    pub fn used(&self, throttle: &Throttle) -> u64 {
        self.count().used(throttle.sent())
    }

    /// How the budget stood at the last look.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.count().standing
    }

    /// The month that is counted.
    #[must_use]
    pub fn month(&self) -> Month {
        self.count().month
    }

    /// Refuses a new download once the budget is spent but for what open ones may still need.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] says when to come back.
    pub fn admit(&self, now: Timestamp) -> Result<(), Refusal> {
        let count = self.count();
        if count.standing.admits {
            return Ok(());
        }
        let wait = count.month.ends().since(now).min(RETRY_AFTER_MAX);
        Err(Refusal::unavailable("this relay has sent what it may this month", wait))
    }

    /// Looks at clock and count: makes the next ceiling durable, then lets the throttle go up to it. Blocking.
    ///
    /// # Errors
    /// The ceiling could not be made durable, and nothing more is allowed than before.
    pub fn settle(
        &self,
        throttle: &Throttle,
        budget: Option<u64>,
        now: Timestamp,
    ) -> Result<(), MeteringError> {
        let mut count = *self.count();
        let month = Month::of(now);
        if month > count.month {
            tracing::info!(month = %count.month, sent = count.used(throttle.sent()), "a month of transfer ended");
            count = Count { month, sent: 0, since: throttle.sent(), ..count };
        }
        let throttle_sent = throttle.sent();
        let used = count.used(throttle_sent);
        let former = count.standing;
        count.standing = standing(budget, used, count.month, now);
        if former.admits && !count.standing.admits {
            tracing::warn!(used, ends = %count.month.ends(), "the monthly transfer is spent; new downloads are refused");
        }
        let grant = Grant::of(budget, count.standing.left);
        self.write(count.month, used.saturating_add(grant.bytes()))?;
        *self.count() = count;
        match grant {
            Grant::Unlimited => throttle.allow_up_to(u64::MAX),
            Grant::Step(step) => throttle.allow_up_to(throttle_sent.saturating_add(step)),
            Grant::RefusalsOnly(_) => throttle.spend(),
        }
        Ok(())
    }

    /// Writes the exact count, once nothing is sent any more. Blocking.
    ///
    /// # Errors
    /// It could not be written; the last ceiling stands.
    pub fn close(&self, throttle: &Throttle) -> Result<(), MeteringError> {
        let (month, used) = (self.month(), self.used(throttle));
        self.write(month, used)
    }

    fn write(&self, month: Month, sent: u64) -> Result<(), MeteringError> {
        let text = serde_json::to_vec(&Record { month: month.to_string(), sent }).expect("a record is plain");
        private_file::replace(&self.path, &text)
            .map_err(|source| MeteringError::File { path: self.path.clone(), source })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps rate and transfer to the operator's terms until `stop`.
pub async fn run(relay: Arc<Relay>, stop: CancellationToken) {
    let mut changed = relay.terms_changed.listen();
    let keeping = async {
        loop {
            let again = if settle(&relay).await { TICK } else { RETRY };
            tokio::select! {
                () = tokio::time::sleep(again) => {}
                () = relay.throttle.low(), if again == TICK => {}
                () = changed.rung() => {}
            }
        }
    };
    stop.run_until_cancelled(keeping).await;
}

/// One look; false if it has to be repeated soon.
pub async fn settle(relay: &Arc<Relay>) -> bool {
    let now = relay.clock.now();
    let former = relay.meter.standing();
    relay.throttle.set_rate(relay.terms().schedule.bandwidth(now).map(|rate| rate.0));
    let settling = Arc::clone(relay);
    let settled = off_worker(move || {
        let budget = settling.terms().transfer.map(|transfer| transfer.0);
        settling.meter.settle(&settling.throttle, budget, now)
    })
    .await;
    if let Err(error) = &settled {
        tracing::error!(error = error as &dyn std::error::Error, "no more is sent than was counted durably");
    }
    // That nobody should be sent here, or anybody again, is news; a little more or less is told in its turn.
    if former.admits != relay.meter.standing().admits {
        relay.announce.ring();
    }
    settled.is_ok()
}

impl Relay {
    /// What this relay can give now, in bytes a second, if it has a limit: what directories should count on.
    #[must_use]
    pub fn capacity(&self, now: Timestamp) -> Option<u64> {
        let terms = self.terms();
        let rate = terms.schedule.bandwidth(now).map(|rate| rate.0);
        if rate.is_none() && terms.transfer.is_none() {
            return None;
        }
        let base = rate.unwrap_or(odi_wire::message::RATE_UNNAMED);
        let share = u128::from(self.meter.standing().share);
        let capacity = u128::from(base) * share / u128::from(crate::transfer::WHOLE);
        Some(u64::try_from(capacity).unwrap_or(u64::MAX))
    }
}
