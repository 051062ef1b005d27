//! Who this relay is: an Ed25519 key, made on the first start, and the counter under which it makes statements.
//!
//! The seed is `identity.key` (64 hexadecimal digits, mode 0600). Losing it makes another relay, copying it makes two that
//! contradict each other. Statements carry a strictly rising generation; it survives a crash, because `generation` holds
//! a ceiling that is durable before any number below it is used.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER_PERMISSIVE;
use odi_manifest::{PublicKey, Signer, SigningKey, Timestamp};
use odi_wire::private_file;
use zeroize::Zeroizing;

const FILE: &str = "identity.key";
/// How many generations one write of the ceiling allows: about a day of announcements.
const RESERVED: u64 = 4096;

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should. It is never overwritten: it may be the only copy.
    #[error("{} does not hold {expected}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
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
    /// The public key of the identity in `data_dir`; `None` if there is none yet. Changes nothing.
    pub fn kept(data_dir: &Path) -> Result<Option<PublicKey>, IdentityError> {
        Ok(seed(&data_dir.join(FILE))?.map(|seed| SigningKey::from_seed(&seed).public_key()))
    }

    /// Reads the identity from `data_dir`, or makes it from `fresh` if there is none.
    pub fn open(data_dir: &Path, fresh: Zeroizing<[u8; 32]>) -> Result<Self, IdentityError> {
        let path = data_dir.join(FILE);
        let seed = match seed(&path)? {
            Some(kept) => kept,
            None => {
                let text = Zeroizing::new(data_encoding::HEXLOWER.encode(&*fresh) + "\n");
                replace(&path, text.as_bytes())?;
                fresh
            }
        };
        let path = data_dir.join("generation");
        let ceiling = match read(&path)? {
            None => 0,
            Some(text) => std::str::from_utf8(&text)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .ok_or_else(|| IdentityError::Malformed { path: path.clone(), expected: "a number" })?,
        };
        let generation = Mutex::new(Generation { path, last: ceiling, ceiling });
        Ok(Self { key: SigningKey::from_seed(&seed), generation })
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

/// Reads 64 hexadecimal digits, with a line end or without.
pub(crate) fn hex32(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

fn seed(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, IdentityError> {
    let Some(text) = read(path)?.map(Zeroizing::new) else { return Ok(None) };
    let malformed =
        || IdentityError::Malformed { path: path.to_owned(), expected: "a seed of 64 hexadecimal digits" };
    hex32(&text).map(Some).ok_or_else(malformed)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    private_file::read(path).map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    private_file::replace(path, content)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })
}
