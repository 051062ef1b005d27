//! What this relay remembers of one directory: the secret they share, its key, and what it calls which catalog.
//!
//! The key and every name are fixed at first sight (the configuration may fix them earlier), and only the operator
//! changes them, by configuration or by removing the file: a directory that is taken over cannot slip another catalog
//! under a known name. One file per directory URL under `directories/`, mode 0600.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::PublicUrl;
use odi_wire::private_file;
use serde::{Deserialize, Serialize};

use crate::shared_secret::{SecretRecord, SharedSecret};

/// The most names that are remembered of one directory.
pub const NAMES_MAX: usize = 4096;

/// Why a directory's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AcquaintanceError {
    /// The file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not hold a directory's record.
    #[error("{} does not hold what is known of {url}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// The directory.
        url: PublicUrl,
    },
}

/// A directory says something else than it did at first sight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Another key answers at its URL.
    #[error("the directory at {url} has the key {claimed}, it used to have {known}")]
    Key {
        /// Where.
        url: PublicUrl,
        /// Fixed before.
        known: PublicKey,
        /// Said now.
        claimed: PublicKey,
    },
    /// A known name stands for another catalog.
    #[error("the directory calls catalog {claimed} `{name}`, which used to be {known}")]
    Name {
        /// The name.
        name: String,
        /// Fixed before.
        known: CatalogId,
        /// Said now.
        claimed: CatalogId,
    },
    /// It has more names than a directory can have.
    #[error("the directory has more than {NAMES_MAX} catalogs")]
    TooManyNames,
}

/// Where directories are remembered, in the data folder.
const FOLDER: &str = "directories";

fn record_path(data_dir: &Path, url: &PublicUrl) -> PathBuf {
    data_dir.join(FOLDER).join(format!("{}.json", blake3::hash(url.as_str().as_bytes()).to_hex()))
}

#[derive(Serialize, Deserialize)]
struct Record {
    url: PublicUrl,
    key: Option<PublicKey>,
    #[serde(flatten)]
    secret: SecretRecord,
    names: BTreeMap<String, CatalogId>,
}

/// One directory, as remembered.
#[derive(Debug)]
pub struct Acquaintance {
    path: PathBuf,
    url: PublicUrl,
    key: Option<PublicKey>,
    secret: SharedSecret,
    names: BTreeMap<String, CatalogId>,
    changed: bool,
}

impl Acquaintance {
    /// Reads what is remembered of `url`, or begins with `fresh_psk`; the configuration's key and ids overrule.
    pub fn open(
        data_dir: &Path,
        url: &PublicUrl,
        pinned_key: Option<PublicKey>,
        pinned_names: &BTreeMap<String, CatalogId>,
        fresh_psk: [u8; 32],
    ) -> Result<Self, AcquaintanceError> {
        let path = record_path(data_dir, url);
        let file_error = |source| AcquaintanceError::File { path: path.clone(), source };
        private_file::create_folder(&data_dir.join(FOLDER)).map_err(file_error)?;
        let malformed = || AcquaintanceError::Malformed { path: path.clone(), url: url.clone() };
        let mut known = match private_file::read(&path).map_err(file_error)? {
            None => Self {
                path: path.clone(),
                url: url.clone(),
                key: None,
                secret: SharedSecret::new(fresh_psk),
                names: BTreeMap::new(),
                changed: true,
            },
            Some(text) => {
                let record: Record = serde_json::from_slice(&text).map_err(|_| malformed())?;
                let secret = SharedSecret::read(&record.secret).filter(|_| record.url == *url);
                let secret = secret.ok_or_else(malformed)?;
                Self {
                    path: path.clone(),
                    url: record.url,
                    key: record.key,
                    secret,
                    names: record.names,
                    changed: false,
                }
            }
        };
        if pinned_key.is_some() && pinned_key != known.key {
            known.key = pinned_key;
            known.changed = true;
        }
        for (name, id) in pinned_names {
            known.changed |= known.names.insert(name.clone(), *id) != Some(*id);
        }
        Ok(known)
    }

    /// The key that is remembered of `url`, if any. Writes nothing.
    #[must_use]
    pub fn remembered_key(data_dir: &Path, url: &PublicUrl) -> Option<PublicKey> {
        let text = private_file::read(&record_path(data_dir, url)).ok()??;
        serde_json::from_slice::<Record>(&text).ok().filter(|record| record.url == *url)?.key
    }

    /// Forgets the directory at `url` for good.
    ///
    /// # Errors
    /// Its file cannot be removed.
    pub fn forget(data_dir: &Path, url: &PublicUrl) -> Result<(), AcquaintanceError> {
        let path = record_path(data_dir, url);
        private_file::remove(&path).map_err(|source| AcquaintanceError::File { path, source })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &PublicUrl {
        &self.url
    }

    /// The secret that it alone shares with this relay.
    #[must_use]
    pub const fn secret(&self) -> &SharedSecret {
        &self.secret
    }

    /// Lets the secret grow older, be replaced or be used; what that changes is written with the next save.
    pub fn change_secret(&mut self, change: impl FnOnce(&mut SharedSecret) -> bool) {
        self.changed |= change(&mut self.secret);
    }

    /// Its key, once seen.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.key
    }

    /// Fixes its key at first sight, or compares it with the one that is fixed.
    pub fn meet(&mut self, claimed: PublicKey) -> Result<(), Contradiction> {
        match self.key {
            Some(known) if known != claimed => {
                Err(Contradiction::Key { url: self.url.clone(), known, claimed })
            }
            Some(_) => Ok(()),
            None => {
                self.key = Some(claimed);
                self.changed = true;
                Ok(())
            }
        }
    }

    /// What it calls which catalog, as fixed.
    pub fn names(&self) -> impl Iterator<Item = (&str, &CatalogId)> {
        self.names.iter().map(|(name, id)| (name.as_str(), id))
    }

    /// Fixes what a name stands for at first sight, or compares it with what is fixed.
    pub fn name(&mut self, name: &str, claimed: CatalogId) -> Result<(), Contradiction> {
        match self.names.get(name) {
            Some(known) if *known != claimed => {
                Err(Contradiction::Name { name: name.to_owned(), known: *known, claimed })
            }
            Some(_) => Ok(()),
            None if self.names.len() >= NAMES_MAX => Err(Contradiction::TooManyNames),
            None => {
                self.names.insert(name.to_owned(), claimed);
                self.changed = true;
                Ok(())
            }
        }
    }

    /// Makes what was learned durable, if anything was. A crash before this forgets only what nothing relied on yet, so
    /// callers save before they register with a new secret or serve a new name.
    pub fn save(&mut self) -> Result<(), AcquaintanceError> {
        if !self.changed {
            return Ok(());
        }
        let record = Record {
            url: self.url.clone(),
            key: self.key,
            secret: self.secret.record(),
            names: self.names.clone(),
        };
        let text = serde_json::to_vec_pretty(&record).expect("a record has text keys only");
        private_file::replace(&self.path, &text)
            .map_err(|source| AcquaintanceError::File { path: self.path.clone(), source })?;
        self.changed = false;
        Ok(())
    }
}
