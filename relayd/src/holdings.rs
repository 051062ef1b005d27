//! What this relay may claim to hold of one catalog.
//!
//! Pure. A claim is a promise that directories send clients on, so it only ever errs downwards: a blob is claimed when
//! a pass over the catalog's trees saw it in the store, or when it was filled since. Memory is bounded whatever the catalog's
//! size: one counter per 16-bit prefix, and the ids of at most [`HOLES_MAX`] holes and [`LIST_MAX`] newcomers.

use std::collections::{BTreeSet, VecDeque};

use odi_manifest::BlobId;

use crate::prefix::{self, PREFIXES, PrefixRange};

/// The most ids in an inventory's `plus`, and in its `minus`.
pub const LIST_MAX: usize = 1024;
/// The most holes whose ids are remembered; filling one that is not leaves its prefix unclaimed until the next pass.
pub const HOLES_MAX: usize = 65_536;
/// The most ranges in a claim: beyond, the widest are kept.
pub const RANGES_MAX: usize = 256;

/// What an inventory says of one catalog, apart from its heads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Held inside these, except `minus`; ascending, disjoint.
    pub ranges: Vec<PrefixRange>,
    /// Held beside them; ascending, at most [`LIST_MAX`].
    pub plus: Vec<BlobId>,
    /// Not held although inside; ascending, at most [`LIST_MAX`].
    pub minus: Vec<BlobId>,
}

/// What one pass over a catalog found missing inside the assigned ranges, kept up to date since.
#[derive(Clone)]
pub struct Holdings {
    assigned: Vec<PrefixRange>,
    /// Missing blobs per prefix. It may count a blob twice that several paths name, never too few.
    missing: Vec<u32>,
    total: u64,
    /// Ids of holes: all of them unless there were ever more than [`HOLES_MAX`].
    holes: BTreeSet<BlobId>,
    newcomers: VecDeque<BlobId>,
    pass_done: bool,
}

impl Holdings {
    /// Before the first pass: nothing is claimed but what is filled from now on.
    #[must_use]
    pub fn new(assigned: Vec<PrefixRange>) -> Self {
        Self {
            assigned: prefix::merged(assigned),
            missing: vec![0; PREFIXES],
            total: 0,
            holes: BTreeSet::new(),
            newcomers: VecDeque::new(),
            pass_done: false,
        }
    }

    /// Notes a blob of the catalog that the store lacks. Outside the assignment it is nobody's concern.
    pub fn lacks(&mut self, blob: &BlobId) {
        self.newcomers.retain(|newcomer| newcomer != blob);
        if !prefix::covers(&self.assigned, blob) || self.holes.contains(blob) {
            return;
        }
        if let Some(count) = self.missing.get_mut(usize::from(prefix::of(blob))) {
            *count = count.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
        if self.holes.len() < HOLES_MAX {
            self.holes.insert(*blob);
        }
    }

    /// Notes a blob that the store now holds durably.
    pub fn filled(&mut self, blob: &BlobId) {
        if !self.newcomers.contains(blob) {
            self.newcomers.push_back(*blob);
            if self.newcomers.len() > LIST_MAX {
                self.newcomers.pop_front();
            }
        }
        // One that is not listed may be another catalog's: counting it would hide a hole that it shares a prefix with.
        if self.holes.remove(blob)
            && let Some(count) = self.missing.get_mut(usize::from(prefix::of(blob)))
            && *count > 0
        {
            *count -= 1;
            self.total -= 1;
        }
    }

    /// Ends the pass: from now on what was not reported missing counts as held.
    pub fn pass_done(&mut self) {
        self.pass_done = true;
    }

    /// How many blobs are missing, at most.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.total
    }

