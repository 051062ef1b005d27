//! Whom a catalog is followed at: an origin's static files or a directory's API, the same layout in both.

use std::time::Duration;

use odi_manifest::{BlobId, CatalogId};
use url::Url;

use crate::fetch::{Source, layout_at};
use crate::layout::{LayoutPath, ORIGIN_FOLDER, api_base};
use crate::route::encode_query;

/// What kind of party answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Origin,
    Directory,
}

/// One place that has a catalog's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSource {
    base: Url,
    folder: String,
    kind: Kind,
    wait: Duration,
}

impl SyncSource {
    /// The web server of the maintainers; `tree` is the URL of the published tree.
    #[must_use]
    pub fn origin(tree: Url) -> Self {
        Self { base: tree, folder: ORIGIN_FOLDER.to_owned(), kind: Kind::Origin, wait: Duration::ZERO }
    }

    /// A directory, by its base URL.
    #[must_use]
    pub fn directory(base: Url, catalog: &CatalogId) -> Self {
        Self { base, folder: api_base(catalog), kind: Kind::Directory, wait: Duration::ZERO }
    }

    /// The same, asking the directory to hold its answer for up to this long until there is a newer head than the
    /// one held. An origin has static files and is asked as ever.
    #[must_use]
    pub const fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The base URL, for messages.
    #[must_use]
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// Whether single nodes can be asked for.
    pub(crate) fn has_nodes(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Where an item lies.
    pub(crate) fn item(&self, item: LayoutPath) -> Source {
        self.place(layout_at(&self.base, &self.folder, item))
    }

    /// Where the rest of an item lies, behind what was received up to a path. Directories only: an origin has files.
    pub(crate) fn item_after(&self, item: LayoutPath, after: &str) -> Source {
        let mut source = self.item(item);
        source.url.set_query(Some(&format!("after={}", encode_query(after))));
        source
    }

    /// Where the newest head lies; `held` is the sequence number of the head held.
    pub(crate) fn head(&self, held: Option<u64>) -> (Source, Duration) {
        let mut source = self.item(LayoutPath::Head);
        let wait = if self.kind == Kind::Directory { self.wait } else { Duration::ZERO };
        if let Some(seq) = held.filter(|_| !wait.is_zero()) {
            source.url.set_query(Some(&format!("after={seq}&wait={}", wait.as_secs())));
        }
        (source, wait)
    }

    /// Where a directory testifies; `unlike` is the hash of the answer that is known, for which it is asked to wait.
    pub(super) fn testimony(&self, unlike: Option<&BlobId>) -> (Source, Duration) {
        let mut source = self.item(LayoutPath::Testimony);
        let Some(unlike) = unlike.filter(|_| !self.wait.is_zero()) else { return (source, Duration::ZERO) };
        source.url.set_query(Some(&format!("unlike={unlike}&wait={}", self.wait.as_secs())));
        (source, self.wait)
    }

    fn place(&self, url: Url) -> Source {
        match self.kind {
            Kind::Origin => Source::origin(url),
            Kind::Directory => Source::peer(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_is_asked_to_wait() {
        let url = Url::parse("http://h/debian").unwrap();
        let catalog = CatalogId::of(b"root");
        let minute = Duration::from_secs(60);
        let origin = SyncSource::origin(url.clone()).waiting(minute);
        assert_eq!(origin.head(Some(7)).0.url.as_str(), "http://h/debian/.odi/head");
        let directory = SyncSource::directory(url, &catalog).waiting(minute);
        let asked = directory.head(Some(7)).0.url;
        assert_eq!(asked.as_str(), format!("http://h/debian/odi/v1/catalogs/{catalog}/head?after=7&wait=60"));
        assert_eq!(directory.head(None).0.url.query(), None);
        let said = BlobId::of(b"an answer");
        let asked = directory.testimony(Some(&said));
        assert_eq!(asked.0.url.query(), Some(format!("unlike={said}&wait=60").as_str()));
        assert_eq!((directory.testimony(None).0.url.query(), asked.1), (None, minute));
    }
}
