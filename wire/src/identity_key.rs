//! Who a daemon is: an Ed25519 key whose seed is `identity.key` in its data folder, 64 hexadecimal digits, mode 0600.
//!
//! Made at the first start, and never overwritten, not even where it does not read: others know the daemon by this key, and
//! the file may be its only copy.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use odi_manifest::SigningKey;
use zeroize::Zeroizing;

use crate::private_file;

const FILE: &str = "identity.key";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    /// The file cannot be read or made.
    #[error("the identity {} cannot be read or made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
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
pub fn kept(data_dir: &Path) -> Result<Option<SigningKey>, IdentityKeyError> {
    let path = data_dir.join(FILE);
    match private_file::read(&path).map(|text| text.map(Zeroizing::new)) {
        Ok(None) => Ok(None),
        Ok(Some(text)) => match secret(&text) {
            Some(seed) => Ok(Some(SigningKey::from_seed(&seed))),
            None => Err(IdentityKeyError::Malformed { path }),
        },
        Err(source) => Err(IdentityKeyError::File { path, source }),
    }
}

/// The same, or makes one of `fresh` random bytes.
///
/// # Errors
/// The file cannot be read, made or understood.
pub fn kept_or_made(data_dir: &Path, fresh: &Zeroizing<[u8; 32]>) -> Result<SigningKey, IdentityKeyError> {
    if let Some(kept) = kept(data_dir)? {
        return Ok(kept);
    }
    let path = data_dir.join(FILE);
    let line = Zeroizing::new(HEXLOWER.encode(&**fresh) + "\n");
    private_file::replace(&path, line.as_bytes())
        .map_err(|source| IdentityKeyError::File { path, source })?;
    Ok(SigningKey::from_seed(fresh))
}

/// Reads a secret of 64 hexadecimal digits, with a line end or without.
#[must_use]
pub fn secret(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}
