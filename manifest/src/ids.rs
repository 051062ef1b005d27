//! The names of things: 32-byte BLAKE3 digests, one newtype per meaning.
//!
//! Content is named by plain BLAKE3, so that `b3sum` prints a [`BlobId`]. Everything structural is named by
//! `blake3::derive_key` under a context of its own (FORMAT.md § Hash domains), so that no file can pose as a
//! tree node and no head as a root.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Contexts of `blake3::derive_key`, hard-coded as its documentation demands.
pub(crate) mod context {
    pub(crate) const CATALOG_ID: &str = "ODI 2026-11 catalog id v1";
    pub(crate) const ROOT: &str = "ODI 2026-11 root v1";
    pub(crate) const HEAD: &str = "ODI 2026-11 head v1";
    pub(crate) const NODE: &str = "ODI 2026-11 node v1";
    pub(crate) const REVOCATIONS: &str = "ODI 2026-11 revocation list v1";
    pub(crate) const REVOKED_BLOB: &str = "ODI 2026-11 revoked blob v1";
    pub(crate) const CUT: &str = "ODI 2026-11 cut v1";
}

/// A text that does not name what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {expected}")]
pub struct ParseIdError {
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// What it should have been.
    pub expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest's 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Wraps 32 bytes that are known to be this digest, or claimed to be.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Wraps a slice; `None` unless it has exactly 32 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            /// A text in formats for people, 32 raw bytes in CBOR.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
                    Self::from_slice(&bytes)
                        .ok_or_else(|| D::Error::invalid_length(bytes.len(), &"32 bytes"))
                }
            }
        }
    };
}

macro_rules! hex_text {
    ($name:ident, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                HEXLOWER
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| Self::from_slice(&bytes))
                    .ok_or_else(|| ParseIdError::new(text, $expected))
            }
        }
    };
}

digest_type!(
    /// The name of an immutable byte string: plain BLAKE3-256 of the bytes, what `b3sum` prints.
    BlobId
);
hex_text!(BlobId, "blob id (64 lowercase hexadecimal digits)");

digest_type!(
    /// The SHA-256 of an artifact, for clients that know no BLAKE3.
    Sha256
);
hex_text!(Sha256, "SHA-256 (64 lowercase hexadecimal digits)");

digest_type!(
    /// The name of a tree node: `derive_key("ODI 2026-11 node v1", encoded node)`.
    NodeId
);
hex_text!(NodeId, "node id (64 lowercase hexadecimal digits)");

digest_type!(
    /// The name of a head: `derive_key("ODI 2026-11 head v1", payload)`.
    HeadId
);
hex_text!(HeadId, "head id (64 lowercase hexadecimal digits)");

digest_type!(
    /// The name of a root of trust: `derive_key("ODI 2026-11 root v1", payload)`.
    RootId
);
hex_text!(RootId, "root id (64 lowercase hexadecimal digits)");

digest_type!(
    /// The name of a revocation list: `derive_key("ODI 2026-11 revocation list v1", bytes)`.
    RevId
);
hex_text!(RevId, "revocation list id (64 lowercase hexadecimal digits)");

digest_type!(
    /// The self-certifying name of a catalog: `derive_key("ODI 2026-11 catalog id v1", payload of root 1)`.
    /// Its text is `odi1` and 52 characters of lowercase unpadded base32.
    CatalogId
);

impl fmt::Display for CatalogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "odi1{}", BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl FromStr for CatalogId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix("odi1")
            .filter(|rest| !rest.bytes().any(|byte| byte.is_ascii_uppercase()))
            .and_then(|rest| BASE32_NOPAD.decode(rest.to_ascii_uppercase().as_bytes()).ok())
            .and_then(|bytes| Self::from_slice(&bytes))
            .ok_or_else(|| ParseIdError::new(text, "catalog id (`odi1` and 52 base32 characters)"))
    }
}

impl BlobId {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl Sha256 {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl NodeId {
    /// The name of an encoded node.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        Self(blake3::derive_key(context::NODE, encoded))
    }
}

impl HeadId {
    /// The name of a head's payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self(blake3::derive_key(context::HEAD, payload))
    }
}

impl RootId {
    /// The name of a root's payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self(blake3::derive_key(context::ROOT, payload))
    }
}

impl RevId {
    /// The name of an encoded revocation list.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        Self(blake3::derive_key(context::REVOCATIONS, encoded))
    }
}

impl CatalogId {
    /// The name of the catalog that began with this root payload (version 1).
    #[must_use]
    pub fn of(first_root_payload: &[u8]) -> Self {
        Self(blake3::derive_key(context::CATALOG_ID, first_root_payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_refuse_other_spellings() {
        let blob = BlobId::of(b"odi");
        assert_eq!(blob.to_string().parse(), Ok(blob));
        assert!(blob.to_string().to_uppercase().parse::<BlobId>().is_err());
        let catalog = CatalogId::of(b"root");
        assert_eq!(catalog.to_string().len(), 56);
        assert_eq!(catalog.to_string().parse(), Ok(catalog));
        assert!(catalog.to_string().replace("odi1", "odi2").parse::<CatalogId>().is_err());
    }

    #[test]
    fn structural_names_differ_from_content_names() {
        assert_ne!(BlobId::of(b"x").as_bytes(), NodeId::of(b"x").as_bytes());
        assert_ne!(HeadId::of(b"x").as_bytes(), RootId::of(b"x").as_bytes());
    }
}
