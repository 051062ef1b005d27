//! Where networks are, from databases in MaxMind's format that the operator names. Without any, nobody is anywhere, and everything else works.
//!
//! Invariants
//! - A database is in memory as a whole, because mapping a file that somebody may overwrite is not safe; it is no larger than
//!   [`DATABASE_BYTES_MAX`].
//! - A file that cannot be read, or does not read as one, takes nothing away: what was read of it before stays.
//! - Networks are looked up, never single addresses: what is near to somebody is near to their neighbours.

mod lately;
mod row;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use maxminddb::{MaxMindDbError, Reader};
use odi_wire::chain;
use odi_wire::off_worker::off_worker;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::network::Network;
use crate::whereabouts::Whereabouts;
use lately::Lately;
use row::Row;

/// The largest database that is taken.
pub const DATABASE_BYTES_MAX: u64 = 512 << 20;
/// How many rows of a database are remembered: many networks share one. They take less than 1 MiB.
const ROWS: usize = 16_384;
/// How many networks are: they take less than 3 MiB.
const NETWORKS: usize = 65_536;
/// How often files are looked at for another version.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{} is larger than {} MiB", path.display(), DATABASE_BYTES_MAX >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is no database of MaxMind's format", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MaxMindDbError,
    },
}

/// One database.
pub struct Database {
    path: PathBuf,
    version: Version,
    reader: Reader<Vec<u8>>,
    /// By their places.
    rows: Lately,
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(path: &Path) -> io::Result<Self> {
        let known = fs::metadata(path)?;
        Ok(Self { bytes: known.len(), modified: known.modified().ok() })
    }
}

impl Database {
    /// Reads a database into memory. Blocks on the disk.
    ///
    /// # Errors
    /// [`DatabaseError`] says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, DatabaseError> {
        let unread = |source| DatabaseError::Read { path: path.to_owned(), source };
        let version = Version::of(path).map_err(unread)?;
        let mut bytes = Vec::new();
        // It may grow while it is read.
        let file = File::open(path).map_err(unread)?;
        file.take(DATABASE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > DATABASE_BYTES_MAX {
            return Err(DatabaseError::TooLarge { path: path.to_owned() });
        }
        let reader = Reader::from_source(bytes);
        let reader = reader.map_err(|source| DatabaseError::Format { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), version, reader, rows: Lately::new(ROWS, 0) })
    }

    /// What kind of database it says that it is, and its bytes in memory.
    #[must_use]
    pub fn description(&self) -> (&str, u64) {
        (&self.reader.metadata().database_type, self.version.bytes)
    }

    /// What it says of a network. What it has in no form that is known here it does not say.
    #[must_use]
    pub fn of(&self, network: Network) -> Whereabouts {
        let Ok(found) = self.reader.lookup(network.address()) else { return Whereabouts::default() };
        let Some(place) = found.offset() else { return Whereabouts::default() };
        self.rows.at(place as u64, || {
            let row = found.decode::<Row>();
            row.ok().flatten().map(Whereabouts::from).unwrap_or_default()
        })
    }
}

/// The databases in use.
pub(crate) struct Geography {
    files: Mutex<Vec<PathBuf>>,
    databases: RwLock<Arc<Databases>>,
    /// A number of the directory's own.
    secret: u64,
}

/// Databases, the first of which is asked first, and what they were asked lately.
struct Databases {
    all: Vec<Arc<Database>>,
    /// By network, scrambled: no address is kept.
    found: Lately,
}

impl Geography {
    /// Reads the files that can be read, and logs the others. Blocks on the disk. `seed` is the directory's own secret.
    pub(crate) fn open(files: &[PathBuf], seed: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = blake3::derive_key("ODI 2026-11 geography seed v1", seed);
        let secret = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let none = Databases { all: Vec::new(), found: Lately::new(NETWORKS, secret) };
        let geography = Self { files: Mutex::default(), databases: RwLock::new(Arc::new(none)), secret };
        geography.take(files);
        geography
    }

    /// What the databases say of a network, the first of them first.
    pub(crate) fn of(&self, network: Network) -> Whereabouts {
        let databases = self.databases.read().unwrap_or_else(PoisonError::into_inner);
        if databases.all.is_empty() {
            return Whereabouts::default();
        }
        let [a, b, c, d, e, f, g] = network.to_bytes();
        let number = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        databases.found.at(number, || {
            let mut known = Whereabouts::default();
            for database in &databases.all {
                known.complete(database.of(network));
            }
            known
        })
    }

    fn databases(&self) -> Arc<Databases> {
        Arc::clone(&self.databases.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// These files are the databases from now on; each is read unless it is in memory as it is on the disk. Blocks on the disk.
    pub(crate) fn take(&self, files: &[PathBuf]) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files.to_vec();
        let former = self.databases();
        let databases = files.iter().filter_map(|path| {
            let known = former.all.iter().find(|database| database.path == *path);
            let is_current =
                |known: &&Arc<Database>| Version::of(path).is_ok_and(|version| version == known.version);
            if let Some(known) = known.filter(is_current) {
                return Some(Arc::clone(known));
            }
            match Database::read(path) {
                Ok(database) => {
                    let (kind, bytes) = database.description();
                    tracing::info!(path = %path.display(), kind, bytes, "geography is read");
                    Some(Arc::new(database))
                }
                Err(error) => {
                    tracing::warn!(error = chain::of(&error), "a geographic database is not taken");
                    known.cloned()
                }
            }
        });
        let databases = Databases { all: databases.collect(), found: Lately::new(NETWORKS, self.secret) };
        let databases = Arc::new(databases);
        *self.databases.write().unwrap_or_else(PoisonError::into_inner) = databases;
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether one of the files is another than the one in use.
    fn is_outdated(&self, files: &[PathBuf]) -> bool {
        let databases = self.databases();
        files.iter().any(|path| {
            let known = databases.all.iter().find(|database| database.path == *path);
            Version::of(path).is_ok_and(|version| known.is_none_or(|known| known.version != version))
        })
    }
}

/// Takes up other versions of the files until `stop` is cancelled.
pub(crate) async fn keep_current(directory: Arc<Directory>, stop: CancellationToken) {
    let mut tried: Vec<Option<Version>> = Vec::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let files = directory.geography.files();
        let looking = Arc::clone(&directory);
        tried = off_worker(move || {
            let versions: Vec<Option<Version>> = files.iter().map(|path| Version::of(path).ok()).collect();
            // What could not be taken is tried again when it has changed again.
            if versions != tried && looking.geography.is_outdated(&files) {
                looking.geography.take(&files);
            }
            versions
        })
        .await;
    }
}
