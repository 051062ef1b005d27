//! What this relay may claim to hold of one catalog.
//!
//! Pure. A claim is a promise that directories send clients on, so it only ever errs downwards: a blob is claimed when
//! a pass over the catalog's trees saw it in the store, or when it was filled since. Memory is bounded whatever the catalog's
//! size: one counter per 16-bit prefix, and the ids of at most [`HOLES_MAX`] holes and [`INVENTORY_BLOBS_MAX`] newcomers.

use std::collections::{BTreeSet, VecDeque};

use odi_manifest::BlobId;
use odi_wire::message::{ID_RANGES_MAX, ID_SPACE, INVENTORY_BLOBS_MAX, IdRanges, prefix_of};

/// The most holes whose ids are remembered; filling one that is not leaves its prefix unclaimed until the next pass.
pub const HOLES_MAX: usize = 65_536;

/// What an inventory says of one catalog, apart from its heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Held inside these, except `minus`.
    pub ranges: IdRanges,
    /// Held beside them; ascending, at most [`INVENTORY_BLOBS_MAX`].
    pub plus: Vec<BlobId>,
    /// Not held although inside; ascending, at most [`INVENTORY_BLOBS_MAX`].
    pub minus: Vec<BlobId>,
}

/// What one pass over a catalog found missing inside the assigned ranges, kept up to date since.
#[derive(Clone)]
pub struct Holdings {
    assigned: IdRanges,
    /// Missing blobs per prefix. It may count a blob twice that several paths name, never too few.
    missing: Vec<u32>,
    total: u64,
    /// Ids of holes: all of them unless there were ever more than [`HOLES_MAX`].
    holes: BTreeSet<BlobId>,
    /// Never to be served, although assigned: no hole, and claimed by nobody. At most [`HOLES_MAX`].
    excluded: BTreeSet<BlobId>,
    newcomers: VecDeque<BlobId>,
    /// Blobs that only older served heads name; held, and no range speaks for them.
    retained: VecDeque<BlobId>,
    pass_done: bool,
}

impl Holdings {
    /// Before the first pass: nothing is claimed but what is filled from now on.
    #[must_use]
    pub fn new(assigned: IdRanges) -> Self {
        Self {
            assigned,
            missing: vec![0; ID_SPACE as usize],
            total: 0,
            holes: BTreeSet::new(),
            excluded: BTreeSet::new(),
            newcomers: VecDeque::new(),
            retained: VecDeque::new(),
            pass_done: false,
        }
    }

