//! The signed envelope `["odi1", type, payload, [[key hint, signature], ...]]` of FORMAT.md § Envelope.
//!
//! The payload is kept as the bytes that came, because signatures cover those and never a re-encoding. Decoding
//! bounds everything and verifies nothing; that is [`verify`](crate::verify)'s, for every kind of record.

mod kind;

use crate::cbor::{CborError, Reader, Writer};
use crate::key::{KeyHint, PublicKey, SignError, Signature, Signer};

pub use kind::RecordKind;

/// The first element of every envelope.
const MAGIC: &str = "odi1";

/// What every signed byte string begins with, so that no other protocol's message can pose as one.
const SIGNED_PREFIX: &[u8] = b"ODI-sig-v1\0";

/// The most signatures that one envelope carries.
pub const SIGNATURES_MAX: usize = 32;

/// Room for all that is not payload: magic, type, and the most signatures.
const FRAME_BYTES_MAX: usize = 64 + SIGNATURES_MAX * 80;

/// Bytes that are not an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the profile's CBOR, or not this array.
    #[error("the envelope is malformed")]
    Cbor(#[from] CborError),
    /// The first element is not `odi1`.
    #[error("not an ODI envelope")]
    Magic,
    /// A type that this version does not know. (A new meaning gets a new number, so skipping it would be wrong.)
    #[error("unknown record type `{0}`")]
    UnknownKind(String),
    /// More payload than this kind of record ever has.
    #[error("a payload of {bytes} bytes, of a {kind} that has at most {max}")]
    TooLarge {
        /// What it says it is.
        kind: RecordKind,
        /// What it has.
        bytes: usize,
        /// What it may have.
        max: usize,
    },
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("{0} signatures, at most {SIGNATURES_MAX} are allowed")]
    TooManySignatures(usize),
    /// Signatures not strictly ascending by (hint, signature): a second spelling, or one of them twice.
    #[error("signatures out of order, or one of them twice")]
    SignatureOrder,
}

impl EnvelopeError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.reason.name(),
            Self::Magic => "magic",
            Self::UnknownKind(_) => "unknown-kind",
            Self::TooLarge { .. } => "too-large",
            Self::TooManySignatures(_) => "too-many-signatures",
            Self::SignatureOrder => "signature-order",
        }
    }
}

/// A payload, what it says it is, and whose signatures it says it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    kind: RecordKind,
    payload: Vec<u8>,
    signatures: Vec<(KeyHint, Signature)>,
}

impl Envelope {
    /// An unsigned envelope around an encoded record.
    ///
    /// # Errors
    /// The payload is larger than its kind allows.
    pub fn new(kind: RecordKind, payload: Vec<u8>) -> Result<Self, EnvelopeError> {
        let max = kind.payload_bytes_max();
        if payload.len() > max {
            return Err(EnvelopeError::TooLarge { kind, bytes: payload.len(), max });
        }
        Ok(Self { kind, payload, signatures: Vec::new() })
    }

    /// Reads an envelope. Nothing in it is proved by that.
    ///
    /// # Errors
    /// The bytes are anything but the one encoding of one envelope within its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(4, "an envelope of 4 elements")?;
        if reader.text()? != MAGIC {
            return Err(EnvelopeError::Magic);
        }
        let kind = reader.text()?;
        let kind = RecordKind::parse(kind)
            .ok_or_else(|| EnvelopeError::UnknownKind(kind.chars().take(64).collect()))?;
        let payload = reader.bytes()?;
        let mut envelope = Self::new(kind, payload.to_vec())?;
        let count = reader.array()?;
        if count > SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(count));
        }
        for _ in 0..count {
            reader.array_of(2, "a key hint and a signature")?;
            let pair = (KeyHint(reader.fixed()?), Signature::from_bytes(reader.fixed()?));
            if envelope.signatures.last().is_some_and(|former| *former >= pair) {
                return Err(EnvelopeError::SignatureOrder);
            }
            envelope.signatures.push(pair);
        }
        reader.end()?;
        Ok(envelope)
    }

    /// The envelope's one encoding: `decode` of it gives this envelope, and `encode` of a decoded one gives its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.payload.len() + FRAME_BYTES_MAX);
        writer.array(4);
        for name in [MAGIC, self.kind.name()] {
            writer.text(name).expect("ASCII is NFC");
        }
        writer.bytes(&self.payload);
        writer.array(self.signatures.len());
        for (hint, signature) in &self.signatures {
            writer.array(2).bytes(&hint.0).bytes(signature.as_bytes());
        }
        writer.into_bytes()
    }

    /// What the payload says it is; signatures cover it.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.kind
    }

    /// The encoded record, as it came.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, none of them checked, ascending by (hint, signature).
    #[must_use]
    pub fn signatures(&self) -> &[(KeyHint, Signature)] {
        &self.signatures
    }

    /// What its signatures cover.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(self.kind, &self.payload)
    }

    /// Adds a signature that was made elsewhere over [`signed_bytes`](Self::signed_bytes), in place of the same key's
    /// former one.
    ///
    /// # Errors
    /// There are [`SIGNATURES_MAX`] of other keys already.
    pub fn add_signature(&mut self, key: &PublicKey, signature: Signature) -> Result<(), EnvelopeError> {
        self.signatures.retain(|(hint, _)| *hint != key.hint());
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(self.signatures.len() + 1));
        }
        self.signatures.push((key.hint(), signature));
        self.signatures.sort_unstable();
        Ok(())
    }

    /// Lets `signer` sign the payload, and adds that signature.
    ///
    /// # Errors
    /// The signer did not sign, or there is no room for another signature.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SignError> {
        let key = signer.public_key();
        let signature = signer.sign(&self.signed_bytes())?;
        self.add_signature(&key, signature).map_err(|full| SignError::new(key, full))
    }
}

