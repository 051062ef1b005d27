//! The origin as the last resort: only where it was seen to have the right bytes, and only so often.
//!
//! A maintainers' server replaces files in place, and what lies under `.odi/blobs/` may be a hard link to such a file: both
//! are proved by content, again every few minutes and after every new head. At a path there is what the newest adopted
//! head names; a client of a former state is never sent there for anything else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, CatalogId, Entry, HeadId, Timestamp};
use odi_wire::fetch::Source;
use odi_wire::serve::Scheme;
use url::Url;

use crate::blocking::blocking;
use crate::catalog::Catalog;
use crate::catalog::view::State;
use crate::directory::Directory;
use crate::probe::{Verdict, probe};
use crate::throttle::{Pace, TokenBucket};

/// How many clients may be sent to origins.
const PACE: Pace = Pace { burst: 200, per_minute: 1200 };
/// How long a proof lets clients be sent.
const PROVEN_FOR: Duration = Duration::from_secs(300);
/// How long nothing is asked again after it was not there.
const ABSENT_FOR: Duration = Duration::from_secs(15);
/// How long a client waits for a proof.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most proofs remembered.
const PROOFS_MAX: usize = 10_000;

/// Whether a URL had the bytes, and until when that counts.
#[derive(Clone, Debug)]
struct Proof {
    url: Option<Url>,
    until: Timestamp,
    /// The newest adopted head at that time: what came after it may have replaced files.
    adopted: HeadId,
}

/// What is proved: a blob at a path of a catalog's origin.
type Key = (CatalogId, BlobId, String);

/// What is known of origins, and how many more clients may go there.
#[derive(Debug)]
pub(crate) struct Origins {
    bucket: Mutex<TokenBucket>,
    proofs: Mutex<HashMap<Key, Proof>>,
}

impl Origins {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { bucket: Mutex::new(TokenBucket::new(PACE, now)), proofs: Mutex::default() }
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
        let origin = catalog.origin()?;
        if scheme == Scheme::Https && origin.scheme() != "https" {
            return None;
        }
        let adopted = Arc::clone(catalog.view().adopted()?);
        let now = directory.clock.now();
        let key = (catalog.id(), entry.blob, path.to_owned());
        if let Some(proof) = self.proofs().get(&key).filter(|proof| proof.holds(&adopted.id, now)) {
            return proof.url.as_ref().map(Url::to_string);
        }
        let proved = tokio::time::timeout(PATIENCE, prove(directory, catalog, &adopted, path, entry));
        let url = proved.await.unwrap_or_default();
        if catalog.view().adopted().is_none_or(|newest| newest.id != adopted.id) {
            // Files may have been replaced meanwhile: the client comes again.
            return None;
        }
        let until = now.plus(if url.is_some() { PROVEN_FOR } else { ABSENT_FOR });
        let mut proofs = self.proofs();
        if proofs.len() >= PROOFS_MAX {
            proofs.retain(|_, proof| now < proof.until);
        }
        if proofs.len() >= PROOFS_MAX {
            proofs.clear();
        }
        proofs.insert(key, Proof { url: url.clone(), until, adopted: adopted.id });
        url.map(String::from)
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<Key, Proof>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proof {
    fn holds(&self, adopted: &HeadId, now: Timestamp) -> bool {
        now < self.until && self.adopted == *adopted
    }
}

async fn prove(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    adopted: &Arc<State>,
    path: &str,
    entry: &Entry,
) -> Option<Url> {
    let (origin, path) = (catalog.origin()?, ArtifactPath::parse(path).ok()?);
    let list = directory.chunk_list(catalog, entry).await;
    let (nodes, tree, asked) = (directory.nodes.clone(), adopted.tree, path.clone());
    let named = blocking(move || tree.get(&nodes, asked.as_str())).await.ok()?;
    let at_path =
        named.is_some_and(|named| named.blob == entry.blob).then(|| Source::artifact(&origin, &path).url);
    for url in at_path.into_iter().chain([Source::kept_blob(&origin, &entry.blob).url]) {
        let verdict = probe(&directory.client, &url, entry, list.as_deref(), directory.draw()).await;
        if verdict == Verdict::Matched {
            return Some(url);
        }
        tracing::debug!(%url, ?verdict, "the origin does not have what the catalog says");
    }
    None
}
