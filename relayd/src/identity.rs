//! Who this relay is: an Ed25519 key, made on the first start, and the counter under which it makes statements.
//!
//! The key is [`odi_wire::identity_key`]'s. Losing it makes another relay, copying it makes two that contradict each other.
//! Statements carry a strictly rising generation; it survives a crash, because `generation` holds a ceiling that is durable
//! before any number below it is used.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use odi_manifest::{PublicKey, Signer, SigningKey, Timestamp};
use odi_wire::identity_key::{self, IdentityKeyError};
use odi_wire::private_file;
use zeroize::Zeroizing;

/// How many generations one write of the ceiling allows: about a day of announcements.
const RESERVED: u64 = 4096;

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no key.
    #[error(transparent)]
    Key(#[from] IdentityKeyError),
    /// The counter cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The counter does not read. It is never overwritten: a lower one would make every statement an old one.
    #[error("{} does not hold a number", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// The relay's key and its statement counter.
pub struct Identity {
    key: SigningKey,
    generation: Mutex<Generation>,
}

struct Generation {
    path: PathBuf,
    last: u64,
    ceiling: u64,
}

impl Identity {
    /// Reads the identity from `data_dir`, or makes it from `fresh` if there is none.
    pub fn open(data_dir: &Path, fresh: &Zeroizing<[u8; 32]>) -> Result<Self, IdentityError> {
        let key = identity_key::kept_or_made(data_dir, fresh)?;
        let path = data_dir.join("generation");
        let ceiling = match read(&path)? {
            None => 0,
            Some(text) => std::str::from_utf8(&text)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .ok_or_else(|| IdentityError::Malformed { path: path.clone() })?,
        };
        let generation = Mutex::new(Generation { path, last: ceiling, ceiling });
        Ok(Self { key, generation })
    }

    /// The relay's public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// What signs the relay's statements.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        &self.key
    }

    /// A generation above every one given out before, by this process or an earlier one. It follows the clock where it
    /// can, so that even a data folder restored from a backup soon overtakes what directories remember.
    pub fn next_generation(&self, now: Timestamp) -> Result<u64, IdentityError> {
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let next = generation.last.saturating_add(1).max(now.0);
        if next > generation.ceiling {
            let ceiling = next.saturating_add(RESERVED);
            replace(&generation.path, format!("{ceiling}\n").as_bytes())?;
            generation.ceiling = ceiling;
        }
        generation.last = next;
        Ok(next)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.public_key()).finish()
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    private_file::read(path).map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    private_file::replace(path, content)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })
}
