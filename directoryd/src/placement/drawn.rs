//! What relays hold by draw, kept from one placement to the next: whoever comes or goes changes nobody else's draw.

use std::collections::HashMap;

use odi_manifest::{CatalogId, PublicKey};

use super::parts::{Draw, PARTS, Parts};

/// What is drawn beyond so many is drawn anew: they take a hundred bytes each.
const KEPT_MAX: usize = 500_000;

/// The parts that were drawn for the last placement. It only saves time: without it the next one is the same.
#[derive(Debug, Default)]
pub struct Drawn {
    last: HashMap<(PublicKey, CatalogId), Held>,
    now: HashMap<(PublicKey, CatalogId), Held>,
}

/// The so many parts of a catalog that a relay draws highest.
#[derive(Clone, Copy, Debug)]
struct Held {
    count: usize,
    parts: Parts,
}

impl Drawn {
    /// The so many parts that this is the draw of.
    pub(super) fn highest(&mut self, draw: &Draw, count: usize) -> Parts {
        if count >= PARTS {
            return Parts::ALL;
        }
        let key = draw.key();
        let known = self.last.get(&key).filter(|held| held.count == count);
        let parts = known.map_or_else(|| draw.highest(count), |held| held.parts);
        if self.now.len() < KEPT_MAX {
            self.now.insert(key, Held { count, parts });
        }
        parts
    }

    /// The placement is made: what it did not need is forgotten.
    pub(super) fn end(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }
}
