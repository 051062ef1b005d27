//! What a fill is asked for.

use std::sync::Arc;

use odi_manifest::{ArtifactPath, Entry, HeadId, Pin};
use odi_wire::fetch::{Party, Source as Place, Wanted};
use odi_wire::sync::RetainedHead;
use url::Url;

use crate::catalog::Catalog;
use odi_wire::denylist::Denylist;

/// A blob to fetch, and how it is known.
#[derive(Clone, Debug)]
pub struct Job {
    /// The catalog that names it.
    pub catalog: Arc<Catalog>,
    /// The head under which it was looked up.
    pub pin: Pin,
    /// Base URLs of that head's origins, as signed.
    pub origins: Vec<Url>,
    /// Where else the catalog says that this path may be pulled from.
    pub pulls: Vec<Place>,
    /// Whether the origins do not have it at all.
    pub elsewhere: bool,
    /// Its path under that head.
    pub path: ArtifactPath,
    /// What the catalog says about it.
    pub wanted: Wanted,
    /// Whether only a client asked for it: it counts against [`MissBudget`] from the moment it is queued.
    pub(super) stranger: bool,
}

impl Job {
    /// A job for an entry of a head.
    #[must_use]
    pub fn new(catalog: &Arc<Catalog>, head: &RetainedHead, path: ArtifactPath, entry: &Entry) -> Self {
        let origin =
            |text: &String| Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let pulls = catalog.settings.now().pull_sources(&path, entry).collect();
        Self {
            catalog: Arc::clone(catalog),
            pin: head.pin,
            pulls,
            elsewhere: entry.is_elsewhere(),
            origins: head.head.origins.iter().filter_map(origin).collect(),
            path,
            wanted: Wanted { blob: entry.blob, size: entry.size, sha256: Some(entry.sha256) },
            stranger: false,
        }
    }

    /// Where the maintainers themselves have it: where they say it may be pulled from, their tree, what they keep of it.
    pub(super) fn at_origins(&self) -> Vec<Place> {
        let origins = if self.elsewhere { &[][..] } else { &self.origins };
        let at_path = origins.iter().map(|origin| Place::artifact(origin, &self.path));
        let kept = origins.iter().map(|origin| Place::kept_blob(origin, &self.wanted.blob));
        self.pulls.iter().cloned().chain(at_path).chain(kept).collect()
    }

    /// Whether somebody is the maintainers' server, whose files may change without anybody lying.
    pub(super) fn is_origin(&self, party: &Party) -> bool {
        let pulls = self.pulls.iter().map(|place| &place.url);
        self.origins.iter().chain(pulls).any(|url| Party::of(url) == *party)
    }

    /// Whether the catalog has withdrawn the entry since the job was made.
    pub(super) fn is_withdrawn(&self) -> bool {
        let state = self.catalog.state();
        let revoked = state.revocations();
        revoked
            .is_some_and(|list| list.revokes(self.path.as_str(), &self.wanted.blob, self.pin.seq()).is_some())
    }

    /// Whether the operator denies it.
    pub(super) fn is_denied(&self, list: &Denylist) -> bool {
        list.denies_content(&self.wanted.blob, self.wanted.sha256.as_ref())
            || list.denies_path(self.catalog.name.as_str(), self.path.as_str())
    }

    /// The head under which the blob was looked up, for as long as it is served.
    pub(super) fn head(&self) -> Option<HeadId> {
        self.catalog.state().pinned(&self.pin).map(|head| head.id)
    }
}
