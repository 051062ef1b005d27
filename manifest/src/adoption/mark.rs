//! A place in a catalog's order: what a follower has reached, and never goes back from.

use crate::head::Head;
use crate::ids::HeadId;
use crate::trust::TrustRoot;
use crate::verify::Verified;

/// The largest head seen, as (epoch, sequence number) and id.
///
/// The epoch is the one in which the head stands: for a floor's head the epoch that the floor opened, so that falling
/// back to it is a step forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The epoch in which it stands.
    pub epoch: u64,
    /// Its sequence number.
    pub seq: u64,
    /// Its id.
    pub head: HeadId,
}

impl Mark {
    /// A verified head's place under these roots.
    #[must_use]
    pub fn of(trust: &TrustRoot, head: &Verified<Head>) -> Self {
        let id = head.id();
        let epoch = if trust.is_floor(head.seq, &id) { trust.epoch() } else { head.epoch };
        Self { epoch, seq: head.seq, head: id }
    }

    /// What the order compares.
    #[must_use]
    pub const fn place(&self) -> (u64, u64) {
        (self.epoch, self.seq)
    }

    /// Whether a root has since opened an epoch whose floor voids this head. Its bytes are not served any more; the
    /// floor's head is, until the epoch has one of its own.
    #[must_use]
    pub fn is_fallen(&self, trust: &TrustRoot) -> bool {
        self.epoch < trust.epoch()
            && trust.floor().is_some_and(|floor| {
                self.seq > floor.seq || (self.seq == floor.seq && self.head != floor.head)
            })
    }
}
