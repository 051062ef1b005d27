//! Ed25519 keys and signatures: one algorithm, strict verification only, and no weak key ever imported.
//!
//! A [`PublicKey`] is canonical and of large order from the moment it exists, so that two keys with different bytes
//! are two different keys (thresholds count on it) and no signature holds for every message. Its text is an OpenSSH
//! line. A secret stays behind [`Signer`], which may be a seed in memory or an agent that never shows it.

mod signing;
mod ssh_line;

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use signing::{SignError, Signer, SigningKey};
pub use ssh_line::KeyLine;

/// Why 32 bytes or a text are not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the length of an Ed25519 key.
    #[error("an Ed25519 public key has 32 bytes, this has {0}")]
    Length(usize),
    /// No point of the curve has this encoding.
    #[error("not a point of the curve")]
    NotAPoint,
    /// A second spelling of a point, which could count twice towards a threshold.
    #[error("not the canonical encoding of its point")]
    NotCanonical,
    /// A point of small order: some signature would hold for almost every message.
    #[error("a weak key, of small order")]
    Weak,
    /// The text is not `ssh-ed25519 BASE64 [comment]`.
    #[error("not an OpenSSH public key line of the form `ssh-ed25519 AAAA... [comment]`")]
    NotALine,
    /// An OpenSSH key of some other algorithm.
    #[error("an OpenSSH key, but not of type ssh-ed25519")]
    OtherAlgorithm,
}

/// An Ed25519 public key that is safe to trust with a signature.
///
/// Its text is the OpenSSH line `ssh-ed25519 AAAA...`, its CBOR the 32 bytes; keys are ordered by those bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Imports a key from its RFC 8032 encoding.
    ///
    /// # Errors
    /// The bytes are no point, a second spelling of one, or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(bytes) {
            return Err(KeyError::NotCanonical);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(*bytes)) }
    }

    /// As [`from_bytes`](Self::from_bytes), from a slice.
    ///
    /// # Errors
    /// The slice has not 32 bytes, or they are no usable key.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_bytes(bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?)
    }

    /// The key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key as 64 lowercase hexadecimal digits, for URLs and file names.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(self.as_bytes())
    }

    /// Reads the form of [`to_hex`](Self::to_hex).
    ///
    /// # Errors
    /// Not 64 lowercase hexadecimal digits, or no usable key.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_slice(&HEXLOWER.decode(text.as_bytes()).map_err(|_| KeyError::Length(text.len() / 2))?)
    }

    /// What an envelope names this key by: its first 8 bytes. A hint finds a key, it never stands for one.
    #[must_use]
    pub const fn hint(&self) -> KeyHint {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        KeyHint([a, b, c, d, e, f, g, h])
    }

    /// Whether this key made `signature` over exactly `message` (`verify_strict`: no small-order point anywhere, one
    /// signature per message and nonce).
    #[must_use]
    pub fn accepts(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

/// Whether the y coordinate is below p = 2^255 - 19. (A wrong sign bit needs x = 0, which has small order.)
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || middle.iter().any(|byte| *byte != 0xff) || high & 0x7f != 0x7f
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ssh_line::write(f, self)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads an OpenSSH line; a comment is allowed and dropped ([`KeyLine`] keeps it).
    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.parse::<KeyLine>().map(|line| line.key)
    }
}

impl Serialize for PublicKey {
    /// An OpenSSH line in formats for people, 32 raw bytes in CBOR.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(self.as_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
            Self::from_slice(&bytes).map_err(D::Error::custom)
        }
    }
}

/// The first 8 bytes of a public key, by which an envelope says whose signature it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHint(pub [u8; 8]);

/// An Ed25519 signature, 64 bytes, not yet checked against anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps the RFC 8032 encoding.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The signature's 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn a_signature_holds_for_its_message_and_key_alone() {
        let signature = key().sign(b"message").unwrap();
        let public = key().public_key();
        assert!(public.accepts(b"message", &signature));
        assert!(!public.accepts(b"massage", &signature));
        assert!(!SigningKey::from_seed(&[8; 32]).public_key().accepts(b"message", &signature));
        let mut bent = *signature.as_bytes();
        bent[63] ^= 1;
        assert!(!public.accepts(b"message", &Signature::from_bytes(bent)));
    }

    #[test]
    fn small_order_points_are_refused_in_every_spelling() {
        // The eight points of small order; the first byte of each spelling, then its tail.
        let ordinary = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        ];
        for text in ordinary {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::Weak), "{text}");
        }
        let second_spellings = [
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ];
        for text in second_spellings {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::NotCanonical), "{text}");
        }
        assert_eq!(PublicKey::from_slice(&[0; 31]), Err(KeyError::Length(31)));
        assert_eq!(
            PublicKey::from_hex("0200000000000000000000000000000000000000000000000000000000000000"),
            Err(KeyError::NotAPoint)
        );
    }

    #[test]
    fn hex_and_hint_are_the_leading_bytes() {
        let public = key().public_key();
        assert_eq!(PublicKey::from_hex(&public.to_hex()), Ok(public));
        assert!(PublicKey::from_hex(&public.to_hex().to_uppercase()).is_err());
        assert_eq!(public.hint().0, public.as_bytes()[..8]);
    }
}
