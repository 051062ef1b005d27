//! Making signatures: the one trait, and the key that holds its seed in memory.

use std::error::Error;
use std::fmt;

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use super::{PublicKey, Signature};

/// Something that signs for one public key: a seed in memory, an agent, a token.
pub trait Signer {
    /// The key whose signatures this makes.
    fn public_key(&self) -> PublicKey;

    /// Signs exactly these bytes with plain Ed25519 (RFC 8032).
    ///
    /// # Errors
    /// The holder of the secret refused or could not be reached.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// A signer did not sign.
#[derive(Debug, thiserror::Error)]
#[error("could not sign with the key {key}")]
pub struct SignError {
    /// Whose signature was wanted.
    pub key: PublicKey,
    /// What went wrong.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl SignError {
    /// A failure of the holder of `key`'s secret.
    pub fn new(key: PublicKey, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { key, source: source.into() }
    }
}

/// An Ed25519 secret in memory, wiped when dropped, never printed.
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    /// The key of a 32-byte seed, which RFC 8032 calls the private key. The caller wipes its own copy.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        // A clamped scalar is a multiple of 8 and below 8 times the group's order: its point has large order, and the
        // library encodes points canonically.
        let public = PublicKey(secret.verifying_key().to_bytes());
        Self { secret, public }
    }

    /// The seed, in memory that wipes itself.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs in memory, which cannot fail.
    #[must_use]
    pub fn sign_now(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.secret.sign(message).to_bytes())
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(self.sign_now(message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_key_of_rfc_8032_test_1() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let seed: [u8; 32] = data_encoding::HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
        let key = SigningKey::from_seed(&seed);
        assert_eq!(
            key.public_key().to_hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(data_encoding::HEXLOWER.encode(key.sign_now(b"").as_bytes()).starts_with("e5564300c360ac72"));
        assert_eq!(*key.seed(), seed);
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::from_seed(&[0x5a; 32]);
        assert!(!format!("{key:?}").contains("5a5a"));
        assert!(!format!("{key:?}").contains("90, 90"));
    }
}
