//! Other directories: every configured catalog is followed at each of them as well as at its origin, so that an origin that is gone,
//! or that only one directory can reach, stops nobody.
//!
//! A peer is believed nothing: what it shows is judged by the catalog's own signatures, like anybody's. Its configured key only
//! says that it is the one that was meant.

mod compared;
mod missed;
pub(crate) mod passing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, Mark, PublicKey, Timestamp};
use odi_wire::chain;
use odi_wire::client::{Ask, Client};
use odi_wire::message::{DOCUMENT_BYTES_MAX, DaemonKind, PeerDifference, PeerStatus, WellKnown, from_json};
use odi_wire::route::WELL_KNOWN;
use odi_wire::sync::{SyncError, SyncSource, Testified};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::catalog::{Catalog, follow};
use crate::config::PeerConfig;
use crate::directory::Directory;
use compared::Shown;
use passing::Passing;

/// How long a peer is asked to hold its answer until there is news.
const LONG_POLL: Duration = Duration::from_secs(50);
/// How often a peer is asked whether it has a catalog by now.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How long after an answer the next one is asked for, so that a peer that never waits is not asked without end.
const PACE: Duration = Duration::from_millis(100);
/// How long a peer may show another head before the operator is told.
const LAG: Duration = Duration::from_secs(60);
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
    /// Catalogs of which it has said all that it has to say since the start.
    told: BTreeSet<CatalogId>,
    /// What it showed last of each catalog.
    shown: BTreeMap<CatalogId, Shown>,
    /// Since when it differed, by the catalog's name, when the operator was last told so.
    warned: BTreeMap<String, Timestamp>,
    /// How many relays' statements came through it.
    passed: u64,
    /// Why what it passes on is not taken.
    passing_faults: BTreeMap<Passing, String>,
}

/// What came of a look at a peer.
enum Looked {
    /// It answered about the catalog; the hash of its testimony.
    Heard(BlobId),
    /// It does not have the catalog, as not every directory has every one.
    NotOffered,
}

impl Peer {
    /// One of the configuration.
    pub(crate) fn new(configured: &PeerConfig) -> Self {
        Self { url: configured.url.clone(), key: configured.key, standing: Mutex::default() }
    }

    /// How it is doing, for people and tools.
    pub(crate) fn status(&self, directory: &Directory) -> PeerStatus {
        let Standing { id, heard, faults, shown, passed, passing_faults, .. } = self.standing().clone();
        let configured = directory.configured.now();
        let answered = configured.values().filter(|catalog| !faults.contains_key(&catalog.id()));
        let differs = answered.filter_map(|catalog| difference(catalog, shown.get(&catalog.id())?)).collect();
        PeerStatus {
            url: self.url.to_string(),
            id,
            heard,
            fault: faults.into_values().next(),
            differs,
            passed,
            passing_fault: passing_faults.into_values().next(),
        }
    }

    /// Whose word it is that counts as this peer's: of the key that was configured, else of who answers there.
    pub(crate) fn id(&self) -> Option<PublicKey> {
        self.key.or_else(|| self.standing().id)
    }

    /// Tells the operator, once each time, of catalogs whose newer heads do not come to this directory, or are kept back there.
    pub(crate) fn warn_of_lags(&self, directory: &Directory, now: Timestamp) {
        let status = self.status(directory);
        let mut standing = self.standing();
        for lag in status.differs.iter().filter(|differs| now.since(differs.since) >= LAG) {
            if standing.warned.insert(lag.catalog.clone(), lag.since) != Some(lag.since) {
                let PeerDifference { seq: shows, here, since, kind, .. } = lag;
                tracing::warn!(peer = %self.url, catalog = lag.catalog, shows, here, %since, ?kind, "a peer shows another head than is known here");
            }
        }
    }

