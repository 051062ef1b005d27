//! How far a catalog's heads have come: for each, how many relays answer at its pin and how much of it they hold.

use std::collections::HashMap;

use odi_manifest::HeadId;
use odi_wire::message::CatalogInventory;
use serde::Serialize;

/// How far one head has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Live relays that answer at its pin.
    pub relays: u32,
    /// Of those, how many have all that they were assigned of it: they are full at it or at a later head.
    pub full: u32,
    /// What those hold together, in 65 536ths of the catalog.
    pub copies: u64,
}

/// The heads that are looked at, and how far each has come.
#[derive(Clone, Debug)]
pub struct Spread {
    seqs: HashMap<HeadId, u64>,
    reached: HashMap<HeadId, Reach>,
}

impl Spread {
    /// Of these heads, with their numbers, over what the relays say. Each relay is looked at once, whatever the number of heads.
    pub fn over<'a>(
        heads: impl IntoIterator<Item = (HeadId, u64)>,
        holdings: impl IntoIterator<Item = &'a CatalogInventory>,
    ) -> Self {
        let mut spread = Self { seqs: heads.into_iter().collect(), reached: HashMap::new() };
        for holding in holdings {
            spread.count(holding);
        }
        spread
    }

    fn count(&mut self, holding: &CatalogInventory) {
        let full = holding.full.and_then(|full| self.seqs.get(&full)).copied();
        for head in &holding.served {
            let Some(seq) = self.seqs.get(head) else { continue };
            let reach = self.reached.entry(*head).or_default();
            reach.relays = reach.relays.saturating_add(1);
            if full.is_some_and(|full| full >= *seq) {
                reach.full = reach.full.saturating_add(1);
                reach.copies = reach.copies.saturating_add(u64::from(holding.ranges.share()));
            }
        }
    }

    /// How far one has come.
    #[must_use]
    pub fn of(&self, head: &HeadId) -> Reach {
        self.reached.get(head).copied().unwrap_or_default()
    }

    /// The number of a head, if it is one of those.
    #[must_use]
    pub fn seq(&self, head: &HeadId) -> Option<u64> {
        self.seqs.get(head).copied()
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::CatalogId;
    use odi_wire::message::IdRanges;

    use super::*;

    #[test]
    fn a_relay_that_is_full_later_was_full_before() {
        let head = |n: u8| HeadId::of(&[n]);
        let holding = |served: &[u8], full: Option<u8>, ranges| CatalogInventory {
            cat: CatalogId::of(b"root"),
            served: served.iter().map(|n| head(*n)).collect(),
            full: full.map(head),
            fills: IdRanges::none(),
            ranges,
            plus: vec![],
            minus: vec![],
            sent: None,
        };
        let holdings = [
            holding(&[3, 2, 1], Some(2), IdRanges::all()),
            holding(&[2, 1], Some(1), IdRanges::from_start(0, 1 << 15)),
            holding(&[3], None, IdRanges::none()),
            holding(&[9, 3], Some(9), IdRanges::all()),
        ];
        let spread = Spread::over((1..=3).map(|n| (head(n), u64::from(n))), &holdings);
        let reach = |relays, full, copies| Reach { relays, full, copies };
        assert_eq!(spread.of(&head(1)), reach(2, 2, 65_536 + 32_768));
        assert_eq!(spread.of(&head(2)), reach(2, 1, 65_536));
        assert_eq!(
            spread.of(&head(3)),
            reach(3, 0, 0),
            "a head that is not known here says nothing of others"
        );
        assert_eq!(spread.of(&head(9)), Reach::default());
    }
}
