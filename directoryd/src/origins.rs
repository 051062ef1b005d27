//! The origin as the last resort: only where it was seen to have the right bytes, and only so often.
//!
//! A maintainers' server replaces files in place, so a path is proved by content, again every few minutes and after every head, and
//! each time where it was replaced before; what a newer head has replaced is no longer there. What lies under `.odi/blobs/` has
//! its hash in its name and is only looked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, CatalogId, Entry, Timestamp};
use odi_wire::client::{Ask, Guise};
use odi_wire::fetch::Source;
use odi_wire::http::StatusCode;
use odi_wire::http::header::CONTENT_LENGTH;
use odi_wire::off_worker::off_worker;
use odi_wire::serve::Scheme;
use url::Url;

use crate::catalog::Catalog;
use crate::directory::Directory;
use crate::probe::{Spot, Target, Verdict, probe};
use crate::proofs::Proofs;
use crate::throttle::{Pace, TokenBucket};

/// How many clients may be sent to origins.
const PACE: Pace = Pace { burst: 200, per_minute: 1200 };
/// How long a proof lets clients be sent.
const PROVEN_FOR: Duration = Duration::from_secs(300);
/// How long nothing is asked again after it was not there.
const ABSENT_FOR: Duration = Duration::from_secs(15);
/// How long a client waits for a proof.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many redirects of a release host are followed, as relays do.
const REDIRECTS_MAX: usize = 3;

/// What is proved: a blob at a path of a catalog's origin, to clients of a scheme.
type Key = (CatalogId, BlobId, String, Scheme);

/// What is known of origins, and how many more clients may go there.
#[derive(Debug)]
pub(crate) struct Origins {
    bucket: Mutex<TokenBucket>,
    /// The URL that has it, if one does.
    proofs: Proofs<Key, Option<Url>>,
}

impl Origins {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { bucket: Mutex::new(TokenBucket::new(PACE, now)), proofs: Proofs::default() }
    }

    /// Takes a permit to let one client, and a probe for it, go to an origin; or says when to come back.
    pub(crate) fn admit(&self, now: Timestamp) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }

    /// A URL at the origin that was seen to have the entry's bytes lately.
    pub(crate) async fn proven_url(
        &self,
        directory: &Arc<Directory>,
        catalog: &Catalog,
        path: &str,
        entry: &Entry,
        scheme: Scheme,
    ) -> Option<String> {
        let now = directory.clock.now();
        let view = catalog.view();
        let newest = view.adopted().map(|state| state.id);
        let key = (catalog.id(), entry.blob, path.to_owned(), scheme);
        if let Some(known) = self.proofs.known(&key, now, newest) {
            return known.map(String::from);
        }
        let proved = tokio::time::timeout(PATIENCE, prove(directory, catalog, path, entry, scheme));
        let url = proved.await.unwrap_or_default();
        let is_mutable = view.mutable().contains(path);
        let until = match &url {
            // It may be replaced again at any time, and before a head says so.
            Some(_) if is_mutable => now,
            Some(_) => now.plus(PROVEN_FOR),
            None => now.plus(ABSENT_FOR),
        };
        self.proofs.note(key, url.clone(), now, until, newest);
        url.map(String::from)
    }
}

async fn prove(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    path: &str,
    entry: &Entry,
    scheme: Scheme,
) -> Option<Url> {
    let path = ArtifactPath::parse(path).ok()?;
    // Nobody is sent from https to http.
    let fits = |url: &Url| scheme != Scheme::Https || url.scheme() == "https";
    let origin = catalog.origin().filter(|origin| !entry.is_elsewhere() && fits(origin));
    let list = directory.chunk_list(catalog, entry).await;
    let settings = catalog.settings.now();
    // What the catalog names for pulling is there to take the load off the origin.
    let pulled = settings.pull_sources(&path, entry).map(|source| source.url).filter(fits);
    let is_current = is_current(directory, catalog, &path, entry).await;
    let live = origin.iter().filter(|_| is_current).map(|origin| Source::artifact(origin, &path).url);
    for url in pulled.chain(live) {
        // Release hosts lead on to where the bytes are, and clients follow.
        let redirects = if entry.is_elsewhere() { REDIRECTS_MAX } else { 0 };
        let target = Target { url: &url, redirects };
        let how = (&Spot::drawn(entry.size, directory.draw()), Guise::drawn(directory.draw()));
        let verdict = probe(&directory.client, &target, entry, list.as_deref(), how).await;
        if verdict == Verdict::Matched {
            return Some(url);
        }
        tracing::debug!(%url, ?verdict, "it does not have what the catalog says");
    }
    let kept = Source::kept_blob(&origin?, &entry.blob).url;
    has_length(directory, &kept, entry.size).await.then_some(kept)
}

/// Whether the newest head that is known still says that these bytes are there.
async fn is_current(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    path: &ArtifactPath,
    entry: &Entry,
) -> bool {
    let Some(newest) = catalog.view().adopted().map(|state| state.tree) else { return false };
    let (nodes, path, blob) = (directory.nodes.clone(), path.clone(), entry.blob);
    let named = off_worker(move || newest.get(&nodes, path.as_str())).await;
    named.is_ok_and(|named| named.is_some_and(|named| named.blob == blob))
}

async fn has_length(directory: &Directory, url: &Url, size: u64) -> bool {
    let Ok(reply) = directory.client.send(Ask::head(url)).await else { return false };
    let length = reply.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    reply.status == StatusCode::OK && length == Some(size)
}
