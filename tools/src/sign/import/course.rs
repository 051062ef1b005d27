//! When a tree that is watched is published: pure, from looks and a clock that only goes forward.
//!
//! Published is what looked the same for the settle time, has nothing unfinished in it, whose job has said that it
//! is done, and which is not what was published last. What failed is tried again when the tree changes, or after a pause that doubles.

use std::time::Duration;

use super::look::{Look, Print};

/// After the first failure.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// However often it failed.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// How often a tree that does not change is published nevertheless, which renews its head in time.
const RENEW: Duration = Duration::from_secs(12 * 3600);

/// What to do about a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as it was published.
    AsPublished,
    /// It changed lately.
    Changing,
    /// This file is not finished.
    Unfinished(String),
    /// The job has not said that it is done.
    Untouched,
    /// Publishing it as it is failed, and it is too soon to try again.
    Failed,
    /// Publish it.
    Ready,
}

/// Everything that is remembered between looks.
#[derive(Debug)]
pub(super) struct Course {
    settle: Duration,
    /// What it looks like, and since when.
    seen: Option<(Print, Duration)>,
    /// What it looked like after the last publish, and when that was.
    published: Option<(Print, Duration)>,
    failed: Option<Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    print: Print,
    until: Duration,
    pause: Duration,
}

impl Course {
    /// Nothing is known yet.
    pub(super) const fn new(settle: Duration) -> Self {
        Self { settle, seen: None, published: None, failed: None }
    }

    /// Judges a look at this time. `done` is whether the job has said so, where it is asked to.
    pub(super) fn judge(&mut self, look: &Look, done: bool, now: Duration) -> Verdict {
        let since = match self.seen {
            Some((print, since)) if print == look.print => since,
            _ => now,
        };
        self.seen = Some((look.print, since));
        match self.published {
            Some((print, at)) if print == look.print => {
                return if now.saturating_sub(at) < RENEW { Verdict::AsPublished } else { Verdict::Ready };
            }
            _ => {}
        }
        if let Some(file) = &look.unfinished {
            return Verdict::Unfinished(file.to_string());
        }
        if !done {
            return Verdict::Untouched;
        }
        if now.saturating_sub(since) < self.settle {
            return Verdict::Changing;
        }
        match self.failed {
            Some(failed) if failed.print == look.print && now < failed.until => Verdict::Failed,
            _ => Verdict::Ready,
        }
    }

    /// What was judged ready is published. `after` is what the tree looks like since, if it is known to be the same.
    pub(super) fn published(&mut self, after: Option<Print>, now: Duration) {
        self.failed = None;
        self.published = after.map(|print| (print, now));
    }

    /// Publishing what looked like this failed. Returns when it is tried again at the latest.
    pub(super) fn failed(&mut self, print: Print, now: Duration) -> Duration {
        let pause = self.failed.map_or(RETRY_FIRST, |failed| (failed.pause * 2).min(RETRY_MAX));
        self.failed = Some(Failed { print, until: now + pause, pause });
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{AsPublished, Changing, Failed, Ready, Unfinished, Untouched};

    fn look(of: u8) -> Look {
        Look { print: Print::of(&[of]), content: Print::of(&[of]), unfinished: None }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_quiet_is_published_once() {
        let mut course = Course::new(at(10));
        assert_eq!(course.judge(&look(1), true, at(0)), Changing);
        assert_eq!(course.judge(&look(2), true, at(9)), Changing);
        assert_eq!(course.judge(&look(2), true, at(18)), Changing);
        assert_eq!(course.judge(&look(2), true, at(19)), Ready);
        course.published(Some(look(3).print), at(19));
        assert_eq!(course.judge(&look(3), true, at(40)), AsPublished);
        assert_eq!(course.judge(&look(4), true, at(41)), Changing);
        assert_eq!(course.judge(&look(4), true, at(51)), Ready);
    }

    #[test]
    fn what_changed_while_it_was_published_is_published_again() {
        let mut course = Course::new(at(0));
        assert_eq!(course.judge(&look(1), true, at(0)), Ready);
        course.published(None, at(0));
        assert_eq!(course.judge(&look(1), true, at(1)), Ready);
    }

    #[test]
    fn temporaries_and_markers_hold_it_up_however_quiet() {
        let mut course = Course::new(at(10));
        let unfinished = Look { unfinished: Some("a".parse().unwrap()), ..look(1) };
        assert_eq!(course.judge(&unfinished, true, at(0)), Unfinished("a".to_owned()));
        assert_eq!(course.judge(&unfinished, true, at(100)), Unfinished("a".to_owned()));
        assert_eq!(course.judge(&look(2), false, at(200)), Untouched);
        assert_eq!(course.judge(&look(2), true, at(300)), Ready);
    }

    #[test]
    fn failures_are_tried_again_ever_more_slowly_or_when_the_tree_changes() {
        let mut course = Course::new(at(0));
        let mut now = 0;
        for pause in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(course.judge(&look(1), true, at(now)), Ready);
            assert_eq!(course.failed(look(1).print, at(now)), at(pause));
            assert_eq!(course.judge(&look(1), true, at(now + pause - 1)), Failed);
            now += pause;
        }
        assert_eq!(course.failed(look(1).print, at(now)), at(600));
        assert_eq!(course.judge(&look(2), true, at(now + 1)), Ready);
        course.published(Some(look(2).print), at(now + 1));
        assert_eq!(course.failed(look(2).print, at(now + 2)), at(30));
    }

    #[test]
    fn a_head_is_renewed_though_nothing_changes_and_no_job_runs() {
        let mut course = Course::new(at(10));
        course.published(Some(look(1).print), at(0));
        assert_eq!(course.judge(&look(1), false, at(12 * 3600 - 1)), AsPublished);
        assert_eq!(course.judge(&look(1), false, at(12 * 3600)), Ready);
    }
}
