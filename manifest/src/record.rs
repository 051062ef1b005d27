//! What all signed records share: how one is encoded, opened and judged well-formed.
//!
//! Opening gives an [`Unverified`] record: its claims can be read, to learn whose key to ask, and nothing more.
//! Other crates sign statements of their own by implementing [`Record`].

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cbor::{self, CborError};
use crate::envelope::{Envelope, EnvelopeError, RecordKind};
use crate::key::{SignError, Signer};

/// A signed statement: a map with short text keys, of one [`RecordKind`].
///
/// An implementation derives serde with `deny_unknown_fields`, skips absent fields, keeps bytes in `serde_bytes`, and
/// is refused when decoded from any bytes but those it encodes to.
pub trait Record: Clone + fmt::Debug + Serialize + DeserializeOwned {
    /// Which kind of record this is; signatures cover it.
    const KIND: RecordKind;

    /// Rules that a single record must keep whatever its signatures.
    ///
    /// # Errors
    /// The first rule that it breaks.
    fn check(&self) -> Result<(), BrokenRule>;
}

/// A rule of FORMAT.md that a record breaks, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokenRule(pub &'static str);

impl BrokenRule {
    /// This rule is broken unless `holds`.
    ///
    /// # Errors
    /// The rule, if it does not hold.
    pub const fn unless(holds: bool, rule: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self(rule)) }
    }
}

/// A payload that is not the record it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The envelope itself is no good.
    #[error("no readable {kind}")]
    Envelope {
        /// What was expected.
        kind: RecordKind,
        /// Why it is not readable.
        source: EnvelopeError,
    },
    /// A well-formed envelope of another kind.
    #[error("expected a {expected}, found a {found}")]
    Kind {
        /// What was expected.
        expected: RecordKind,
        /// What it says it is.
        found: RecordKind,
    },
    /// Not the record's one encoding.
    #[error("the {kind} is malformed")]
    Cbor {
        /// What it says it is.
        kind: RecordKind,
        /// What is wrong with its bytes.
        source: CborError,
    },
    /// Decodes, and breaks a rule.
    #[error("the {kind} breaks a rule")]
    Broken {
        /// What it says it is.
        kind: RecordKind,
        /// Which rule.
        source: BrokenRule,
    },
}

impl RecordError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Envelope { source, .. } => source.name(),
            Self::Kind { .. } => "other-kind",
            Self::Cbor { source, .. } => source.reason.name(),
            Self::Broken { .. } => "broken-rule",
        }
    }
}

/// A record as it came: well-formed, and so far only claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified<T> {
    claims: T,
    envelope: Envelope,
}

impl<T: Record> Unverified<T> {
    /// Reads an encoded envelope and the record in it.
    ///
    /// # Errors
    /// The bytes are no envelope, of another kind, too large, or hold no well-formed record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let envelope =
            Envelope::decode(bytes).map_err(|source| RecordError::Envelope { kind: T::KIND, source })?;
        Self::open(envelope)
    }

    /// Reads the record in an envelope.
    ///
    /// # Errors
    /// It is of another kind, or not a well-formed record.
    pub fn open(envelope: Envelope) -> Result<Self, RecordError> {
        let kind = T::KIND;
        if envelope.kind() != kind {
            return Err(RecordError::Kind { expected: kind, found: envelope.kind() });
        }
        let claims: T = cbor::from_slice(envelope.payload(), kind.payload_bytes_max())
            .map_err(|source| RecordError::Cbor { kind, source })?;
        claims.check().map_err(|source| RecordError::Broken { kind, source })?;
        Ok(Self { claims, envelope })
    }

    /// Encodes a record into an envelope without signatures.
    ///
    /// # Errors
    /// The record breaks a rule, has no form in the CBOR profile, or is too large.
    pub fn draft(record: T) -> Result<Self, RecordError> {
        let kind = T::KIND;
        record.check().map_err(|source| RecordError::Broken { kind, source })?;
        let payload = cbor::to_vec(&record).map_err(|source| RecordError::Cbor { kind, source })?;
        let envelope =
            Envelope::new(kind, payload).map_err(|source| RecordError::Envelope { kind, source })?;
        Ok(Self { claims: record, envelope })
    }

    /// What the record says, unproved.
    #[must_use]
    pub const fn claims(&self) -> &T {
        &self.claims
    }

    /// The envelope it came in.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The encoded record.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.envelope.payload()
    }

    /// Adds a signature.
    ///
    /// # Errors
    /// The signer did not sign, or there is no room for another signature.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SignError> {
        self.envelope.sign(signer)
    }

    /// The same record with a signature more.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn signed_by(mut self, signer: &dyn Signer) -> Result<Self, SignError> {
        self.sign(signer)?;
        Ok(self)
    }

    /// The encoded envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.envelope.encode()
    }

    pub(crate) fn into_parts(self) -> (T, Envelope) {
        (self.claims, self.envelope)
    }
}
