//! Sets of the 256ths of a catalog's blob ids.

use odi_wire::message::IdRanges;

/// So many parts has a catalog.
pub(super) const PARTS: usize = 256;

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts([u64; PARTS / 64]);

impl Parts {
    /// The parts that lie in these ranges: placement cuts nowhere else.
    pub(super) fn of(ranges: &IdRanges) -> Self {
        let mut parts = Self::default();
        for (first, last) in ranges.as_slice() {
            let (Ok(first), Ok(last)) = (u8::try_from(first >> 8), u8::try_from(last >> 8)) else { continue };
            (first..=last).for_each(|part| parts.insert(part));
        }
        parts
    }

    pub(super) fn has(&self, part: u8) -> bool {
        self.0.get(usize::from(part) / 64).is_some_and(|word| word >> (part % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, part: u8) {
        if let Some(word) = self.0.get_mut(usize::from(part) / 64) {
            *word |= 1 << (part % 64);
        }
    }

    /// Those that are in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        both.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        both
    }

    /// Those that are not in `other`, ascending.
    pub(super) fn without(&self, other: &Self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|part| self.has(*part) && !other.has(*part))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|part| self.has(*part))
    }

    pub(super) fn ranges(&self) -> IdRanges {
        IdRanges::joined(self.iter().map(|part| (u16::from(part) << 8, u16::from(part) << 8 | 0xff)))
    }
}
