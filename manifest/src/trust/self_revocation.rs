//! A key that takes itself out of service (TUF's TAP 20): whoever holds it can stop it at once, without the root keys.
//!
//! It acts on the release and revoke roles of one catalog, for ever: only a new root, with other keys, brings them
//! back to strength. Root keys are left alone, because roots that they signed in the past must stay provable.

use serde::{Deserialize, Serialize};

use super::TrustRoot;
use crate::clock::Timestamp;
use crate::envelope::RecordKind;
use crate::ids::CatalogId;
use crate::key::PublicKey;
use crate::record::{BrokenRule, Record, Unverified};
use crate::verify::{Role, VerifyError, verify};

/// "Do not believe me any more", by a key about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfRevocation {
    /// When it was made.
    pub t: Timestamp,
    /// The record's version, 1.
    pub v: u8,
    /// The catalog in which it acts.
    #[serde(rename = "cat")]
    pub catalog: CatalogId,
    /// The key that signs this, and nothing after it.
    pub key: PublicKey,
}

impl Record for SelfRevocation {
    const KIND: RecordKind = RecordKind::SelfRevoke;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "a self-revocation's record version is not 1")
    }
}

/// A self-revocation that revokes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// It speaks of another catalog.
    #[error("the self-revocation belongs to catalog {found}, not to {expected}")]
    WrongCatalog {
        /// The catalog that was asked for.
        expected: CatalogId,
        /// The catalog it speaks of.
        found: CatalogId,
    },
    /// The key that it would stop did not sign it.
    #[error("a key can only revoke itself")]
    NotItsOwn(#[source] VerifyError),
}

impl TrustRoot {
    /// Stops believing a key, at its own word. Heads that were adopted before stay.
    ///
    /// # Errors
    /// It speaks of another catalog, or the key did not sign it.
    pub fn retire(&mut self, revocation: &Unverified<SelfRevocation>) -> Result<(), RetireError> {
        let claims = revocation.claims();
        if claims.catalog != self.catalog {
            return Err(RetireError::WrongCatalog { expected: self.catalog, found: claims.catalog });
        }
        let verified = verify(revocation, &Role::identity(claims.key)).map_err(RetireError::NotItsOwn)?;
        self.dead.insert(verified.key);
        Ok(())
    }
}
