//! What a proved relay has shown so far: a pure state machine, (trial, event, now) -> (trial, action).
//!
//! ```text
//! untested --self-test passed--> probation --enough probes matched--> ready
//!    ^ ^                          |  ^                                 |  |
//!    | |                          |  +------- probes fail -------------+  |
//!    | +-- quarantine ends <------+---------- one wrong byte -------------+
//!    +---- its URLs changed
//! ```
//!
//! Invariants
//! - Nothing is assigned before the self-test has passed, and nobody is sent there before a probe has matched since.
//! - A client that complains only has the directory look: its word and a failed probe together take the traffic away, at once,
//!   until a probe matches; nothing more, for a relay may be back in a minute.
//! - No event that comes late, from before a quarantine or a change of URLs, moves a trial forward.

use std::time::Duration;

use odi_manifest::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RosterLimits, Standing, backoff};
use crate::audit::plan;

/// Of the weight that a ready relay has, the part that one on probation has.
const PROBATION_PART: u64 = 16;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The self-test has not passed.
    Untested,
    /// It passed; so many probes in a row have matched since.
    Probation {
        /// How many.
        matched: u32,
    },
    /// It takes its share.
    Ready,
    /// It gave wrong bytes.
    Quarantined {
        /// Until then nothing is sent there.
        until: Timestamp,
    },
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time passed, or the relay announced something.
    Look(Seen),
    /// Every check of the self-test was right.
    TestPassed,
    /// One was not, in words.
    TestFailed(&'a str),
    /// A probe of something that the relay says it holds had the right bytes.
    ProbeMatched,
    /// A probe got no usable answer, in words.
    ProbeFailed(&'a str),
    /// A client asked again for what it was just sent there for.
    Doubted,
    /// It gave other bytes than were signed, or what was taken back; in words.
    Lied(&'a str),
    /// Another directory says that it shut it out or caught it; in words. Its word counts for one look, and no more.
    Reported(&'a str),
    /// It proved other URLs: what was seen, was seen elsewhere.
    Moved,
    /// The operator lets it out of its quarantine: everything begins with the self-test.
    Released,
}

/// What can be looked at now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its lease runs.
    pub alive: bool,
    /// It says that it holds all of this directory's self-test catalog.
    pub test: bool,
    /// It says that it holds something of another catalog.
    pub probe: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the self-test.
    Test,
    /// Probe something.
    Probe,
    /// Make the stage durable: it has changed.
    Write,
}

/// One relay's trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    stage: Stage,
    /// When a probe last matched.
    probed: Option<Timestamp>,
    /// Tests or probes that failed in a row.
    failures: u32,
    /// When the next may begin.
    next: Timestamp,
    /// Somebody complained, and no probe has matched since.
    doubted: bool,
    /// Another directory spoke against it, and no probe has matched since.
    is_suspect: bool,
    /// When another directory's word last counted.
    reported: Option<Timestamp>,
    /// How long it is left alone after the last look that matched; the longest that there is, unless one was drawn.
    rests: Option<Duration>,
    reason: Option<String>,
}

impl Trial {
    /// A trial as a restart finds it: a probe has to match again before anybody is sent there.
    #[must_use]
    pub const fn at(stage: Stage) -> Self {
        Self {
            stage,
            probed: None,
            failures: 0,
            next: Timestamp(0),
            doubted: false,
            is_suspect: false,
            reported: None,
            rests: None,
            reason: None,
        }
    }

    /// The trial after an event, and what it asks for.
    #[must_use]
    pub fn on(self, event: Event<'_>, now: Timestamp, limits: &RosterLimits) -> (Self, Option<Action>) {
        match (event, self.stage) {
            (Event::Look(seen), _) => self.look(seen, now, limits),
            (Event::TestPassed, Stage::Untested) => {
                (Self { next: now, ..Self::at(Stage::Probation { matched: 0 }) }, Some(Action::Write))
            }
            (Event::TestFailed(why), Stage::Untested) => {
                (self.failed(why, now, limits.test_retry, limits.test_retry_max), None)
            }
            (Event::ProbeMatched, Stage::Probation { matched }) => {
                let matched = matched.saturating_add(1);
                let is_ready = matched >= limits.probation_probes;
                let stage = if is_ready { Stage::Ready } else { Stage::Probation { matched } };
                (self.matched(stage, now), is_ready.then_some(Action::Write))
            }
            (Event::ProbeMatched, Stage::Ready) => (self.matched(Stage::Ready, now), None),
            (Event::ProbeFailed(why), Stage::Probation { .. } | Stage::Ready) => {
                self.probe_failed(why, now, limits)
            }
            (Event::Doubted, Stage::Probation { .. } | Stage::Ready) => {
                (Self { doubted: true, ..self }, None)
            }
            (Event::Lied(why), _) => {
                let until = now.plus(limits.quarantine);
                let fresh = Self::at(Stage::Quarantined { until });
                (Self { reason: Some(why.to_owned()), ..fresh }, Some(Action::Write))
            }
            (Event::Reported(why), Stage::Probation { .. } | Stage::Ready) => {
                (self.reported(why, now, limits), None)
            }
            (Event::Released, Stage::Quarantined { .. }) => (Self::at(Stage::Untested), Some(Action::Write)),
            (Event::Moved, Stage::Quarantined { .. }) => (self, None),
            (Event::Moved, _) => (Self::at(Stage::Untested), Some(Action::Write)),
            _ => (self, None),
        }
    }

    /// Whether a look may ask for something now, whatever there is to be seen: mostly it may not, and seeing costs more.
    pub(super) fn may_ask(&self, now: Timestamp, limits: &RosterLimits) -> bool {
        let everything = Seen { alive: true, test: true, probe: true };
        self.clone().look(everything, now, limits).1.is_some()
    }

    fn look(mut self, seen: Seen, now: Timestamp, limits: &RosterLimits) -> (Self, Option<Action>) {
        if matches!(self.stage, Stage::Quarantined { until } if until <= now) {
            self = Self::at(Stage::Untested);
        }
        if !seen.alive || self.next > now {
            return (self, None);
        }
        let is_pressing = self.failures > 0 || self.doubted;
        let rested = |every: Duration| {
            let every = if is_pressing {
                every.min(limits.doubt_every)
            } else {
                self.rests.unwrap_or(every).min(every)
            };
            self.is_suspect || self.probed.is_none_or(|probed| now.since(probed) >= every)
        };
        let action = match self.stage {
            Stage::Untested if seen.test => Action::Test,
            Stage::Probation { .. } if seen.probe && rested(limits.probation_every) => Action::Probe,
            Stage::Ready if seen.probe && rested(limits.probe_every) => Action::Probe,
            _ => return (self, None),
        };
        let lost = if action == Action::Test { limits.test_under_way } else { limits.under_way };
        self.next = now.plus(lost);
        (self, Some(action))
    }

    fn matched(self, stage: Stage, now: Timestamp) -> Self {
        Self { probed: Some(now), next: now, reported: self.reported, ..Self::at(stage) }
    }

    /// Draws how long it is left alone after a look that has just matched.
    pub(super) fn rest(&mut self, draw: u32, now: Timestamp, limits: &RosterLimits) {
        let longest = match self.stage {
            Stage::Ready => limits.probe_every,
            _ => limits.probation_every,
        };
        if self.probed == Some(now) {
            self.rests = Some(plan::rest(longest, draw));
        }
    }

    /// Whoever speaks against a relay again and again is not listened to each time.
    fn reported(self, why: &str, now: Timestamp, limits: &RosterLimits) -> Self {
        if self.reported.is_some_and(|at| now.since(at) < limits.reported_every) {
            return self;
        }
        let reason = self.reason.clone().or_else(|| Some(why.to_owned()));
        Self { is_suspect: true, reported: Some(now), reason, ..self }
    }

    fn failed(self, why: &str, now: Timestamp, first: Duration, most: Duration) -> Self {
        let failures = self.failures.saturating_add(1);
        let next = now.plus(backoff(first, most, failures));
        Self { failures, next, reason: Some(why.to_owned()), ..self }
    }

    /// Each failure in a row halves the share; too many take it away, and probation begins again. Where a client complained too, one
    /// is enough to send nobody there until a probe matches.
    fn probe_failed(self, why: &str, now: Timestamp, limits: &RosterLimits) -> (Self, Option<Action>) {
        if self.doubted {
            let failed = self.failed(why, now, limits.retry, limits.doubted_retry_max);
            return (Self { probed: None, ..failed }, None);
        }
        let was_ready = self.stage == Stage::Ready;
        let failed = self.failed(why, now, limits.retry, limits.retry_max);
        if failed.failures < limits.probe_failures {
            return (failed, None);
        }
        let fallen = Self { stage: Stage::Probation { matched: 0 }, probed: None, ..failed };
        (fallen, was_ready.then_some(Action::Write))
    }

    /// The trial of one that needs no probation, if it is on it.
    #[must_use]
    pub fn vouched_for(&self) -> Option<Self> {
        let is_on_probation = matches!(self.stage, Stage::Probation { .. });
        is_on_probation.then(|| Self { stage: Stage::Ready, ..self.clone() })
    }

    /// How far it has come.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Where that leaves the relay, for others.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.stage {
            Stage::Quarantined { until } if now < until => Standing::Quarantined,
            Stage::Ready if self.probed.is_some() => Standing::Ready,
            _ => Standing::Probation,
        }
    }

    /// When a probe last matched.
    #[must_use]
    pub const fn probed(&self) -> Option<Timestamp> {
        self.probed
    }

    /// Brings back what lies further ahead than it could if it had happened now: the clock was set back, and until it had come as far
    /// again a relay that died or lies would be trusted and nobody would look.
    pub(super) fn keep_to(&mut self, now: Timestamp, limits: &RosterLimits) {
        self.probed = self.probed.map(|probed| probed.min(now));
        self.reported = self.reported.map(|reported| reported.min(now));
        let longest = match self.stage {
            Stage::Untested => limits.test_retry_max.max(limits.test_under_way),
            _ => limits.retry_max.max(limits.under_way),
        };
        if self.next > now.plus(longest) {
            self.next = now;
        }
        if let Stage::Quarantined { until } = &mut self.stage {
            *until = (*until).min(now.plus(limits.quarantine));
        }
    }

    /// The relay has announced itself: if it was complained of and could not be probed, it may have been started again.
    pub(super) fn heard(&mut self, now: Timestamp) {
        if self.doubted && self.probed.is_none() && self.failures > 0 {
            self.next = now;
        }
    }

    /// Whether a client complained, and no probe has matched since.
    #[must_use]
    pub const fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Why it is no further, in words.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether something may be assigned: the self-test has passed.
    #[must_use]
    pub const fn has_passed(&self) -> bool {
        matches!(self.stage, Stage::Probation { .. } | Stage::Ready)
    }

    /// Whether clients may be sent there: a probe matched lately.
    #[must_use]
    pub fn is_selectable(&self, now: Timestamp, limits: &RosterLimits) -> bool {
        self.has_passed() && self.probed.is_some_and(|probed| now.since(probed) <= limits.probe_valid)
    }

    /// What is left of a full weight; at least 1.
    #[must_use]
    pub const fn weight(&self, full: u64) -> u64 {
        let part = if matches!(self.stage, Stage::Ready) { full } else { full / PROBATION_PART };
        let halvings = self.failures.saturating_add(self.is_suspect as u32);
        let halved = part >> if halvings < 16 { halvings } else { 16 };
        if halved == 0 { 1 } else { halved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RosterLimits = RosterLimits::open_network();
    const ALL: Seen = Seen { alive: true, test: true, probe: true };

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000 + seconds)
    }

    fn after(trial: Trial, events: &[(u64, Event<'_>)]) -> Trial {
        events.iter().fold(trial, |trial, (seconds, event)| trial.on(*event, at(*seconds), &LIMITS).0)
    }

    fn ready() -> Trial {
        let mut trial = after(Trial::at(Stage::Untested), &[(0, Event::TestPassed)]);
        for _ in 0..LIMITS.probation_probes {
            trial = after(trial, &[(1, Event::ProbeMatched)]);
        }
        assert_eq!(trial.stage(), Stage::Ready);
        trial
    }

    #[test]
    fn the_whole_way_is_test_then_probes_then_ready() {
        let (trial, action) = Trial::at(Stage::Untested).on(Event::Look(ALL), at(0), &LIMITS);
        assert_eq!(action, Some(Action::Test));
        let (trial, action) = trial.on(Event::Look(ALL), at(1), &LIMITS);
        assert_eq!(action, None, "a test under way is not begun twice");
        let (trial, action) = trial.on(Event::TestPassed, at(2), &LIMITS);
        assert_eq!((action, trial.has_passed()), (Some(Action::Write), true));
        assert!(!trial.is_selectable(at(2), &LIMITS), "no probe has matched yet");
        let mut trial = trial;
        let mut seconds = 2;
        for n in 1..=LIMITS.probation_probes {
            let (probing, action) = trial.on(Event::Look(ALL), at(seconds), &LIMITS);
            assert_eq!(action, Some(Action::Probe), "probe {n}");
            let (matched, action) = probing.on(Event::ProbeMatched, at(seconds), &LIMITS);
            assert!(matched.is_selectable(at(seconds), &LIMITS));
            assert_eq!(action.is_some(), n == LIMITS.probation_probes);
            trial = matched;
            seconds += LIMITS.probation_every.as_secs();
        }
        assert_eq!(trial.standing(at(seconds)), Standing::Ready);
        assert_eq!((trial.weight(1600), ready().weight(1600)), (1600, 1600));
        assert_eq!(Trial::at(Stage::Probation { matched: 3 }).weight(1600), 100);
    }

    #[test]
    fn nothing_is_begun_with_a_relay_that_is_away_or_holds_nothing() {
        for (stage, seen) in [
            (Stage::Untested, Seen { alive: false, ..ALL }),
            (Stage::Untested, Seen { test: false, ..ALL }),
            (Stage::Probation { matched: 0 }, Seen { probe: false, ..ALL }),
            (Stage::Ready, Seen { alive: false, ..ALL }),
        ] {
            assert_eq!(Trial::at(stage).on(Event::Look(seen), at(0), &LIMITS).1, None, "{stage:?} {seen:?}");
        }
    }

    #[test]
    fn a_failed_test_is_named_and_tried_again_later_and_later() {
        let mut trial = Trial::at(Stage::Untested);
        let mut waits = Vec::new();
        let mut seconds = 0;
        for _ in 0..12 {
            trial = after(trial, &[(seconds, Event::TestFailed("no ranges"))]);
            let begun = seconds;
            while trial.clone().on(Event::Look(ALL), at(seconds), &LIMITS).1.is_none() {
                seconds += 1;
            }
            waits.push(seconds - begun);
        }
        assert_eq!(trial.reason(), Some("no ranges"));
        assert!(waits.is_sorted() && waits[0] == LIMITS.test_retry.as_secs(), "{waits:?}");
        assert_eq!(waits[11], LIMITS.test_retry_max.as_secs());
    }

    #[test]
    fn failed_probes_halve_the_share_and_three_take_it() {
        let trial = after(ready(), &[(10, Event::ProbeFailed("404"))]);
        assert_eq!((trial.weight(1600), trial.standing(at(10))), (800, Standing::Ready));
        let trial = after(trial, &[(20, Event::ProbeFailed("404")), (30, Event::ProbeFailed("404"))]);
        assert_eq!(trial.standing(at(30)), Standing::Probation);
        assert!(!trial.is_selectable(at(30), &LIMITS) && trial.has_passed());
        let trial = after(trial, &[(40, Event::ProbeMatched)]);
        assert_eq!(trial.stage(), Stage::Probation { matched: 1 }, "it has to show itself again");
    }

    #[test]
    fn a_complaint_has_it_probed_and_only_with_a_failed_probe_takes_its_clients() {
        let probed = after(ready(), &[(10, Event::ProbeMatched)]);
        let due = |trial: &Trial, seconds| trial.clone().on(Event::Look(ALL), at(seconds), &LIMITS).1;
        assert_eq!(due(&probed, 60), None);
        let doubted = after(probed, &[(11, Event::Doubted)]);
        assert_eq!(due(&doubted, 12), None, "whoever asks twice again and again has it probed now and then");
        assert_eq!(due(&doubted, 10 + LIMITS.doubt_every.as_secs()), Some(Action::Probe));
        assert!(doubted.is_selectable(at(60), &LIMITS), "a client's word alone changes nothing");
        let matched = after(doubted.clone(), &[(60, Event::ProbeMatched)]);
        assert_eq!(due(&matched, 90), None, "nobody complained since");

        let dead = after(doubted, &[(60, Event::ProbeFailed("refused"))]);
        assert!(!dead.is_selectable(at(60), &LIMITS) && dead.stage() == Stage::Ready);
        let dead = after(dead, &[(65, Event::ProbeFailed("refused")), (75, Event::ProbeFailed("refused"))]);
        assert!((76..=95).any(|seconds| due(&dead, seconds).is_some()), "it is looked for soon");
        let back = after(dead, &[(95, Event::ProbeMatched)]);
        assert_eq!(
            (back.standing(at(95)), back.weight(1600)),
            (Standing::Ready, 1600),
            "as if nothing had been"
        );
    }

    #[test]
    fn one_wrong_byte_ends_it_and_what_comes_late_changes_nothing() {
        let lied = after(ready(), &[(10, Event::Lied("wrong bytes"))]);
        assert_eq!((lied.standing(at(10)), lied.weight(1600)), (Standing::Quarantined, 100));
        let late = [
            (11, Event::ProbeMatched),
            (11, Event::TestPassed),
            (11, Event::ProbeFailed("x")),
            (11, Event::Moved),
            (11, Event::Look(ALL)),
        ];
        assert_eq!(after(lied.clone(), &late), lied);
        let over = at(10 + LIMITS.quarantine.as_secs());
        let (again, action) = lied.on(Event::Look(ALL), over, &LIMITS);
        assert_eq!((again.stage(), action), (Stage::Untested, Some(Action::Test)), "from the beginning");
    }

    #[test]
    fn the_word_of_another_directory_is_good_for_one_look_and_half_the_share_until_then() {
        let quiet = after(ready(), &[(10, Event::ProbeMatched)]);
        assert_eq!(quiet.clone().on(Event::Look(ALL), at(11), &LIMITS).1, None, "it has just been probed");
        let said = after(quiet, &[(11, Event::Reported("wrong bytes, it says"))]);
        assert_eq!((said.weight(1600), said.standing(at(11))), (800, Standing::Ready));
        assert!(said.is_selectable(at(11), &LIMITS));
        assert_eq!(said.reason(), Some("wrong bytes, it says"));
        let (probing, action) = said.on(Event::Look(ALL), at(11), &LIMITS);
        assert_eq!(action, Some(Action::Probe));
        assert_eq!(probing.clone().on(Event::Look(ALL), at(12), &LIMITS).1, None, "one at a time");
        let cleared = after(probing, &[(12, Event::ProbeMatched)]);
        assert_eq!((cleared.weight(1600), cleared.reason()), (1600, None));
        let again =
            after(cleared.clone(), &[(13, Event::Reported("again")), (600, Event::Reported("again"))]);
        assert_eq!(again, cleared, "whoever repeats itself is not heard for ten minutes");
        let later = after(cleared, &[(11 + 600, Event::Reported("again"))]);
        assert_eq!(later.weight(1600), 800);
    }

    #[test]
    fn when_the_next_look_comes_is_drawn() {
        let mut due = std::collections::BTreeSet::new();
        for draw in [0, u32::MAX / 3, u32::MAX / 2, u32::MAX] {
            let mut trial = after(ready(), &[(10, Event::ProbeMatched)]);
            trial.rest(draw, at(10), &LIMITS);
            let is_due =
                |seconds: &u64| trial.clone().on(Event::Look(ALL), at(*seconds), &LIMITS).1.is_some();
            due.insert((10..1000).find(is_due).unwrap() - 10);
        }
        let every = LIMITS.probe_every.as_secs();
        assert_eq!((due.len(), due.first(), due.last()), (4, Some(&(every / 2)), Some(&every)));
    }

    #[test]
    fn nothing_that_others_say_moves_a_stage() {
        let stages = [
            Stage::Untested,
            Stage::Probation { matched: 3 },
            Stage::Ready,
            Stage::Quarantined { until: at(9000) },
        ];
        for stage in stages {
            let said = after(Trial::at(stage), &[(5, Event::Reported("x")), (900, Event::Reported("y"))]);
            assert_eq!(said.stage(), stage);
        }
    }

    #[test]
    fn other_urls_are_tested_anew() {
        let moved = after(ready(), &[(10, Event::Moved), (11, Event::ProbeMatched)]);
        assert_eq!(moved.stage(), Stage::Untested);
        assert!(!moved.is_selectable(at(11), &LIMITS));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_nobody_trusted_for_longer() {
        let trusted = after(ready(), &[(86_400, Event::ProbeMatched)]);
        let (lied, failed) = (
            after(trusted.clone(), &[(86_400, Event::Lied("wrong bytes"))]),
            after(trusted.clone(), &[(86_400, Event::ProbeFailed("refused"))]),
        );
        let kept = |trial: &Trial| {
            let mut kept = trial.clone();
            kept.keep_to(at(100), &LIMITS);
            kept
        };
        let due = |trial: &Trial, seconds| trial.clone().on(Event::Look(ALL), at(seconds), &LIMITS).1;
        assert!(
            trusted.is_selectable(at(2000), &LIMITS) && due(&trusted, 2000).is_none(),
            "what this is for"
        );
        let every = LIMITS.probe_every.as_secs();
        assert!(kept(&trusted).is_selectable(at(101), &LIMITS), "nothing speaks against it");
        assert!(
            due(&kept(&trusted), 100 + every).is_some() && !kept(&trusted).is_selectable(at(401), &LIMITS)
        );
        assert!(due(&kept(&failed), 100 + LIMITS.test_retry_max.as_secs()).is_some());
        assert_eq!(kept(&lied).standing(at(100 + LIMITS.quarantine.as_secs())), Standing::Probation);
        assert_eq!(kept(&trusted.clone()), kept(&kept(&trusted)));
    }

    #[test]
    fn a_probe_counts_for_five_minutes() {
        let trial = after(ready(), &[(100, Event::ProbeMatched)]);
        assert!(trial.is_selectable(at(400), &LIMITS));
        assert!(!trial.is_selectable(at(401), &LIMITS));
    }
}
