//! Watching a tree until somebody ends it: look, judge, publish, wait.
//!
//! Everything runs on one thread, so a signal that comes while a head is being published is heard when it is done.

use std::time::{Duration, Instant};

use odi_wire::chain;
use odi_wire::daemon::StopSignals;
use tokio::runtime::Builder;

use super::super::failure::Failure;
use super::super::outcome::{HeadOutcome, HeadState};
use super::course::{Course, Verdict};
use super::look::Look;
use super::marker::Marker;
use super::{Filled, Publish, say};

/// Between two looks, whatever the settle time.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The same.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// A look may take one part in so many of the time.
const LOOKS_SHARE: u32 = 20;

/// Shows what was published.
pub(in super::super) type Show<'a> = dyn Fn(&HeadOutcome) -> Result<(), Failure> + 'a;

/// Publishes the tree whenever it is done, until SIGTERM or SIGINT.
pub(in super::super) fn watch(
    filled: &Filled<'_>,
    publish: &Publish<'_>,
    show: &Show<'_>,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Watch)?;
    runtime.block_on(async {
        let mut ends = StopSignals::listen().map_err(Failure::Watch)?;
        let mut watch = Watch {
            filled,
            publish,
            show,
            marker: filled.marker.map(|file| Marker::of(filled.tree, file)),
            course: Course::new(filled.settle),
            began: Instant::now(),
            said: None,
            shown: false,
        };
        say(&format!("watching {}", filled.tree.display()));
        loop {
            let looking = Instant::now();
            let look = Look::take(filled.tree, filled.workers);
            let pause = pause(filled.settle, looking.elapsed());
            watch.heed(&look)?;
            if tokio::time::timeout(pause, ends.received()).await.is_ok() {
                say("ended; nothing was left half done");
                return Ok(());
            }
        }
    })
}

/// Long enough that looking costs little, short enough that a quiet tree is noticed soon after its settle time.
fn pause(settle: Duration, look: Duration) -> Duration {
    (settle / 2).clamp(PAUSE_MIN, PAUSE_MAX).max(look.saturating_mul(LOOKS_SHARE))
}

struct Watch<'a> {
    filled: &'a Filled<'a>,
    publish: &'a Publish<'a>,
    show: &'a Show<'a>,
    marker: Option<Marker>,
    course: Course,
    began: Instant,
    /// What was said last, which is not said again.
    said: Option<Verdict>,
    shown: bool,
}

impl Watch<'_> {
    fn heed(&mut self, look: &Look) -> Result<(), Failure> {
        let touched = match &self.marker {
            None => Ok(Some(String::new())),
            Some(marker) => marker.touched(),
        };
        let touched = touched.unwrap_or_else(|failure| {
            say(&format!("the marker is unreadable: {}", chain::of(&failure)));
            None
        });
        let verdict = self.course.judge(look, touched.is_some(), self.began.elapsed());
        if verdict == Verdict::Ready {
            self.said = None;
            return self.attempt(look, touched);
        }
        if self.said.as_ref() != Some(&verdict) {
            if let Some(words) = words(&verdict) {
                say(&words);
            }
            self.said = Some(verdict);
        }
        Ok(())
    }

    fn attempt(&mut self, look: &Look, touched: Option<String>) -> Result<(), Failure> {
        match (self.publish)() {
            Ok(outcome) => {
                let heeded = match (&self.marker, touched) {
                    (Some(marker), Some(stamp)) => marker.heeded(&stamp),
                    _ => Ok(()),
                };
                if let Err(failure) = heeded {
                    say(&format!("published, and may be looked at again: {}", chain::of(&failure)));
                }
                let after = Look::take(self.filled.tree, self.filled.workers);
                let same = after.content == look.content;
                self.course.published(same.then_some(after.print), self.began.elapsed());
                if outcome.state != HeadState::Unchanged || !self.shown {
                    self.shown = true;
                    (self.show)(&outcome)?;
                }
            }
            Err(failure) => {
                let pause = self.course.failed(look.print, self.began.elapsed());
                let why = chain::of(&failure);
                say(&format!("not published: {why}; again when it changes, or in {} s", pause.as_secs()));
            }
        }
        Ok(())
    }
}

fn words(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Unfinished(file) => Some(format!("waits: {file} is not finished")),
        Verdict::Changing => Some("waits: the tree changes".to_owned()),
        Verdict::Untouched => Some("waits: the marker was not touched since the last import".to_owned()),
        Verdict::AsPublished | Verdict::Failed | Verdict::Ready => None,
    }
}