    fn shows(&self, catalog: &Catalog, testified: &Testified, now: Timestamp) {
        let head = testified.head();
        let place = head.as_ref().map_or((0, 0), |head| (head.claims().epoch, head.claims().seq));
        let head = head.map(|head| head.id());
        let shown = &mut self.standing().shown;
        let before = shown.get(&catalog.id()).copied();
        shown.insert(catalog.id(), Shown::then(before, place, head, now));
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

    /// Whether it has said, since the start, all that it has to say of a catalog.
    pub(crate) fn has_told_of(&self, catalog: &CatalogId) -> bool {
        self.standing().told.contains(catalog)
    }

    fn heard(&self, catalog: &Catalog, now: Timestamp) {
        let mut standing = self.standing();
        standing.heard = Some(now);
        standing.faults.remove(&catalog.id());
        standing.told.insert(catalog.id());
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

/// How what a peer shows differs from what is held here.
fn difference(catalog: &Catalog, shown: &Shown) -> Option<PeerDifference> {
    let recorded = catalog.recorded()?;
    let held = Mark::of(&recorded.trust, recorded.standing()?);
    let view = catalog.view();
    let adopted = view.known().map(|state| (Mark::of(&recorded.trust, &state.head).place(), state.adopted));
    let (kind, since) = compared::difference(shown, &held, adopted)?;
    Some(PeerDifference {
        catalog: catalog.name().to_string(),
        kind,
        seq: shown.place.1,
        here: held.seq,
        since,
    })
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
    let mut known = None;
    loop {
        let look = look(&directory, &catalog, &peer, known);
        let Some(looked) = stop.run_until_cancelled(look).await else { return };
        let pause = match looked {
            Ok(looked) => {
                peer.heard(&catalog, directory.clock.now());
                directory.to_witness.notify_one();
                retry = RETRY.0;
                known = match looked {
                    Looked::Heard(hash) => Some(hash),
                    Looked::NotOffered => None,
                };
                if known.is_some() { PACE } else { ASK_AGAIN }
            }
            Err(fault) => {
                known = None;
                peer.failed(&catalog, fault);
                let pause = retry;
                retry = (retry * 2).min(RETRY.1);
                pause
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Waits until a peer testifies something else than is known, and takes what is news in it.
async fn look(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    peer: &Peer,
    known: Option<BlobId>,
) -> Result<Looked, String> {
    if known.is_none() {
        let said = peer.identify(directory).await?;
        if said.catalogs.iter().all(|served| served.id != catalog.id()) {
            return Ok(Looked::NotOffered);
        }
    }
    let source = SyncSource::directory(peer.url.clone(), &catalog.id());
    let waiting = source.clone().waiting(LONG_POLL);
    // Without the catalog's lock: the origin and pushes go on meanwhile.
    let testified = directory.sync.testimony(&waiting, known.as_ref()).await;
    let Some(testified) = testified.map_err(|error| chain::of(&error))? else {
        return known.map(Looked::Heard).ok_or_else(|| "it says nothing of the catalog".to_owned());
    };
    peer.shows(catalog, &testified, directory.clock.now());
    let adopted = if may_be_news(catalog, &testified) {
        match follow::advance(directory, catalog, &source).await {
            // That is the keys' fault and no peer's. The proof is kept, and told of.
            Ok(()) | Err(SyncError::Equivocation { .. }) => Ok(()),
            Err(error) => Err(chain::of(&error)),
        }
    } else {
        Ok(())
    };
    // A head that is refused, or not to be had whole, does not make what others vouch for worth less.
    take_words(directory, catalog, &source, &testified).await?;
    adopted.map(|()| Looked::Heard(testified.hash))
}

/// Whether it claims a newer root, or another head than ours and not below it.
fn may_be_news(catalog: &Catalog, testified: &Testified) -> bool {
    let Some(recorded) = catalog.recorded() else { return true };
    if testified.testimony.rver > recorded.trust.root().version {
        return true;
    }
    let Some(head) = testified.head() else { return false };
    let held = recorded.standing().map(|held| Mark::of(&recorded.trust, held));
    let place = (head.claims().epoch, head.claims().seq);
    held.is_none_or(|held| place >= held.place() && head.id() != held.head)
}

/// Keeps who vouches for what, and proofs against the catalog's keys.
async fn take_words(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    source: &SyncSource,
    testified: &Testified,
) -> Result<(), String> {
    let (sync, now) = (&directory.sync, directory.clock.now());
    let words = sync.keep_cosignatures(catalog.followed(), &testified.testimony, now).await;
    if words.map_err(|error| chain::of(&error))? > 0 {
        catalog.told_more();
    }
    let proofs = sync.keep_proofs(catalog.followed(), source, &testified.testimony).await;
    catalog.look_for_proofs();
    proofs.map(drop).map_err(|error| chain::of(&error))
}
