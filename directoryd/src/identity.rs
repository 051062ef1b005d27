//! The directory's own Ed25519 key, made at the first start: `identity.key`, 64 hexadecimal digits, mode 0600.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use odi_manifest::SigningKey;
use odi_wire::private_file;
use zeroize::Zeroizing;

const FILE: &str = "identity.key";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error("the identity {} cannot be read or made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else. It is never overwritten: relays know the directory by this key.
    #[error("the identity {} is not a line of 64 hexadecimal digits", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the identity in `data_dir`; `None` if there is none yet. Changes nothing.
///
/// # Errors
/// The file cannot be read or understood.
pub(crate) fn kept(data_dir: &Path) -> Result<Option<SigningKey>, IdentityError> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => parse(&text).map(Some).ok_or(IdentityError::Malformed { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { path, source }),
    }
}

/// The same, or makes one of `fresh` random bytes.
///
/// # Errors
/// The file cannot be read, made or understood.
pub(crate) fn load_or_make(data_dir: &Path, fresh: [u8; 32]) -> Result<SigningKey, IdentityError> {
    let fresh = Zeroizing::new(fresh);
    if let Some(kept) = kept(data_dir)? {
        return Ok(kept);
    }
    let path = data_dir.join(FILE);
    let line = Zeroizing::new(format!("{}\n", HEXLOWER.encode(&*fresh)));
    private_file::replace(&path, line.as_bytes()).map_err(|source| IdentityError::File { path, source })?;
    Ok(SigningKey::from_seed(&fresh))
}

fn parse(text: &str) -> Option<SigningKey> {
    let bytes = Zeroizing::new(HEXLOWER.decode(text.trim_end().as_bytes()).ok()?);
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().ok()?);
    Some(SigningKey::from_seed(&seed))
}

/// What keeps clients with their relay, over restarts too: derived, so that it is one secret less on the disk.
#[must_use]
pub(crate) fn selection_seed(identity: &SigningKey) -> [u8; 32] {
    blake3::derive_key("ODI 2026-11 selection seed v1", &*identity.seed())
}
