//! The order in which missing blobs are fetched, and the promise that each is fetched once (*single flight*).
//!
//! Pure. Six lanes: a client is waiting, a relay is, hot (named by the assignment, or changed by the newest head), small,
//! and large, hot ones first. Large blobs have workers of their own, so that none of them keeps the small ones waiting.
//! A blob is in one lane or in flight, never both, and asking again can only move it forward. Every lane has a
//! limit: what does not fit is found again by the next pass over the catalog, so a full lane costs time, not content.

use std::collections::{HashMap, HashSet, VecDeque};

use odi_manifest::{BlobId, Timestamp};

/// Blobs up to this size go before larger ones: many clients want them, and each costs little.
pub const SMALL_BYTES: u64 = 1 << 20;
/// The most blobs that wait in one lane.
pub const LANE_MAX: usize = 4096;
/// The most failed blobs whose back-off is remembered.
pub const FAILURES_MAX: usize = 8192;
/// Back-off after the first failure, in seconds; it doubles up to [`BACKOFF_MAX_SECONDS`].
pub const BACKOFF_MIN_SECONDS: u64 = 5;
/// The longest back-off, in seconds.
pub const BACKOFF_MAX_SECONDS: u64 = 15 * 60;

/// Why a blob is wanted; the order is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A client's request is open.
    Waiting,
    /// Another relay counts on this one for it.
    Asked,
    /// At most [`SMALL_BYTES`], and named by an assignment, or new in the newest head.
    Hot,
    /// At most [`SMALL_BYTES`].
    Small,
    /// Larger, and named by an assignment, or new in the newest head.
    HotLarge,
    /// Everything else.
    Rest,
}

impl Lane {
    /// Those whom somebody waits for.
    pub const WAITED_FOR: &'static [Self] = &[Self::Waiting, Self::Asked];
    /// Those, and small blobs.
    pub const UP_TO_SMALL: &'static [Self] = &[Self::Waiting, Self::Asked, Self::Hot, Self::Small];
    /// Those whom somebody waits for, and large blobs.
    pub const LARGE: &'static [Self] = &[Self::Waiting, Self::Asked, Self::HotLarge, Self::Rest];

    const COUNT: usize = 6;

    /// The lane of a blob that nobody waits for.
    #[must_use]
    pub const fn by_size(size: u64) -> Self {
        if size <= SMALL_BYTES { Self::Small } else { Self::Rest }
    }

    /// The lane of a hot one.
    #[must_use]
    pub const fn hot(size: u64) -> Self {
        if size <= SMALL_BYTES { Self::Hot } else { Self::HotLarge }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits in its lane.
    Queued,
    /// It already waited there or further ahead.
    Known,
    /// It is being fetched.
    InFlight,
    /// It failed a moment ago and may be tried again at this time.
    BackedOff(Timestamp),
    /// The lane is full.
    Full,
}

#[derive(Debug)]
struct Failure {
    attempts: u32,
    not_before: Timestamp,
}

/// The queue. `J` is what a fetch needs to know beyond the id: size, paths, origins.
#[derive(Debug)]
pub struct FillQueue<J> {
    lanes: [VecDeque<BlobId>; Lane::COUNT],
    jobs: HashMap<BlobId, (Lane, J)>,
    in_flight: HashSet<BlobId>,
    failures: HashMap<BlobId, Failure>,
}

impl<J> Default for FillQueue<J> {
    fn default() -> Self {
        Self {
            lanes: Default::default(),
            jobs: HashMap::new(),
            in_flight: HashSet::new(),
            failures: HashMap::new(),
        }
    }
}

impl<J> FillQueue<J> {
    /// Asks for a blob. A waiting client overrules a back-off: an error now beats a certain one later.
    pub fn push(&mut self, blob: BlobId, lane: Lane, job: J, now: Timestamp) -> Pushed {
        if self.in_flight.contains(&blob) {
            return Pushed::InFlight;
        }
        if let Some(failure) = self.failures.get(&blob)
            && failure.not_before > now
            && lane != Lane::Waiting
        {
            return Pushed::BackedOff(failure.not_before);
        }
        let present = self.jobs.get(&blob).map(|(present, _)| *present);
        if present.is_some_and(|present| present <= lane) {
            return Pushed::Known;
        }
        if self.is_full(lane) {
            return Pushed::Full;
        }
        // A former place in a slower lane stays behind and is skipped when it comes up.
        self.jobs.insert(blob, (lane, job));
        self.lane(lane).push_back(blob);
        Pushed::Queued
    }

    /// The next blob to fetch of these lanes; it is in flight until [`FillQueue::finished`] says how it ended.
    pub fn pop(&mut self, lanes: &[Lane]) -> Option<(BlobId, Lane, J)> {
        for lane in lanes.iter().copied() {
            while let Some(blob) = self.lane(lane).pop_front() {
                if self.jobs.get(&blob).is_some_and(|(present, _)| *present == lane)
                    && let Some((_, job)) = self.jobs.remove(&blob)
                {
                    self.in_flight.insert(blob);
                    return Some((blob, lane, job));
                }
            }
        }
        None
    }

