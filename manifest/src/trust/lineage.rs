//! Which sequence numbers the good line of a catalog has: all of them, but for the gaps that new epochs leave.

use crate::root::Floor;

/// Ascending, disjoint stretches of sequence numbers; the last one is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    /// (first, last) of each stretch that a floor closed.
    closed: Vec<(u64, u64)>,
    /// The first number of the present epoch.
    open: u64,
}

impl Lineage {
    pub(super) const fn begin() -> Self {
        Self { closed: Vec::new(), open: 1 }
    }

    /// Cuts off everything above the floor and goes on at its `next`.
    pub(super) fn cut(&mut self, floor: &Floor) {
        self.closed.push((self.open, u64::MAX));
        self.closed.retain(|(first, _)| *first <= floor.seq);
        if let Some((_, last)) = self.closed.last_mut() {
            *last = (*last).min(floor.seq);
        }
        self.open = floor.next;
    }

    /// The largest number of the line that is not above `seq`; 0 if there is none.
    pub(super) fn at_or_below(&self, seq: u64) -> u64 {
        if seq >= self.open {
            return seq;
        }
        let below = self.closed.iter().rev().find(|(first, _)| *first <= seq);
        below.map_or(0, |(_, last)| seq.min(*last))
    }

    /// Whether the line has this number; 0 stands for its beginning.
    pub(super) fn contains(&self, seq: u64) -> bool {
        seq == 0 || self.at_or_below(seq) == seq
    }

    /// The first number of the present epoch.
    pub(super) const fn open(&self) -> u64 {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::HeadId;

    fn cut(lineage: &mut Lineage, seq: u64, next: u64) {
        lineage.cut(&Floor { seq, head: HeadId::of(b""), next });
    }

    #[test]
    fn floors_leave_gaps_and_cut_through_former_ones() {
        let mut lineage = Lineage::begin();
        assert_eq!((lineage.at_or_below(0), lineage.at_or_below(7)), (0, 7));
        cut(&mut lineage, 5, 9);
        assert_eq!([4, 5, 6, 8, 9, 12].map(|seq| lineage.at_or_below(seq)), [4, 5, 5, 5, 9, 12]);
        cut(&mut lineage, 10, 20);
        assert_eq!([8, 9, 10, 11, 19, 20].map(|seq| lineage.at_or_below(seq)), [5, 9, 10, 10, 10, 20]);
        cut(&mut lineage, 3, 30);
        assert_eq!([3, 4, 9, 29, 30].map(|seq| lineage.at_or_below(seq)), [3, 3, 3, 3, 30]);
        assert!(lineage.contains(3) && !lineage.contains(4) && lineage.contains(31));
        cut(&mut lineage, 0, 40);
        assert_eq!([1, 39, 40].map(|seq| lineage.at_or_below(seq)), [0, 0, 40]);
    }
}
