//! Plain HTTP mirrors of a catalog, which the operator names: where no relay holds an artifact, clients go to one that a recent
//! probe saw to have exactly its bytes, and only then to the origin. So a network of mirrors can move over one mirror at a time.
//!
//! Invariants
//! - Nobody is sent to a file of which this directory has not compared a piece with the manifest within [`PROVEN_FOR`], nor for a path
//!   that maintainers replace in place, nor for what the newest head no longer names: mirrors follow at their own pace.
//! - Never from https to http.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, Entry, Timestamp};
use odi_wire::client::Guise;
use odi_wire::fetch::Source;
use odi_wire::serve::Scheme;
use url::Url;

use crate::catalog::Catalog;
use crate::config::MirrorConfig;
use crate::directory::Directory;
use crate::network::Network;
use crate::origins;
use crate::probe::{Spot, Target, Verdict, probe};
use crate::proofs::Proofs;
use crate::throttle::{Pace, TokenBucket};

/// How often mirrors are probed, all of them together.
const PACE: Pace = Pace { burst: 100, per_minute: 600 };
/// How long a proof lets clients be sent. A mirror that died meanwhile costs them that long.
const PROVEN_FOR: Duration = Duration::from_secs(60);
/// How long a mirror is not asked again for what it did not have: it may be syncing.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// How long a client waits for a proof of one mirror.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many mirrors are asked for one client.
const ASKED_MAX: usize = 3;
/// Mirrors lead on to https, or to another name of theirs.
const REDIRECTS_MAX: usize = 2;

/// What a mirror was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    url: Url,
    blob: BlobId,
}

/// What is known of mirrors.
#[derive(Debug)]
pub(crate) struct Mirrors {
    bucket: Mutex<TokenBucket>,
    /// Whether a mirror has it.
    proofs: Proofs<Key, bool>,
}

impl Mirrors {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { bucket: Mutex::new(TokenBucket::new(PACE, now)), proofs: Proofs::default() }
    }

    /// A URL at a mirror that was seen to have the entry's bytes lately, for a client of a network and a scheme.
    pub(crate) async fn proven_url(
        &self,
        directory: &Arc<Directory>,
        catalog: &Catalog,
        (path, entry): (&str, &Entry),
        (network, scheme): (Network, Scheme),
    ) -> Option<String> {
        let config = catalog.config();
        let view = catalog.view();
        let newest = view.adopted()?;
        let parsed = ArtifactPath::parse(path).ok()?;
        if config.mirrors.is_empty() || entry.is_elsewhere() || view.mutable().contains(path) {
            return None;
        }
        for mirror in in_order(&config.mirrors, network, scheme).into_iter().take(ASKED_MAX) {
            let key = Key { url: Source::artifact(&mirror.url, &parsed).url, blob: entry.blob };
            let now = directory.clock.now();
            let has_it = match self.proofs.known(&key, now, Some(newest.id)) {
                Some(has_it) => has_it,
                None if !self.may_probe(now) => false,
                None if !origins::is_current(directory, catalog, &parsed, entry).await => return None,
                None => {
                    let has_it = prove(directory, catalog, (&mirror.url, &key.url), entry).await;
                    let until = now.plus(if has_it { PROVEN_FOR } else { ABSENT_FOR });
                    self.proofs.note(key.clone(), has_it, now, until, Some(newest.id));
                    has_it
                }
            };
            if has_it {
                return Some(key.url.into());
            }
        }
        None
    }

    fn may_probe(&self, now: Timestamp) -> bool {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now).is_ok()
    }
}

/// Whether a mirror has an entry's bytes at a URL. What to compare a large file with comes from there too, if it copies the whole tree:
/// the origin may be away.
async fn prove(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    (base, url): (&Url, &Url),
    entry: &Entry,
) -> bool {
    let look = async {
        let list = match directory.chunk_list_at(base, entry).await {
            None => directory.chunk_list(catalog, entry).await,
            found => found,
        };
        let target = Target { url, redirects: REDIRECTS_MAX };
        let how = (&Spot::drawn(entry.size, directory.draw()), Guise::drawn(directory.draw()));
        probe(&directory.client, &target, entry, list.as_deref(), how).await
    };
    let verdict = tokio::time::timeout(PATIENCE, look).await;
    if verdict.as_ref().is_ok_and(|verdict| *verdict == Verdict::Matched) {
        return true;
    }
    tracing::debug!(%url, ?verdict, "this mirror does not have what the catalog says");
    false
}

/// The mirrors that clients may be sent to, each network's own first one first: a client stays with it, and networks spread.
fn in_order(mirrors: &[MirrorConfig], network: Network, scheme: Scheme) -> Vec<&MirrorConfig> {
    let fits = |mirror: &&MirrorConfig| {
        mirror.redirect && (scheme != Scheme::Https || mirror.url.scheme() == "https")
    };
    let mut fitting: Vec<&MirrorConfig> = mirrors.iter().filter(fits).collect();
    fitting.sort_by_cached_key(|mirror| {
        let mut hasher = DefaultHasher::new();
        (network, mirror.url.as_str()).hash(&mut hasher);
        hasher.finish()
    });
    fitting
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn mirror(url: &str, redirect: bool) -> MirrorConfig {
        MirrorConfig { url: url.parse().unwrap(), redirect }
    }

    #[test]
    fn networks_spread_and_stay_and_nobody_leaves_https() {
        let mirrors = [
            mirror("https://a.example/d/", true),
            mirror("http://b.example/d/", true),
            mirror("https://c.example/d/", true),
            mirror("https://source-only.example/d/", false),
        ];
        let of = |last: u8, scheme| in_order(&mirrors, Network::of([192, 0, last, 1].into()), scheme);
        let firsts: HashSet<&str> =
            (0..50).filter_map(|last| Some(of(last, Scheme::Http).first()?.url.as_str())).collect();
        assert_eq!(firsts.len(), 3, "each mirror is somebody's first: {firsts:?}");
        assert_eq!(of(7, Scheme::Http), of(7, Scheme::Http));
        assert_eq!(of(7, Scheme::Https).len(), 2);
    }
}
