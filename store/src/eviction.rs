//! Who goes first when room is needed. Pure: candidates in, a line through their order out.
//!
//! Order: least dear first, then longest unused, then largest (by powers of two), then by id. So nothing dearer goes while
//! anything less dear can. Counted in buckets, so that ten million candidates need a few kilobytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use odi_manifest::BlobId;

use crate::row::Hour;

/// How dearly a blob is kept when room is needed, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// It was not asked of us, and others have it.
    #[default]
    Spare,
    /// It was asked of us once, and others have it.
    Former,
    /// Nobody else is known to keep it: it goes when nothing else can.
    LastCopy,
    /// It was asked of us; it stays.
    Floor,
}

/// A blob that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The blob.
    pub blob: BlobId,
    /// How dear it is. What is [`Keep::Floor`] is no candidate.
    pub keep: Keep,
    /// Bytes that its going frees.
    pub bytes: u64,
    /// When it was last used.
    pub last_use: Hour,
}

type Bucket = (Keep, Hour, Reverse<u32>);

impl Candidate {
    fn bucket(&self) -> Bucket {
        (self.keep, self.last_use, Reverse(self.bytes.checked_ilog2().unwrap_or(0)))
    }
}

/// The first pass: bytes per bucket.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    buckets: BTreeMap<Bucket, u64>,
}

/// The second pass: who is before the line.
#[derive(Clone, Debug)]
pub struct Line {
    last: Option<Bucket>,
    /// Bytes still to be found in the last bucket.
    rest: u64,
}

impl Tally {
    /// Counts a candidate.
    pub fn add(&mut self, candidate: &Candidate) {
        *self.buckets.entry(candidate.bucket()).or_default() += candidate.bytes;
    }

    /// Draws the line where the candidates before it make up `need` bytes, or behind all of them.
    #[must_use]
    pub fn line(&self, need: u64) -> Line {
        let mut rest = need;
        for (bucket, bytes) in &self.buckets {
            if *bytes >= rest {
                return Line { last: Some(*bucket), rest };
            }
            rest -= bytes;
        }
        Line { last: None, rest }
    }
}

impl Line {
    /// Whether a candidate goes. Ask in the order of ids, each once.
    pub fn takes(&mut self, candidate: &Candidate) -> bool {
        let Some(last) = self.last else { return true };
        let bucket = candidate.bucket();
        let takes = bucket < last || (bucket == last && self.rest > 0);
        if bucket == last {
            self.rest = self.rest.saturating_sub(candidate.bytes);
        }
        takes
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(number: u8, bytes: u64, hour: u32) -> Candidate {
        Candidate { blob: BlobId::from_bytes([number; 32]), keep: Keep::Spare, bytes, last_use: Hour(hour) }
    }

    fn goes(candidates: &[Candidate], need: u64) -> Vec<u8> {
        let mut tally = Tally::default();
        candidates.iter().for_each(|candidate| tally.add(candidate));
        let mut line = tally.line(need);
        let gone = candidates.iter().filter(|candidate| line.takes(candidate));
        gone.map(|candidate| candidate.blob.as_bytes()[0]).collect()
    }

    #[test]
    fn the_longest_unused_go_first_and_among_them_the_largest() {
        let all = [candidate(1, 100, 5), candidate(2, 4000, 9), candidate(3, 4000, 5), candidate(4, 10, 7)];
        assert_eq!(goes(&all, 0), [0u8; 0]);
        assert_eq!(goes(&all, 1), [3]);
        assert_eq!(goes(&all, 4001), [1, 3]);
        assert_eq!(goes(&all, 4101), [1, 3, 4]);
        assert_eq!(goes(&all, u64::MAX), [1, 2, 3, 4]);
    }

    #[test]
    fn last_copies_go_when_nothing_else_can() {
        let kept = |number, keep, hour| Candidate { keep, ..candidate(number, 1000, hour) };
        let all = [
            kept(1, Keep::LastCopy, 1),
            kept(2, Keep::Former, 2),
            kept(3, Keep::Spare, 9),
            kept(4, Keep::LastCopy, 3),
            kept(5, Keep::Former, 1),
        ];
        assert_eq!(
            goes(&all, 1000),
            [3],
            "the newest spare goes before the oldest of what was asked for once"
        );
        assert_eq!(goes(&all, 2000), [3, 5]);
        assert_eq!(goes(&all, 3000), [2, 3, 5]);
        assert_eq!(goes(&all, 4000), [1, 2, 3, 5]);
    }

    proptest! {
        #[test]
        fn nothing_dearer_goes_while_anything_less_dear_stays(
            kinds in prop::collection::vec((0..3_u8, 1..5000_u64, 0..4_u32), 0..80),
            need in 0..100_000_u64,
        ) {
            let keeps = [Keep::Spare, Keep::Former, Keep::LastCopy];
            let all: Vec<Candidate> = (0..).zip(&kinds)
                .map(|(number, (keep, bytes, hour))| {
                    Candidate { keep: keeps[usize::from(*keep)], ..candidate(number, *bytes, *hour) }
                })
                .collect();
            let gone = goes(&all, need);
            let (went, stayed): (Vec<&Candidate>, Vec<&Candidate>) =
                all.iter().partition(|candidate| gone.contains(&candidate.blob.as_bytes()[0]));
            let dearest = went.iter().map(|candidate| candidate.keep).max();
            let cheapest = stayed.iter().map(|candidate| candidate.keep).min();
            prop_assert!(dearest <= cheapest || dearest.is_none() || cheapest.is_none());
            let freed: u64 = went.iter().map(|candidate| candidate.bytes).sum();
            prop_assert!(freed >= need || stayed.is_empty(), "{} of {}", freed, need);
        }
    }

    #[test]
    fn within_a_bucket_no_more_go_than_needed() {
        let all: Vec<Candidate> = (0..100).map(|number| candidate(number, 1000, 3)).collect();
        assert_eq!(goes(&all, 2500), [0, 1, 2]);
    }
}
