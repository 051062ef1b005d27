//! Ranges of the top 16 bits of blob ids: how an assignment or an inventory says "this part of a catalog".

use odi_manifest::BlobId;
use serde::{Deserialize, Serialize};

/// How many ranges one list may hold.
pub const ID_RANGES_MAX: usize = 1024;

/// How many different values the top 16 bits of a blob id have.
pub const ID_SPACE: u32 = 1 << 16;

/// Ascending, disjoint ranges that do not touch, both ends included: one set has one list.
///
/// In CBOR `[[lo, hi], ...]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct IdRanges(Vec<(u16, u16)>);

/// Why a list of ranges is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdRangesError {
    /// More than [`ID_RANGES_MAX`].
    #[error("{0} id ranges are more than {ID_RANGES_MAX}")]
    TooMany(usize),
    /// A range that ends before it begins, or does not lie clearly after the one before it.
    #[error("id range {at} is empty, out of order or touches the one before it")]
    OutOfOrder {
        /// Its position in the list.
        at: usize,
    },
}

impl IdRanges {
    /// Every blob id.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    /// No blob id.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// So many values from `start` on, beginning again at 0 behind the last one.
    #[must_use]
    pub fn from_start(start: u16, count: u32) -> Self {
        let Some(last) = count.min(ID_SPACE).checked_sub(1) else { return Self::none() };
        if last == ID_SPACE - 1 {
            return Self::all();
        }
        let end = u32::from(start) + last;
        match (u16::try_from(end), u16::try_from(end % ID_SPACE)) {
            (Ok(end), _) => Self(vec![(start, end)]),
            (Err(_), Ok(end)) => Self(vec![(0, end), (start, u16::MAX)]),
            (Err(_), Err(_)) => Self::none(),
        }
    }

    /// The set of these values of the top 16 bits, in any order; too many ranges are closed from the right, so
    /// that the list never claims a value that was not given.
    #[must_use]
    pub fn from_prefixes(prefixes: impl IntoIterator<Item = u16>) -> Self {
        let mut values: Vec<u16> = prefixes.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Self::joined(values.into_iter().map(|value| (value, value)))
    }

    /// The set of ascending, disjoint ranges, both ends included; those that touch become one, and too many are closed from the
    /// right.
    #[must_use]
    pub fn joined(ascending: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for (lo, hi) in ascending {
            match ranges.last_mut() {
                Some((_, end)) if u32::from(*end) + 1 == u32::from(lo) => *end = hi,
                _ => ranges.push((lo, hi)),
            }
        }
        ranges.truncate(ID_RANGES_MAX);
        Self(ranges)
    }

    /// Whether a blob's id lies in one of the ranges.
    #[must_use]
    pub fn contains(&self, blob: &BlobId) -> bool {
        let prefix = prefix_of(blob);
        let after = self.0.partition_point(|(lo, _)| *lo <= prefix);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, hi)| prefix <= *hi)
    }

    /// How many of the [`ID_SPACE`] values the ranges cover.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.0.iter().map(|(lo, hi)| u32::from(*hi) - u32::from(*lo) + 1).sum()
    }

    /// What the ranges hold of a catalog of so many bytes: ids are uniform. Directory and relay count by this.
    #[must_use]
    pub fn expected_bytes(&self, catalog_bytes: u64) -> u64 {
        let held = u128::from(catalog_bytes) * u128::from(self.share()) / u128::from(ID_SPACE);
        u64::try_from(held).unwrap_or(u64::MAX)
    }

    /// Whether the ranges cover no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, both ends included.
    #[must_use]
    pub fn as_slice(&self) -> &[(u16, u16)] {
        &self.0
    }
}

/// The top 16 bits of a blob's id, big-endian.
#[must_use]
pub const fn prefix_of(blob: &BlobId) -> u16 {
    let [first, second, ..] = *blob.as_bytes();
    u16::from_be_bytes([first, second])
}

impl TryFrom<Vec<(u16, u16)>> for IdRanges {
    type Error = IdRangesError;

    fn try_from(ranges: Vec<(u16, u16)>) -> Result<Self, IdRangesError> {
        if ranges.len() > ID_RANGES_MAX {
            return Err(IdRangesError::TooMany(ranges.len()));
        }
        let mut free_from = 0_u32;
        for (at, (lo, hi)) in ranges.iter().enumerate() {
            if u32::from(*lo) < free_from || hi < lo {
                return Err(IdRangesError::OutOfOrder { at });
            }
            free_from = u32::from(*hi) + 2;
        }
        Ok(Self(ranges))
    }
}

impl From<IdRanges> for Vec<(u16, u16)> {
    fn from(ranges: IdRanges) -> Self {
        ranges.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob_with(prefix: u16) -> BlobId {
        let mut id = [7; 32];
        id[..2].copy_from_slice(&prefix.to_be_bytes());
        BlobId::from_bytes(id)
    }

    proptest! {
        #[test]
        fn a_start_and_a_count_are_those_values(start: u16, count in prop_oneof![0..4u32, 0..=ID_SPACE, ID_SPACE - 3..ID_SPACE + 3]) {
            let values = (0..count.min(ID_SPACE)).map(|n| u16::try_from((u32::from(start) + n) % ID_SPACE).unwrap());
            let ranges = IdRanges::from_start(start, count);
            prop_assert_eq!(&ranges, &IdRanges::from_prefixes(values));
            prop_assert!(IdRanges::try_from(ranges.as_slice().to_vec()).is_ok());
        }

        #[test]
        fn a_set_of_prefixes_is_its_ranges(set in prop::collection::btree_set(0_u16..400, 0..200), probe in 0_u16..400) {
            let ranges = IdRanges::from_prefixes(set.iter().rev().copied());
            prop_assert_eq!(ranges.share() as usize, set.len());
            prop_assert_eq!(ranges.contains(&blob_with(probe)), set.contains(&probe));
            let list = Vec::from(ranges.clone());
            prop_assert_eq!(IdRanges::try_from(list), Ok(ranges));
        }
    }

    #[test]
    fn the_whole_space_is_one_range() {
        assert_eq!(IdRanges::all().share(), ID_SPACE);
        assert!([0, 1, u16::MAX].iter().all(|prefix| IdRanges::all().contains(&blob_with(*prefix))));
        assert!(!IdRanges::none().contains(&blob_with(0)));
    }

    #[test]
    fn lists_that_are_not_the_one_form_are_refused() {
        let at = |list: &[(u16, u16)]| IdRanges::try_from(list.to_vec());
        assert_eq!(at(&[(2, 1)]), Err(IdRangesError::OutOfOrder { at: 0 }));
        assert_eq!(at(&[(0, 1), (2, 3)]), Err(IdRangesError::OutOfOrder { at: 1 }));
        assert_eq!(at(&[(5, 6), (0, 1)]), Err(IdRangesError::OutOfOrder { at: 1 }));
        assert_eq!(at(&[(5, 6), (6, 9)]), Err(IdRangesError::OutOfOrder { at: 1 }));
        assert_eq!(at(&[(0, u16::MAX), (0, 0)]), Err(IdRangesError::OutOfOrder { at: 1 }));
        let many: Vec<_> = (0..=1024).map(|n| (n * 2, n * 2)).collect();
        assert_eq!(at(&many), Err(IdRangesError::TooMany(1025)));
    }
}
