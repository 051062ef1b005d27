//! The one place where a claim becomes a fact.
//!
//! [`verify`] serves every role and every kind of record, because second verification paths are where update systems
//! lost their checks. It counts distinct public keys with a valid signature; unknown and invalid signatures beside
//! them do no harm, and a key that signed twice condemns the record. [`verify_named`] is for what a verified record
//! names by hash.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use crate::envelope::{Envelope, RecordKind};
use crate::head::Head;
use crate::ids::HeadId;
use crate::key::PublicKey;
use crate::record::{BrokenRule, Record, Unverified};

/// In which capacity keys sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// A catalog's root keys, offline: they say which keys count.
    Root,
    /// A catalog's release keys: they sign heads.
    Release,
    /// A catalog's revoke keys: they sign heads that change nothing but the revocation list.
    Revoke,
    /// A directory that cosigns heads.
    Witness,
    /// One key that speaks for itself: a relay, a directory, a key that revokes itself.
    Identity,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::Revoke => "revoke",
            Self::Witness => "witness",
            Self::Identity => "identity",
        })
    }
}

/// Keys of which a threshold must sign. Invariant: keys are distinct and `1 <= threshold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    name: RoleName,
    threshold: usize,
    keys: Vec<PublicKey>,
}

impl Role {
    /// A role of distinct keys.
    ///
    /// # Errors
    /// A key is listed twice, or the threshold is not between 1 and the number of keys.
    pub fn new(name: RoleName, threshold: usize, keys: Vec<PublicKey>) -> Result<Self, BrokenRule> {
        let distinct = keys.iter().collect::<BTreeSet<_>>().len();
        BrokenRule::unless(distinct == keys.len(), "a key is listed twice in one role")?;
        BrokenRule::unless(
            (1..=distinct).contains(&threshold),
            "a threshold is not between 1 and its number of keys",
        )?;
        Ok(Self { name, threshold, keys })
    }

    /// The role of one key that speaks for itself.
    #[must_use]
    pub fn identity(key: PublicKey) -> Self {
        Self { name: RoleName::Identity, threshold: 1, keys: vec![key] }
    }

    /// The role of one witness.
    #[must_use]
    pub fn witness(key: PublicKey) -> Self {
        Self { name: RoleName::Witness, threshold: 1, keys: vec![key] }
    }

    /// The role's name.
    #[must_use]
    pub const fn name(&self) -> RoleName {
        self.name
    }

    /// How many of its keys must sign.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The role without some of its keys, at the same threshold, which may then be out of reach.
    pub(crate) fn without(mut self, dead: &BTreeSet<PublicKey>) -> Self {
        self.keys.retain(|key| !dead.contains(key));
        self
    }

    /// Which of its keys validly signed this envelope.
    ///
    /// # Errors
    /// One of them did so twice.
    pub fn signers(&self, envelope: &Envelope) -> Result<BTreeSet<PublicKey>, VerifyError> {
        let message = envelope.signed_bytes();
        let mut signers = BTreeSet::new();
        for (hint, signature) in envelope.signatures() {
            let signer = self.keys.iter().find(|key| key.hint() == *hint && key.accepts(&message, signature));
            match signer {
                Some(key) if !signers.insert(*key) => {
                    return Err(VerifyError::SignedTwice { kind: envelope.kind(), key: *key });
                }
                _ => {}
            }
        }
        Ok(signers)
    }
}

/// A record without the signatures it needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Fewer distinct keys of the role signed than its threshold.
    #[error(
        "the {kind} is signed by {valid} of the {needed} {role} keys that it needs ({present} signatures in all)"
    )]
    TooFew {
        /// What was to be verified.
        kind: RecordKind,
        /// Whose signatures it needs.
        role: RoleName,
        /// How many.
        needed: usize,
        /// How many distinct keys of the role validly signed it.
        valid: usize,
        /// How many signatures it carries, valid or not.
        present: usize,
    },
    /// One key signed twice, which no honest signer does.
    #[error("the {kind} carries two signatures of the key {key}")]
    SignedTwice {
        /// What was to be verified.
        kind: RecordKind,
        /// Whose signatures they are.
        key: PublicKey,
    },
    /// Its hash is not the one by which it was named.
    #[error("the {kind} is not the one that was named")]
    NotTheNamed {
        /// What was to be verified.
        kind: RecordKind,
    },
}

/// A record that a threshold of a role signed, or that such a record names. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    envelope: Envelope,
    basis: Basis,
}

/// Why a record is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A threshold of this role signed it.
    Signed(RoleName),
    /// A verified record names its hash.
    Named,
}

/// Verifies a record against one role.
///
/// # Errors
/// Too few of the role's keys signed it, or one of them twice.
pub fn verify<T: Record>(record: &Unverified<T>, role: &Role) -> Result<Verified<T>, VerifyError> {
    let envelope = record.envelope();
    let valid = role.signers(envelope)?.len();
    if valid < role.threshold {
        return Err(VerifyError::TooFew {
            kind: T::KIND,
            role: role.name,
            needed: role.threshold,
            valid,
            present: envelope.signatures().len(),
        });
    }
    Ok(believed(record, Basis::Signed(role.name)))
}

/// Verifies a head that something verified names by its id: a later head, a root's floor, one's own ledger.
///
/// # Errors
/// Its id is another.
pub fn verify_named(head: &Unverified<Head>, id: &HeadId) -> Result<Verified<Head>, VerifyError> {
    if head.id() == *id {
        Ok(believed(head, Basis::Named))
    } else {
        Err(VerifyError::NotTheNamed { kind: Head::KIND })
    }
}

fn believed<T: Record>(record: &Unverified<T>, basis: Basis) -> Verified<T> {
    let (value, envelope) = record.clone().into_parts();
    Verified { value, envelope, basis }
}

impl<T: Record> Verified<T> {
    /// The record.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The envelope it came in, whose bytes are what to store and forward.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Why it is believed.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// The encoded record.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.envelope.payload()
    }

    /// The encoded envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.envelope.encode()
    }

    /// The same record as mere claims, to verify it against something else.
    #[must_use]
    pub fn unverified(&self) -> Unverified<T> {
        Unverified::open(self.envelope.clone()).expect("its envelope was opened before")
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
