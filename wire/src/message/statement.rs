//! Statements of daemons: Ed25519 records whose author speaks for itself, in the same envelope as trust records.

use odi_manifest::{
    PublicKey, Record, RecordError, Role, SignError, Signer, Unverified, Verified, VerifyError, verify,
};

/// The media type of everything in CBOR.
pub const CBOR: &str = "application/cbor";

/// A record that names the one key that must have signed it.
pub trait Statement: Record {
    /// The key whose word this is.
    fn author(&self) -> &PublicKey;
}

/// Why a statement is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not a well-formed statement of this kind.
    #[error("the statement is malformed")]
    Malformed(#[from] RecordError),
    /// Not signed by the key that it names.
    #[error("the statement is not signed by its author")]
    Unsigned(#[source] Box<VerifyError>),
    /// Signed, by somebody else than expected.
    #[error("the statement is by {author}, who is not the one expected")]
    OtherAuthor {
        /// Who made it.
        author: Box<PublicKey>,
    },
}

/// Why a statement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It breaks a rule of its kind.
    #[error("the statement cannot be made")]
    Malformed(#[from] RecordError),
    /// The key did not sign.
    #[error("the statement cannot be signed")]
    Sign(#[from] SignError),
}

/// Encodes and signs a statement.
///
/// # Errors
/// It breaks a rule of its kind, or the key does not sign.
pub fn state<T: Statement>(statement: T, signer: &dyn Signer) -> Result<Vec<u8>, StateError> {
    Ok(Unverified::draft(statement)?.signed_by(signer)?.encode())
}

/// Reads a statement and verifies that the key it names signed it.
///
/// Whether that key may say so, whether `gen` rises and the times fit is the caller's to judge.
///
/// # Errors
/// It is malformed or not signed by its author.
pub fn open<T: Statement>(bytes: &[u8]) -> Result<Verified<T>, StatementError> {
    let claimed = Unverified::<T>::decode(bytes)?;
    let author = Role::identity(*claimed.claims().author());
    verify(&claimed, &author).map_err(|unsigned| StatementError::Unsigned(Box::new(unsigned)))
}

/// As [`open`], from a known author.
///
/// # Errors
/// It is malformed, not signed by its author, or by another one.
pub fn open_from<T: Statement>(bytes: &[u8], expected: &PublicKey) -> Result<Verified<T>, StatementError> {
    let statement = open::<T>(bytes)?;
    let author = *statement.author();
    if author == *expected {
        Ok(statement)
    } else {
        Err(StatementError::OtherAuthor { author: Box::new(author) })
    }
}
