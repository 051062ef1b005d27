//! The parts of a catalog, sets of them, and how highly a relay draws each.

use std::cell::OnceCell;

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::IdRanges;

/// A catalog is placed in so many equal parts: few of its heads change how many fit, and a relay of a 256th of it is of use.
pub const PARTS: usize = 256;
/// Values of the top 16 bits of a blob's id in a part.
const WIDTH: u16 = 256;

/// What so many parts hold of a catalog of so many bytes: ids are uniform.
pub(super) fn bytes_of(catalog_bytes: u64, parts: usize) -> u64 {
    let held = u128::from(catalog_bytes) * parts as u128 / PARTS as u128;
    u64::try_from(held).unwrap_or(u64::MAX)
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts([u64; PARTS / 64]);

impl Parts {
    pub(super) const ALL: Self = Self([u64::MAX; PARTS / 64]);

    pub(super) fn has(&self, part: u8) -> bool {
        self.0.get(usize::from(part) / 64).is_some_and(|word| word >> (part % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, part: u8) {
        if let Some(word) = self.0.get_mut(usize::from(part) / 64) {
            *word |= 1 << (part % 64);
        }
    }

    pub(super) fn remove(&mut self, part: u8) {
        if let Some(word) = self.0.get_mut(usize::from(part) / 64) {
            *word &= !(1 << (part % 64));
        }
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        let mut words = self.0;
        let mut at = 0;
        std::iter::from_fn(move || {
            while *words.get(at)? == 0 {
                at += 1;
            }
            let word = words.get_mut(at)?;
            let bit = word.trailing_zeros() as usize;
            *word &= *word - 1;
            u8::try_from(at * 64 + bit).ok()
        })
    }

    /// The blob ids of these parts.
    pub(super) fn ranges(&self) -> IdRanges {
        if *self == Self::ALL {
            return IdRanges::all();
        }
        IdRanges::joined(self.iter().map(|part| {
            let first = u16::from(part) * WIDTH;
            (first, first + (WIDTH - 1))
        }))
    }
}

/// What a relay draws for each part of a catalog: the higher, the more it is that relay's to hold. Drawn when it is first looked
/// at: who holds everything is seldom asked.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    relay: PublicKey,
    catalog: CatalogId,
    draws: OnceCell<Box<[u32; PARTS]>>,
}

impl Draw {
    pub(super) const fn of(relay: &PublicKey, catalog: &CatalogId) -> Self {
        Self { relay: *relay, catalog: *catalog, draws: OnceCell::new() }
    }

    fn draw(&self) -> Box<[u32; PARTS]> {
        let mut hasher = blake3::Hasher::new_derive_key("ODI 2026-11 placement v1");
        hasher.update(self.relay.as_bytes()).update(self.catalog.as_bytes());
        let mut bytes = [0; PARTS * 4];
        hasher.finalize_xof().fill(&mut bytes);
        let (bytes, _) = bytes.as_chunks();
        let mut draws = Box::new([0; PARTS]);
        draws.iter_mut().zip(bytes).for_each(|(draw, bytes)| *draw = u32::from_be_bytes(*bytes));
        draws
    }

    pub(super) fn for_part(&self, part: u8) -> u32 {
        self.draws().get(usize::from(part)).copied().unwrap_or(0)
    }

    fn draws(&self) -> &[u32; PARTS] {
        self.draws.get_or_init(|| self.draw())
    }

    /// Whose draw of what it is.
    pub(super) const fn key(&self) -> (PublicKey, CatalogId) {
        (self.relay, self.catalog)
    }

    /// The so many parts that are drawn highest. More contain fewer.
    pub(super) fn highest(&self, count: usize) -> Parts {
        if count >= PARTS {
            return Parts::ALL;
        }
        // The highest draw first, of equal ones the lower part.
        let key = |(draw, part): (&u32, u8)| u64::from(!*draw) << 8 | u64::from(part);
        let mut by_draw = [0; PARTS];
        let keys = self.draws().iter().zip(0..=u8::MAX).map(key);
        by_draw.iter_mut().zip(keys).for_each(|(slot, key)| *slot = key);
        // Which they are counts, not their order: a third of the time that sorting takes.
        by_draw.select_nth_unstable(count);
        let mut parts = Parts::default();
        by_draw.iter().take(count).for_each(|key| parts.insert(key.to_le_bytes()[0]));
        parts
    }
}