    /// Notes a blob of the catalog that the store lacks. Outside the assignment it is nobody's concern.
    pub fn lacks(&mut self, blob: &BlobId) {
        self.newcomers.retain(|newcomer| newcomer != blob);
        self.retained.retain(|retained| retained != blob);
        if !self.assigned.contains(blob) || self.holes.contains(blob) {
            return;
        }
        if let Some(count) = self.missing.get_mut(usize::from(prefix_of(blob))) {
            *count = count.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
        if self.holes.len() < HOLES_MAX {
            self.holes.insert(*blob);
        }
    }

    /// Notes a blob that is not to be served, held or not.
    pub fn excludes(&mut self, blob: &BlobId) {
        if self.excluded.len() < HOLES_MAX {
            self.excluded.insert(*blob);
        } else {
            self.lacks(blob);
        }
    }

    /// Notes a blob that the store now holds durably.
    pub fn filled(&mut self, blob: &BlobId) {
        remember(&mut self.newcomers, blob);
        // One that is not listed may be another catalog's: counting it would hide a hole that it shares a prefix with.
        if self.holes.remove(blob)
            && let Some(count) = self.missing.get_mut(usize::from(prefix_of(blob)))
            && *count > 0
        {
            *count -= 1;
            self.total -= 1;
        }
    }

    /// Notes a blob that is held and that only an older served head names.
    pub fn retains(&mut self, blob: &BlobId) {
        remember(&mut self.retained, blob);
    }

    /// The blobs that were filled last, ascending.
    #[must_use]
    pub fn newcomers(&self) -> Vec<BlobId> {
        let mut newcomers: Vec<BlobId> = self.newcomers.iter().copied().collect();
        newcomers.sort_unstable();
        newcomers
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

    /// Whether something is assigned, a pass ended, and nothing was missing then or has gone missing since.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pass_done && self.total == 0 && !self.assigned.is_empty()
    }

    /// What was assigned when the pass began.
    #[must_use]
    pub fn assigned(&self) -> &IdRanges {
        &self.assigned
    }

    /// What may be said in public: the assigned ranges, narrowed around the holes that `minus` cannot list.
    #[must_use]
    pub fn claim(&self) -> Claim {
        let (ranges, minus) =
            if self.pass_done { self.ranges_and_minus() } else { (IdRanges::none(), Vec::new()) };
        Claim { plus: self.beside(&ranges), ranges, minus }
    }

    /// Of more blobs than `minus` may have the first ones in order are listed: the prefixes up to there make one run, so
    /// that the limit on runs is spent on the rest. A prefix with a hole whose id is not known cannot be listed.
    fn ranges_and_minus(&self) -> (IdRanges, Vec<BlobId>) {
        let assigned = |blob: &&BlobId| self.assigned.contains(blob);
        let unheld: Vec<BlobId> = self.holes.union(&self.excluded).filter(assigned).copied().collect();
        let (mut minus, mut narrowed) = (Vec::new(), BTreeSet::new());
        for group in unheld.chunk_by(|one, next| prefix_of(one) == prefix_of(next)) {
            let Some(prefix) = group.first().map(prefix_of) else { continue };
            let known = group.iter().filter(|blob| self.holes.contains(blob)).count();
            let all_listed = u32::try_from(known) == Ok(self.missing_at(prefix));
            if all_listed && minus.len() + group.len() <= INVENTORY_BLOBS_MAX {
                minus.extend_from_slice(group);
            } else {
                narrowed.insert(prefix);
            }
        }
        let listed: BTreeSet<u16> = minus.iter().map(prefix_of).collect();
        let ranges = self.ranges_of(|prefix| {
            listed.contains(&prefix) || (self.missing_at(prefix) == 0 && !narrowed.contains(&prefix))
        });
        minus.retain(|blob| ranges.contains(blob));
        (ranges, minus)
    }

    fn missing_at(&self, prefix: u16) -> u32 {
        // There is a counter for every prefix; without one nothing could be said of it.
        self.missing.get(usize::from(prefix)).copied().unwrap_or(u32::MAX)
    }

    /// What is held and not covered by `ranges`, the newest first where there are too many.
    fn beside(&self, ranges: &IdRanges) -> Vec<BlobId> {
        let newcomers = self.newcomers.iter().rev().filter(|blob| !ranges.contains(blob));
        let mut plus: Vec<BlobId> = newcomers
            .chain(self.retained.iter().rev())
            .filter(|blob| !self.excluded.contains(blob))
            .take(INVENTORY_BLOBS_MAX)
            .copied()
            .collect();
        plus.sort_unstable();
        plus.dedup();
        plus
    }

    /// The assigned prefixes that may be claimed; of more runs than an inventory may have, the widest.
    fn ranges_of(&self, may_be_claimed: impl Fn(u16) -> bool) -> IdRanges {
        let assigned = self.assigned.as_slice().iter().flat_map(|(lo, hi)| *lo..=*hi);
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for prefix in assigned.filter(|prefix| may_be_claimed(*prefix)) {
            match runs.last_mut() {
                Some((_, hi)) if hi.checked_add(1) == Some(prefix) => *hi = prefix,
                _ => runs.push((prefix, prefix)),
            }
        }
        runs.sort_unstable_by_key(|(lo, hi)| std::cmp::Reverse(hi - lo));
        runs.truncate(ID_RANGES_MAX);
        runs.sort_unstable();
        IdRanges::try_from(runs).expect("runs are disjoint, apart and sorted")
    }
}

fn remember(list: &mut VecDeque<BlobId>, blob: &BlobId) {
    if !list.contains(blob) {
        list.push_back(*blob);
        if list.len() > INVENTORY_BLOBS_MAX {
            list.pop_front();
        }
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
        claim.plus.contains(blob) || (claim.ranges.contains(blob) && !claim.minus.contains(blob))
    }

    #[test]
    fn nothing_is_claimed_before_a_pass() {
        let mut holdings = Holdings::new(IdRanges::all());
        assert!(holdings.claim().ranges.is_empty());
        holdings.filled(&blob(1));
        assert_eq!(holdings.claim().plus, [blob(1)]);
        holdings.pass_done();
        assert_eq!(holdings.claim().ranges, IdRanges::all());
        assert!(holdings.is_complete());
    }

    #[test]
    fn few_holes_are_listed() {
        let mut holdings = Holdings::new(IdRanges::all());
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
        let mut holdings = Holdings::new(IdRanges::all());
        let missing: Vec<BlobId> = (0..5000).map(blob).collect();
        missing.iter().for_each(|blob| holdings.lacks(blob));
        holdings.pass_done();
        holdings.filled(&blob(70_000));
        let claim = holdings.claim();
        assert!(claim.minus.len() > 1000 && claim.ranges.share() > 40_000, "{}", claim.ranges.share());
        assert!(missing.iter().all(|blob| !claimed(&claim, blob)));
        missing.iter().for_each(|blob| holdings.filled(blob));
        assert_eq!(holdings.missing(), 0);
        assert_eq!(holdings.claim().ranges, IdRanges::all());
    }

    #[test]
    fn what_is_excluded_is_no_hole_and_never_claimed() {
        let mut holdings = Holdings::new(IdRanges::all());
        holdings.excludes(&blob(1));
        holdings.filled(&blob(1));
        holdings.pass_done();
        assert!(holdings.is_complete());
        assert_eq!((holdings.claim().minus, holdings.claim().plus), (vec![blob(1)], vec![]));
        (2..3000).for_each(|n| holdings.excludes(&blob(n)));
        let claim = holdings.claim();
        assert!((1..3000).all(|n| !claimed(&claim, &blob(n))) && claim.ranges.share() > 50_000);
    }

    #[test]
    fn a_prefix_with_a_hole_of_unknown_id_is_not_claimed() {
        let mut holdings = Holdings::new(IdRanges::all());
        let missing: Vec<BlobId> = (0..u32::try_from(HOLES_MAX).unwrap() + 200).map(blob).collect();
        missing.iter().for_each(|blob| holdings.lacks(blob));
        holdings.pass_done();
        // Of a few prefixes some ids are known and others not.
        missing.iter().take(HOLES_MAX - 100).for_each(|blob| holdings.filled(blob));
        let claim = holdings.claim();
        assert!(missing.iter().skip(HOLES_MAX - 100).all(|blob| !claimed(&claim, blob)));
        assert!(claim.ranges.share() > 60_000 && !claim.minus.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_claim_never_covers_a_hole(events in proptest::collection::vec((0_u32..3000, any::<bool>()), 0..4000)) {
            let half = IdRanges::try_from(vec![(0, 0x7fff)]).unwrap();
            let mut holdings = Holdings::new(half);
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
            prop_assert!(claim.plus.len() <= INVENTORY_BLOBS_MAX && claim.minus.len() <= INVENTORY_BLOBS_MAX);
            for n in (0..3000).filter(|n| !held.contains(n)) {
                prop_assert!(!claimed(&claim, &blob(n)), "hole {} is claimed", n);
            }
        }
    }
}