/// The bytes that a signature over this payload covers:
/// `"ODI-sig-v1" 00 | length of type, 1 byte | type | length of payload, 8 bytes little-endian | payload`.
#[must_use]
pub fn signed_bytes(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    let name = kind.name().as_bytes();
    let name_length = u8::try_from(name.len()).expect("type names are under 256 bytes");
    let mut signed = Vec::with_capacity(SIGNED_PREFIX.len() + 1 + name.len() + 8 + payload.len());
    signed.extend_from_slice(SIGNED_PREFIX);
    signed.push(name_length);
    signed.extend_from_slice(name);
    signed.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    signed.extend_from_slice(payload);
    signed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn signed_by(seeds: &[u8]) -> Envelope {
        let mut envelope = Envelope::new(RecordKind::Leave, b"\xa0".to_vec()).unwrap();
        for seed in seeds {
            envelope.sign(&SigningKey::from_seed(&[*seed; 32])).unwrap();
        }
        envelope
    }

    #[test]
    fn signed_bytes_are_spelled_out() {
        assert_eq!(
            signed_bytes(RecordKind::Head, b"xy"),
            b"ODI-sig-v1\0\x0aodi/head/1\x02\0\0\0\0\0\0\0xy".to_vec()
        );
    }

    #[test]
    fn envelopes_round_trip_whatever_order_signers_came_in() {
        let envelope = signed_by(&[3, 1, 2]);
        assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
        assert_eq!(signed_by(&[2, 3, 1, 1]), envelope);
        assert_eq!(signed_by(&[]).encode(), b"\x84\x64odi1\x6bodi/leave/1\x41\xa0\x80");
    }

    #[test]
    fn other_bytes_are_refused() {
        let encoded = signed_by(&[1, 2]).encode();
        let refused = |bytes: &[u8]| Envelope::decode(bytes).unwrap_err().name();
        for cut in 0..encoded.len() {
            assert_eq!(refused(&encoded[..cut]), "truncated", "{cut}");
        }
        assert_eq!(refused(&[&encoded[..], b"\0"].concat()), "trailing-bytes");
        assert_eq!(refused(b"\x84\x64odi2\x6bodi/leave/1\x41\xa0\x80"), "magic");
        assert_eq!(refused(b"\x84\x64odi1\x6bodi/leave/2\x41\xa0\x80"), "unknown-kind");
        assert_eq!(refused(b"\x84\x64odi1\x6bodi/leave/1\xa0\x80"), "unexpected-type");
        let mut twice = signed_by(&[1]);
        twice.signatures.push(twice.signatures[0]);
        assert_eq!(refused(&twice.encode()), "signature-order");
        let mut backwards = signed_by(&[1, 2]);
        backwards.signatures.reverse();
        assert_eq!(refused(&backwards.encode()), "signature-order");
        let large = vec![0; RecordKind::Leave.payload_bytes_max() + 1];
        assert!(matches!(Envelope::new(RecordKind::Leave, large), Err(EnvelopeError::TooLarge { .. })));
    }

    #[test]
    fn the_thirty_third_signer_finds_no_room() {
        let seeds: Vec<u8> = (0..32).collect();
        let mut envelope = signed_by(&seeds);
        assert!(envelope.sign(&SigningKey::from_seed(&[40; 32])).is_err());
        assert!(envelope.sign(&SigningKey::from_seed(&[31; 32])).is_ok());
        assert!(envelope.encode().len() <= FRAME_BYTES_MAX + 1);
    }
}
