//! Where one node ends and the next begins: integers only, and independent of values. FORMAT.md § Cut rule.
//!
//! The state after a cut is empty, so an update re-cuts only until it meets a former boundary again.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::ids::context;

/// What an entry weighs besides its path.
const ENTRY_WEIGHT: usize = 96;
/// No node weighs more.
const NODE_WEIGHT_MAX: usize = 65_000;
/// From this weight on, one path in 1024 ends its node; below, none does.
const RARE: (usize, u32) = (4_096, u32::MAX / 1024 + 1);
/// From this weight on, one path in 16 ends its node.
const FREQUENT: (usize, u32) = (14_000, u32::MAX / 16 + 1);

/// The context's key, hashed once: the cut hash is the inner loop of every build.
static CUT_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(context::CUT));

/// What an entry adds to the weight of its node.
pub(super) const fn weight(path: &str) -> usize {
    ENTRY_WEIGHT + path.len()
}

/// Whether a node of this weight must end before `next`, because it would grow too heavy.
pub(super) const fn ends_before(node_weight: usize, next: &str) -> bool {
    node_weight > 0 && node_weight + weight(next) > NODE_WEIGHT_MAX
}

/// Whether a node that weighs this much with its last entry `path` ends after it.
pub(super) fn ends_after(level: u8, node_weight: usize, path: &str) -> bool {
    if node_weight < RARE.0 {
        return false;
    }
    let limit = if node_weight < FREQUENT.0 { RARE.1 } else { FREQUENT.1 };
    cut_hash(level, path) < limit
}

/// The first 32 bits, big-endian, of `derive_key("ODI 2026-11 cut v1", level || path)`.
fn cut_hash(level: u8, path: &str) -> u32 {
    let mut hasher = blake3::Hasher::new_from_context_key(&CUT_KEY);
    let digest = hasher.update(&[level]).update(path.as_bytes()).finalize();
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_documented_one() {
        let expected = blake3::derive_key("ODI 2026-11 cut v1", b"\x02pool/a");
        assert_eq!(cut_hash(2, "pool/a").to_be_bytes(), expected[..4]);
        assert_eq!((RARE.1, FREQUENT.1), (1 << 22, 1 << 28));
    }

    #[test]
    fn cuts_come_at_the_documented_rates() {
        let rate = |node_weight| {
            (0..40_000).filter(|i| ends_after(0, node_weight, &format!("pool/{i}.deb"))).count()
        };
        assert_eq!(rate(4_095), 0);
        assert!((20..70).contains(&rate(4_096)), "{}", rate(4_096));
        assert!((2_300..2_700).contains(&rate(14_000)), "{}", rate(14_000));
        assert!(!ends_before(0, "a"));
        assert!(!ends_before(65_000 - 97, "a"));
        assert!(ends_before(65_000 - 96, "a"));
    }
}
