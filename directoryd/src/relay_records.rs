//! The proved registrations on disk, one file per relay, so that a restart forgets neither their generations nor the
//! keys they share with this directory: `data_dir/relays/{key}.json`, mode 0600.
//!
//! Only proved registrations are written, before they count, each with how far its relay's trial has come. Leases are not: whoever lives announces itself within 20 s.
//! A file that does not read is set aside by name and logged; its relay registers again.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use odi_manifest::PublicKey;
use odi_wire::message::{CatalogPattern, DerivedKey, PublicUrl, RelayPlace};
use odi_wire::private_file;
use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::roster::{Registration, Stage};

/// A record longer than this is not ours.
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// The folder of records.
#[derive(Clone, Debug)]
pub(crate) struct RelayRecords {
    folder: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    relay: PublicKey,
    generation: u64,
    network: IpAddr,
    urls: Vec<PublicUrl>,
    request_key: String,
    answer_key: String,
    catalogs: Vec<CatalogPattern>,
    tags: Vec<String>,
    disk: u64,
    rate: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<RelayPlace>,
    /// Absent in records from before there was a self-test.
    #[serde(default = "untested")]
    stage: Stage,
    /// Absent in records from before farewells were kept.
    #[serde(default)]
    left: bool,
}

/// A record that reads.
pub(crate) struct Kept {
    pub(crate) registration: Registration,
    pub(crate) network: Network,
    pub(crate) stage: Stage,
    /// It said farewell.
    pub(crate) left: bool,
}

const fn untested() -> Stage {
    Stage::Untested
}

impl RelayRecords {
    /// Opens the folder, made if absent.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("relays");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Every record that reads.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(crate) fn load(&self) -> io::Result<Vec<Kept>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Some(record) => records.push(record),
                None => {
                    tracing::warn!(path = %path.display(), "a relay's record does not read; it has to register again")
                }
            }
        }
        Ok(records)
    }

    /// Writes a proved registration; durable once this returns.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn put(&self, kept: &Kept) -> io::Result<()> {
        let registration = &kept.registration;
        let record = Record {
            relay: registration.relay,
            generation: registration.generation,
            network: kept.network.address(),
            urls: registration.urls.clone(),
            request_key: HEXLOWER.encode(registration.request_key.expose()),
            answer_key: HEXLOWER.encode(registration.answer_key.expose()),
            catalogs: registration.catalogs.clone(),
            tags: registration.tags.clone(),
            disk: registration.disk,
            rate: registration.rate,
            place: registration.place.clone(),
            stage: kept.stage,
            left: kept.left,
        };
        let bytes = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
        private_file::replace(&self.path(&registration.relay), &bytes)
    }

    /// Forgets a relay.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn remove(&self, relay: &PublicKey) -> io::Result<()> {
        private_file::remove(&self.path(relay))
    }

    fn path(&self, relay: &PublicKey) -> PathBuf {
        self.folder.join(format!("{}.json", relay.to_hex()))
    }
}

fn read(path: &Path) -> Option<Kept> {
    if fs::metadata(path).ok()?.len() > RECORD_BYTES_MAX {
        return None;
    }
    let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let key =
        |text: &str| Some(DerivedKey::from_bytes(HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()?));
    let registration = Registration {
        relay: record.relay,
        generation: record.generation,
        urls: record.urls,
        request_key: key(&record.request_key)?,
        answer_key: key(&record.answer_key)?,
        catalogs: record.catalogs,
        tags: record.tags,
        disk: record.disk,
        rate: record.rate,
        place: record.place,
    };
    let (network, stage, left) = (Network::of(record.network), record.stage, record.left);
    Some(Kept { registration, network, stage, left })
}
