//! The two-key challenge: a directory asks whoever answers at a registered URL to prove both secrets of the relay.
//!
//! The request itself carries the directory's RFC 9421 signature under the pre-shared key. The answer proves the same
//! key the other way (a MAC) and the relay's identity (a signature), both over nonce, relay and URL, so that it can
//! neither be replayed nor moved to another URL.

use odi_manifest::cbor::{self, CborError, Reader};
use odi_manifest::{PublicKey, SignError, Signature, Signer};
use serde::{Deserialize, Serialize};

use super::{DerivedKey, PublicUrl};

/// The largest challenge or answer in bytes.
pub const CHALLENGE_BYTES_MAX: usize = 1024;

/// What the signed text of an answer begins with. Records begin with `ODI-sig-v1`, so whoever chooses the nonce gains
/// no signature that means anything else.
const ANSWER_PREFIX: &[u8] = b"ODI-challenge-answer-v1\0";

/// The body of `POST {url}/.well-known/odi/challenge`: CBOR `{v, dir, nonce}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// 1.
    pub v: u8,
    /// The directory that asks.
    pub dir: PublicKey,
    /// 32 random bytes.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
}

/// The body of the answer: CBOR `{mac, sig}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// Keyed BLAKE3 under the answer key over nonce || relay || url.
    #[serde(with = "serde_bytes")]
    mac: [u8; 32],
    /// The relay's Ed25519 signature over `ODI-challenge-answer-v1` 00 and the same.
    #[serde(with = "serde_bytes")]
    sig: [u8; 64],
}

/// What an answer fails to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeRefusal {
    /// Whoever answered does not hold the pre-shared key.
    #[error("the challenge answer does not prove the pre-shared key")]
    Mac,
    /// Whoever answered does not hold the relay's identity.
    #[error("the challenge answer does not prove the relay's identity")]
    Identity,
}

impl Challenge {
    /// Its encoding.
    ///
    /// # Errors
    /// None for a value of this type; the encoder's own error otherwise.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads a challenge.
    ///
    /// # Errors
    /// It is not one, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let challenge: Self = cbor::from_slice(bytes, CHALLENGE_BYTES_MAX)?;
        if challenge.v == 1 {
            Ok(challenge)
        } else {
            Err(Reader::new(bytes).expected("a challenge of version 1"))
        }
    }

    /// The answer of a relay that holds both secrets and is reached as `url`.
    ///
    /// # Errors
    /// The signer does not sign.
    pub fn answer(
        &self,
        url: &PublicUrl,
        key: &DerivedKey,
        relay: &dyn Signer,
    ) -> Result<ChallengeAnswer, SignError> {
        let text = self.text(url, &relay.public_key());
        let sig = relay.sign(&[ANSWER_PREFIX, &text].concat())?;
        Ok(ChallengeAnswer { mac: *mac(key, &text).as_bytes(), sig: *sig.as_bytes() })
    }

    /// Checks the answer that came from `url`.
    ///
    /// # Errors
    /// [`ChallengeRefusal`] says which secret is not proved.
    pub fn check(
        &self,
        answer: &ChallengeAnswer,
        url: &PublicUrl,
        key: &DerivedKey,
        relay: &PublicKey,
    ) -> Result<(), ChallengeRefusal> {
        let text = self.text(url, relay);
        // `blake3::Hash` compares in constant time.
        if mac(key, &text) != blake3::Hash::from_bytes(answer.mac) {
            return Err(ChallengeRefusal::Mac);
        }
        let sig = Signature::from_bytes(answer.sig);
        if relay.accepts(&[ANSWER_PREFIX, &text].concat(), &sig) {
            Ok(())
        } else {
            Err(ChallengeRefusal::Identity)
        }
    }

    fn text(&self, url: &PublicUrl, relay: &PublicKey) -> Vec<u8> {
        [&self.nonce[..], relay.as_bytes(), url.as_str().as_bytes()].concat()
    }
}

impl ChallengeAnswer {
    /// Its encoding.
    ///
    /// # Errors
    /// None for a value of this type; the encoder's own error otherwise.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads an answer; [`Challenge::check`] judges it.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, CHALLENGE_BYTES_MAX)
    }
}

fn mac(key: &DerivedKey, text: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(key.expose(), text)
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::super::PreSharedKey;
    use super::*;

    #[test]
    fn another_version_is_refused() {
        let dir = SigningKey::from_seed(&[2; 32]).public_key();
        let of_version = |v| Challenge { v, dir, nonce: [5; 32] }.encode().unwrap();
        assert!(Challenge::decode(&of_version(1)).is_ok());
        assert!(Challenge::decode(&of_version(2)).is_err());
    }

    #[test]
    fn an_answer_holds_for_its_nonce_url_and_secrets_alone() {
        let [relay, dir, other] = [1, 2, 3].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let key = PreSharedKey::from_bytes([9; 32]).answer_key(&dir.public_key(), &relay.public_key());
        let url = PublicUrl::parse("https://relay.example.net").unwrap();
        let challenge = Challenge { v: 1, dir: dir.public_key(), nonce: [5; 32] };
        let challenge = Challenge::decode(&challenge.encode().unwrap()).unwrap();

        let answer = challenge.answer(&url, &key, &relay).unwrap();
        let answer = ChallengeAnswer::decode(&answer.encode().unwrap()).unwrap();
        let relay_key = relay.public_key();
        assert_eq!(challenge.check(&answer, &url, &key, &relay_key), Ok(()));

        let elsewhere = PublicUrl::parse("https://other.example.net").unwrap();
        assert_eq!(challenge.check(&answer, &elsewhere, &key, &relay_key), Err(ChallengeRefusal::Mac));
        let again = Challenge { nonce: [6; 32], ..challenge.clone() };
        assert_eq!(again.check(&answer, &url, &key, &relay_key), Err(ChallengeRefusal::Mac));
        let thief = challenge.answer(&url, &key, &other).unwrap();
        assert_eq!(challenge.check(&thief, &url, &key, &relay_key), Err(ChallengeRefusal::Mac));
        let mixed = ChallengeAnswer { mac: answer.mac, sig: thief.sig };
        assert_eq!(challenge.check(&mixed, &url, &key, &relay_key), Err(ChallengeRefusal::Identity));
    }
}