    /// Whether a pass ended and nothing was missing then or has gone missing since.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pass_done && self.total == 0
    }

    /// What may be said in public.
    #[must_use]
    pub fn claim(&self) -> Claim {
        let all_listed = u64::try_from(self.holes.len()) == Ok(self.total);
        let (ranges, minus) = if !self.pass_done {
            (Vec::new(), Vec::new())
        } else if all_listed && self.holes.len() <= LIST_MAX {
            (self.assigned.clone(), self.holes.iter().copied().collect())
        } else {
            (self.clean_ranges(), Vec::new())
        };
        Claim { plus: self.newcomers_outside(&ranges), ranges, minus }
    }

    fn newcomers_outside(&self, ranges: &[PrefixRange]) -> Vec<BlobId> {
        let mut plus: Vec<BlobId> =
            self.newcomers.iter().filter(|blob| !prefix::covers(ranges, blob)).copied().collect();
        plus.sort_unstable();
        plus
    }

    /// The widest runs of prefixes without any hole.
    fn clean_ranges(&self) -> Vec<PrefixRange> {
        let mut runs: Vec<PrefixRange> = Vec::new();
        for assigned in &self.assigned {
            let mut start = None;
            for prefix in assigned.lo()..=assigned.hi() {
                let clean = self.missing.get(usize::from(prefix)).is_some_and(|count| *count == 0);
                if clean {
                    start.get_or_insert(prefix);
                } else if let Some(lo) = start.take() {
                    runs.extend(PrefixRange::new(lo, prefix - 1));
                }
            }
            runs.extend(start.and_then(|lo| PrefixRange::new(lo, assigned.hi())));
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.width()));
        runs.truncate(RANGES_MAX);
        prefix::merged(runs)
    }
}

impl std::fmt::Debug for Holdings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holdings")
            .field("assigned", &self.assigned)
            .field("missing", &self.total)
            .field("pass_done", &self.pass_done)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(n: u32) -> BlobId {
        BlobId::of(&n.to_be_bytes())
    }

    fn claimed(claim: &Claim, blob: &BlobId) -> bool {
        claim.plus.contains(blob) || (prefix::covers(&claim.ranges, blob) && !claim.minus.contains(blob))
    }

    #[test]
    fn nothing_is_claimed_before_a_pass() {
        let mut holdings = Holdings::new(vec![PrefixRange::ALL]);
        assert_eq!(holdings.claim(), Claim::default());
        holdings.filled(&blob(1));
        assert_eq!(holdings.claim().plus, [blob(1)]);
        holdings.pass_done();
        assert_eq!(holdings.claim().ranges, [PrefixRange::ALL]);
        assert!(holdings.is_complete());
    }

    #[test]
    fn few_holes_are_listed() {
        let mut holdings = Holdings::new(vec![PrefixRange::ALL]);
        holdings.lacks(&blob(1));
        holdings.lacks(&blob(1));
        holdings.lacks(&blob(2));
        holdings.pass_done();
        assert_eq!(holdings.missing(), 2);
        assert_eq!(holdings.claim().minus.len(), 2);
        holdings.filled(&blob(1));
        assert_eq!(holdings.claim().minus, [blob(2)]);
        holdings.lacks(&blob(1));
        assert!(!claimed(&holdings.claim(), &blob(1)), "a blob that went bad is no longer claimed");
    }

    #[test]
    fn many_holes_narrow_the_ranges() {
        let mut holdings = Holdings::new(vec![PrefixRange::ALL]);
        let missing: Vec<BlobId> = (0..5000).map(blob).collect();
        missing.iter().for_each(|blob| holdings.lacks(blob));
        holdings.pass_done();
        holdings.filled(&blob(70_000));
        let claim = holdings.claim();
        assert!(claim.minus.is_empty() && claim.ranges.len() == RANGES_MAX);
        assert!(missing.iter().all(|blob| !claimed(&claim, blob)));
        missing.iter().for_each(|blob| holdings.filled(blob));
        assert_eq!(holdings.missing(), 0);
        assert_eq!(holdings.claim().ranges, [PrefixRange::ALL]);
    }

    proptest! {
        #[test]
        fn a_claim_never_covers_a_hole(events in proptest::collection::vec((0_u32..3000, any::<bool>()), 0..4000)) {
            let half = PrefixRange::new(0, 0x7fff).unwrap();
            let mut holdings = Holdings::new(vec![half]);
            let mut held: BTreeSet<u32> = (0..3000).collect();
            holdings.pass_done();
            for (n, fills) in events {
                if fills && !held.contains(&n) {
                    holdings.filled(&blob(n));
                    held.insert(n);
                } else if !fills && held.remove(&n) {
                    holdings.lacks(&blob(n));
                }
            }
            let claim = holdings.claim();
            prop_assert!(claim.plus.len() <= LIST_MAX && claim.minus.len() <= LIST_MAX);
            for n in (0..3000).filter(|n| !held.contains(n)) {
                prop_assert!(!claimed(&claim, &blob(n)), "hole {} is claimed", n);
            }
        }
    }
}
