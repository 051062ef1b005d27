//! Ranges of the top 16 bits of a [`BlobId`]: the unit in which catalogs are dealt out to relays.

use odi_manifest::BlobId;

/// How many prefixes there are.
pub const PREFIXES: usize = 1 << 16;

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixRange {
    lo: u16,
    hi: u16,
}

impl PrefixRange {
    /// Every blob.
    pub const ALL: Self = Self { lo: 0, hi: u16::MAX };

    /// From `lo` to `hi`, both included; `None` if they are the wrong way round.
    #[must_use]
    pub const fn new(lo: u16, hi: u16) -> Option<Self> {
        if lo <= hi { Some(Self { lo, hi }) } else { None }
    }

    /// The first prefix.
    #[must_use]
    pub const fn lo(self) -> u16 {
        self.lo
    }

    /// The last prefix.
    #[must_use]
    pub const fn hi(self) -> u16 {
        self.hi
    }

    /// How many prefixes it covers: 1 to 65 536.
    #[must_use]
    pub fn width(self) -> u32 {
        u32::from(self.hi) - u32::from(self.lo) + 1
    }

    /// Whether a prefix lies inside.
    #[must_use]
    pub const fn contains(self, prefix: u16) -> bool {
        self.lo <= prefix && prefix <= self.hi
    }
}

/// The top 16 bits of a blob's id.
#[must_use]
pub const fn of(blob: &BlobId) -> u16 {
    let [first, second, ..] = *blob.as_bytes();
    u16::from_be_bytes([first, second])
}

/// Whether any of the ranges covers the blob.
#[must_use]
pub fn covers(ranges: &[PrefixRange], blob: &BlobId) -> bool {
    let prefix = of(blob);
    ranges.iter().any(|range| range.contains(prefix))
}

/// Sorted, with overlapping and touching ranges merged.
#[must_use]
pub fn merged(mut ranges: Vec<PrefixRange>) -> Vec<PrefixRange> {
    ranges.sort_unstable();
    let mut out: Vec<PrefixRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if u32::from(range.lo) <= u32::from(last.hi) + 1 => last.hi = last.hi.max(range.hi),
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lo: u16, hi: u16) -> PrefixRange {
        PrefixRange::new(lo, hi).unwrap()
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(PrefixRange::ALL.width(), 65_536);
        assert_eq!(range(7, 7).width(), 1);
        assert!(range(7, 9).contains(7) && range(7, 9).contains(9) && !range(7, 9).contains(10));
        assert_eq!(PrefixRange::new(9, 7), None);
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        bytes[1] = 0xcd;
        assert_eq!(of(&BlobId::from_bytes(bytes)), 0xabcd);
    }

    #[test]
    fn merging_joins_what_touches() {
        let merged = merged(vec![range(10, 20), range(0, 3), range(4, 5), range(15, 30), range(40, 65_535)]);
        assert_eq!(merged, [range(0, 5), range(10, 30), range(40, 65_535)]);
    }
}
