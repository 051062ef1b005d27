//! The states of a catalog that stay servable: the newest, and those that clients may still be in the middle of.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{Head, HeadId, Pin, Timestamp, Tree, Verified};

/// For how long a replaced head stays servable at least.
pub const RETAIN_FOR: Duration = Duration::from_secs(2 * 3600);

/// For how long at most, whatever a catalog wishes.
pub const RETAIN_FOR_MAX: Duration = Duration::from_secs(7 * 86_400);

/// How many heads stay servable however long ago they were replaced, the newest among them.
pub const RETAINED_MIN: usize = 2;

/// How many heads stay servable at most, however fast a catalog changes.
pub const RETAINED_MAX: usize = 128;

/// An adopted head whose whole tree is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedHead {
    /// The head.
    pub head: Verified<Head>,
    /// Its id.
    pub id: HeadId,
    /// The URL segment that names it.
    pub pin: Pin,
    /// Its manifest.
    pub tree: Tree,
    /// When this daemon adopted it, or found it again after a start.
    pub adopted: Timestamp,
}

impl RetainedHead {
    pub(crate) fn new(head: Verified<Head>, tree: Tree, adopted: Timestamp) -> Self {
        Self { id: head.id(), pin: head.pin(), head, tree, adopted }
    }

    /// Its sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.head.seq
    }
}

/// Drops what need not be servable any more from a list whose newest head comes first.
pub(crate) fn expire(heads: &mut Vec<Arc<RetainedHead>>, keep: Duration, now: Timestamp) {
    let mut replaced = None;
    let mut position = 0;
    heads.retain(|head| {
        let recent = replaced.is_none_or(|at| now.since(at) < keep);
        let keep = position < RETAINED_MIN || (recent && position < RETAINED_MAX);
        replaced = Some(head.adopted);
        position += 1;
        keep
    });
}

#[cfg(test)]
mod tests {
    use odi_manifest::{HeadBuilder, RootBuilder, SigningKey, TrustRoot};

    use super::*;

    fn adopted_at(times: &[u64]) -> Vec<Arc<RetainedHead>> {
        let key = SigningKey::from_seed(&[1; 32]);
        let root = RootBuilder::first("test", Timestamp(1), Timestamp(100))
            .root_keys(1, [key.public_key()])
            .release_keys(1, [key.public_key()])
            .build()
            .unwrap();
        let trust = TrustRoot::found(&root.signed_by(&key).unwrap()).unwrap();
        let head = HeadBuilder::after(&trust, None)
            .times(Timestamp(1), Timestamp(100))
            .tree(Tree::empty().root, 0, 0)
            .build()
            .unwrap();
        let head = trust.verify_head(&head.signed_by(&key).unwrap()).unwrap();
        let retained = |at: &u64| Arc::new(RetainedHead::new(head.clone(), Tree::empty(), Timestamp(*at)));
        times.iter().map(retained).collect()
    }

    #[test]
    fn two_stay_always_and_others_for_two_hours_after_they_were_replaced() {
        let kept = |times: &[u64], now: u64| {
            let mut heads = adopted_at(times);
            expire(&mut heads, RETAIN_FOR, Timestamp(now));
            heads.len()
        };
        assert_eq!(kept(&[], 0), 0);
        assert_eq!(kept(&[0], 1_000_000), 1);
        assert_eq!(kept(&[1, 0], 1_000_000), 2);
        assert_eq!(kept(&[20, 10, 0], 10 + 7199), 3);
        assert_eq!(kept(&[20, 10, 0], 10 + 7200), 2);
        assert_eq!(kept(&[0; 200], 1), RETAINED_MAX);
    }
}