    /// Ends a flight: with success, or with a failure that backs the blob off.
    pub fn finished(&mut self, blob: &BlobId, success: bool, now: Timestamp) {
        self.in_flight.remove(blob);
        if success {
            self.failures.remove(blob);
            return;
        }
        if self.failures.len() >= FAILURES_MAX {
            self.failures.retain(|_, failure| failure.not_before > now);
        }
        if self.failures.len() < FAILURES_MAX || self.failures.contains_key(blob) {
            let failure = self.failures.entry(*blob).or_insert(Failure { attempts: 0, not_before: now });
            let wait = BACKOFF_MIN_SECONDS.checked_shl(failure.attempts).unwrap_or(u64::MAX);
            failure.attempts = failure.attempts.saturating_add(1).min(32);
            failure.not_before = Timestamp(now.0.saturating_add(wait.min(BACKOFF_MAX_SECONDS)));
        }
    }

    /// Blobs that wait, in all lanes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Blobs being fetched.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn is_full(&self, lane: Lane) -> bool {
        self.lanes.get(lane as usize).is_some_and(|lane| lane.len() >= LANE_MAX)
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<BlobId> {
        let [waiting, asked, hot, small, hot_large, rest] = &mut self.lanes;
        match lane {
            Lane::Waiting => waiting,
            Lane::Asked => asked,
            Lane::Hot => hot,
            Lane::Small => small,
            Lane::HotLarge => hot_large,
            Lane::Rest => rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn blob(n: u32) -> BlobId {
        BlobId::of(&n.to_be_bytes())
    }

    #[test]
    fn service_is_by_lane_then_by_arrival() {
        let mut queue = FillQueue::default();
        for (n, lane) in [
            (1, Lane::Rest),
            (2, Lane::Small),
            (3, Lane::Waiting),
            (4, Lane::Hot),
            (5, Lane::Small),
            (6, Lane::Asked),
        ] {
            assert_eq!(queue.push(blob(n), lane, n, NOW), Pushed::Queued);
        }
        let small = std::iter::from_fn(|| queue.pop(Lane::UP_TO_SMALL)).map(|(_, _, n)| n);
        assert_eq!(small.collect::<Vec<u32>>(), [3, 6, 4, 2, 5]);
        assert_eq!(queue.pop(Lane::LARGE).map(|(_, _, n)| n), Some(1));
        assert_eq!(queue.in_flight(), 6);
    }

    #[test]
    fn a_blob_is_fetched_once_and_only_moves_forward() {
        let mut queue = FillQueue::default();
        queue.push(blob(1), Lane::Rest, (), NOW);
        queue.push(blob(2), Lane::Small, (), NOW);
        assert_eq!(queue.push(blob(1), Lane::Waiting, (), NOW), Pushed::Queued);
        assert_eq!(queue.push(blob(1), Lane::Rest, (), NOW), Pushed::Known);
        assert_eq!(
            queue.pop(Lane::WAITED_FOR).map(|(id, lane, ())| (id, lane)),
            Some((blob(1), Lane::Waiting))
        );
        assert_eq!(queue.push(blob(1), Lane::Waiting, (), NOW), Pushed::InFlight);
        assert_eq!(queue.pop(Lane::UP_TO_SMALL).map(|(id, _, ())| id), Some(blob(2)));
        assert_eq!(queue.pop(Lane::LARGE), None, "its former place is skipped");
    }

    #[test]
    fn failures_back_off_and_success_forgives() {
        let mut queue = FillQueue::default();
        for wait in [5, 10, 20] {
            queue.push(blob(1), Lane::Waiting, (), NOW);
            queue.pop(Lane::WAITED_FOR);
            queue.finished(&blob(1), false, NOW);
            let later = Timestamp(NOW.0 + wait);
            assert_eq!(queue.push(blob(1), Lane::Rest, (), NOW), Pushed::BackedOff(later));
        }
        for _ in 0..40 {
            queue.finished(&blob(1), false, NOW);
        }
        let longest = Timestamp(NOW.0 + BACKOFF_MAX_SECONDS);
        assert_eq!(queue.push(blob(1), Lane::Rest, (), NOW), Pushed::BackedOff(longest));
        queue.finished(&blob(1), true, NOW);
        assert_eq!(queue.push(blob(1), Lane::Rest, (), NOW), Pushed::Queued);
    }

    #[test]
    fn lanes_and_failures_are_bounded() {
        let mut queue = FillQueue::default();
        let many = u32::try_from(LANE_MAX).unwrap();
        for n in 0..many {
            assert_eq!(queue.push(blob(n), Lane::Rest, (), NOW), Pushed::Queued);
        }
        assert_eq!(queue.push(blob(many), Lane::Rest, (), NOW), Pushed::Full);
        assert_eq!(queue.push(blob(many), Lane::Waiting, (), NOW), Pushed::Queued);
        assert_eq!(queue.waiting(), LANE_MAX + 1);
        for n in 0..u32::try_from(FAILURES_MAX).unwrap() + 10 {
            queue.finished(&blob(n), false, NOW);
        }
        assert_eq!(queue.failures.len(), FAILURES_MAX);
    }
}
