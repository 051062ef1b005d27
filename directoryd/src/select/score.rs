//! How a client's network and a relay suit each other.

use odi_manifest::PublicKey;

use crate::network::Network;

/// Weighted rendezvous: `-w / ln(u)` with u uniform in (0, 1) per (network, relay); the largest wins with probability
/// w / sum of weights.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash and of a weight are plenty for a choice")]
pub(super) fn score(client: Network, seed: &[u8; 32], relay: &PublicKey, weight: u64) -> f64 {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(&client.to_bytes()).update(relay.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    let draw = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11;
    let uniform = (draw as f64 + 0.5) / (1u64 << 53) as f64;
    weight.max(1) as f64 / -uniform.ln()
}
