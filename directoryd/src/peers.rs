//! Other directories: every configured catalog is followed at each of them as well as at its origin, so that an origin that is gone,
//! or that only one directory can reach, stops nobody.
//!
//! A peer is believed nothing: what it shows is judged by the catalog's own signatures, like anybody's. Its configured key only
//! says that it is the one that was meant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::chain;
use odi_wire::client::{Ask, Client};
use odi_wire::message::{DOCUMENT_BYTES_MAX, DaemonKind, PeerStatus, WellKnown, from_json};
use odi_wire::route::WELL_KNOWN;
use odi_wire::sync::SyncSource;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::catalog::{Catalog, follow};
use crate::config::PeerConfig;
use crate::directory::Directory;

/// How long a peer is asked to hold its answer until there is news.
const LONG_POLL: Duration = Duration::from_secs(50);
/// How often a peer is asked whether it has a catalog by now.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// After a failure a peer is asked again this late, then twice as late each time up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// Another directory.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) url: Url,
    key: Option<PublicKey>,
    standing: Mutex<Standing>,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    /// Who answered there last.
    id: Option<PublicKey>,
    heard: Option<Timestamp>,
    /// By catalog: one that it refuses says nothing of the others.
    faults: BTreeMap<CatalogId, String>,
}

/// What came of a look at a peer.
enum Looked {
    /// It answered about the catalog.
    Heard,
    /// It does not have the catalog, as not every directory has every one.
    NotOffered,
}

impl Peer {
    /// One of the configuration.
    pub(crate) fn new(configured: &PeerConfig) -> Self {
        Self { url: configured.url.clone(), key: configured.key, standing: Mutex::default() }
    }

    /// How it is doing, for people and tools.
    pub(crate) fn status(&self) -> PeerStatus {
        let Standing { id, heard, faults } = self.standing().clone();
        PeerStatus { url: self.url.to_string(), id, heard, fault: faults.into_values().next() }
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the directory that was meant answers there; what it says of itself.
    async fn identify(&self, directory: &Directory) -> Result<WellKnown, String> {
        let said = introduced(&directory.client, &self.url, self.key).await?;
        if said.id == directory.id {
            return Err("that is this directory itself".to_owned());
        }
        let mut standing = self.standing();
        (standing.id, standing.heard) = (Some(said.id), Some(directory.clock.now()));
        drop(standing);
        Ok(said)
    }

    fn heard(&self, catalog: &Catalog, now: Timestamp) {
        let mut standing = self.standing();
        standing.heard = Some(now);
        standing.faults.remove(&catalog.id());
    }

    /// Notes why a catalog is not followed here; told once as long as it stays the same.
    fn failed(&self, catalog: &Catalog, fault: String) {
        let mut standing = self.standing();
        if standing.faults.get(&catalog.id()) != Some(&fault) {
            tracing::warn!(peer = %self.url, catalog = %catalog.name(), fault, "a peer is not followed");
        }
        standing.faults.insert(catalog.id(), fault);
    }
}

/// What the directory at a URL says of itself, if it is the one of that key.
pub(crate) async fn introduced(
    client: &Client,
    url: &Url,
    key: Option<PublicKey>,
) -> Result<WellKnown, String> {
    let url = url.join(WELL_KNOWN).map_err(|error| error.to_string())?;
    let ask = Ask::get(&url).reply_bytes_max(DOCUMENT_BYTES_MAX as u64);
    let reply = client.send(ask).await.map_err(|error| chain::innermost(&error))?;
    if !reply.status.is_success() {
        return Err(format!("it answers {}, which no directory does", reply.status));
    }
    let bytes = reply.body.collect().await.map_err(|error| chain::innermost(&error))?;
    let said: WellKnown = from_json(&bytes, "a daemon's introduction").map_err(|error| chain::of(&error))?;
    if said.kind != DaemonKind::Directory {
        return Err("a relay answers there, and no directory".to_owned());
    }
    match key.filter(|key| *key != said.id) {
        Some(_) => Err(format!("another directory answers there: {}", said.id)),
        None => Ok(said),
    }
}

/// Follows one catalog at one peer until `stop` is cancelled.
pub(crate) async fn follow(
    directory: Arc<Directory>,
    catalog: Arc<Catalog>,
    peer: Arc<Peer>,
    stop: CancellationToken,
) {
    let mut retry = RETRY.0;
    let mut is_known = false;
    loop {
        let look = look(&directory, &catalog, &peer, &mut is_known);
        let Some(looked) = stop.run_until_cancelled(look).await else { return };
        let (pause, next) = match looked {
            Ok(looked) => {
                peer.heard(&catalog, directory.clock.now());
                (if matches!(looked, Looked::Heard) { Duration::ZERO } else { ASK_AGAIN }, RETRY.0)
            }
            Err(fault) => {
                is_known = false;
                peer.failed(&catalog, fault);
                (retry, (retry * 2).min(RETRY.1))
            }
        };
        retry = next;
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Waits for news at a peer and takes it.
async fn look(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    peer: &Peer,
    is_known: &mut bool,
) -> Result<Looked, String> {
    if !*is_known {
        let said = peer.identify(directory).await?;
        if said.catalogs.iter().all(|served| served.id != catalog.id()) {
            return Ok(Looked::NotOffered);
        }
        *is_known = true;
        // Known as soon as it is there, not when there is news.
        peer.heard(catalog, directory.clock.now());
    }
    let source = SyncSource::directory(peer.url.clone(), &catalog.id());
    let waiting = source.clone().waiting(LONG_POLL);
    // Without the catalog's lock: the origin and pushes go on meanwhile.
    let has_news = directory.sync.has_news(catalog.followed(), &waiting).await;
    if !has_news.map_err(|error| chain::of(&error))? {
        return Ok(Looked::Heard);
    }
    let before = newest(catalog);
    follow::advance(directory, catalog, &source).await.map_err(|error| chain::of(&error))?;
    if newest(catalog) == before {
        // Else it would be asked again at once, for ever.
        return Err("it shows another head that is not newer".to_owned());
    }
    Ok(Looked::Heard)
}

fn newest(catalog: &Catalog) -> Option<odi_manifest::HeadId> {
    catalog.followed().state().newest().map(|head| head.id)
}
