//! The secret between one relay and one directory, and the keys that come from it.

use std::fmt;

use odi_manifest::PublicKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

const REQUEST_CONTEXT: &str = "ODI 2026-11 dir-to-relay mac v1";
const ANSWER_CONTEXT: &str = "ODI 2026-11 challenge answer v1";

/// 32 random bytes that a relay makes for one directory; wiped when dropped, never printed.
///
/// Neither side needs to keep it: each keeps the two derived keys. Both are bound to the pair of daemons, so a
/// directory that hands its keys to another gains that one nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PreSharedKey(Zeroizing<[u8; 32]>);

/// A key derived from a [`PreSharedKey`]; wiped when dropped, never printed.
#[derive(Clone)]
pub struct DerivedKey(Zeroizing<[u8; 32]>);

impl PreSharedKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself, for the registration that carries it and the relay's own disk.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of the request signatures (RFC 9421, HMAC-SHA256) that the directory puts on its calls.
    #[must_use]
    pub fn request_key(&self, dir: &PublicKey, relay: &PublicKey) -> DerivedKey {
        self.derive(REQUEST_CONTEXT, dir, relay)
    }

    /// The key of the relay's challenge answers.
    #[must_use]
    pub fn answer_key(&self, dir: &PublicKey, relay: &PublicKey) -> DerivedKey {
        self.derive(ANSWER_CONTEXT, dir, relay)
    }

    /// `derive_key(context, psk || dir || relay)`.
    fn derive(&self, context: &str, dir: &PublicKey, relay: &PublicKey) -> DerivedKey {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.expose()).update(dir.as_bytes()).update(relay.as_bytes());
        DerivedKey(Zeroizing::new(*hasher.finalize().as_bytes()))
    }
}

impl DerivedKey {
    /// Wraps a key that was kept on disk.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreSharedKey(..)")
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

impl Serialize for PreSharedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.expose())
    }
}

impl<'de> Deserialize<'de> for PreSharedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::ByteArray::<32>::deserialize(deserializer)
            .map(|bytes| Self::from_bytes(bytes.into_array()))
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn derived_keys_differ_by_purpose_and_pair() {
        let [a, b] = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]).public_key());
        let psk = PreSharedKey::from_bytes([9; 32]);
        let keys = [psk.request_key(&a, &b), psk.request_key(&b, &a), psk.answer_key(&a, &b)];
        assert_ne!(keys[0].expose(), keys[1].expose());
        assert_ne!(keys[0].expose(), keys[2].expose());
        assert_eq!(keys[0].expose(), psk.request_key(&a, &b).expose());
    }

    #[test]
    fn debug_shows_nothing() {
        let psk = PreSharedKey::from_bytes([9; 32]);
        assert_eq!(format!("{psk:?}"), "PreSharedKey(..)");
    }
}
