//! A follower on a disk of its own, and an origin whose files a test may replace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use odi_fixtures::{PUBLISHED_FROM, PublishedCatalog, Script, ScriptedServer, put};
use odi_manifest::{HeadId, HeadRefusal, Timestamp};
use odi_store::{Ledger, RealDisk, Store, StoreOptions, ledger_folder};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::sync::{Advance, FollowedCatalog, Resolved, SyncClient, SyncError, SyncOutcome, SyncSource};
use tempfile::TempDir;
use url::Url;

/// Within the life of everything that fixtures make.
pub(crate) const NOW: Timestamp = Timestamp(PUBLISHED_FROM.0 + 86_400);

/// A follower on a disk of its own.
pub(crate) struct Follower {
    pub(crate) folder: TempDir,
    pub(crate) client: SyncClient,
    pub(crate) catalog: Option<Arc<FollowedCatalog>>,
    pub(crate) published: PublishedCatalog,
}

impl Follower {
    pub(crate) fn of(published: &PublishedCatalog) -> Self {
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Arc::new(Client::new(policy).unwrap());
        let client = SyncClient::new(Fetcher::new(client, FetchLimits::default()));
        let folder = TempDir::new().unwrap();
        let mut follower = Self { folder, client, catalog: None, published: published.clone() };
        follower.restart();
        follower
    }

    /// Opens store, ledger and catalog, again if they were open.
    pub(crate) fn restart(&mut self) {
        drop(self.catalog.take());
        let store =
            Store::open(Arc::new(RealDisk), &self.folder.path().join("store"), StoreOptions::default());
        let ledger = Ledger::open(Arc::new(RealDisk), &ledger_folder(self.folder.path())).unwrap();
        let catalog = FollowedCatalog::open(self.published.id(), store.unwrap(), Arc::new(ledger), NOW);
        self.catalog = Some(catalog.unwrap());
    }

    pub(crate) fn catalog(&self) -> &Arc<FollowedCatalog> {
        self.catalog.as_ref().unwrap()
    }

    pub(crate) async fn follow(&self, source: &Origin) -> Result<SyncOutcome, SyncError> {
        self.follow_at(source, NOW).await
    }

    pub(crate) async fn follow_at(&self, source: &Origin, now: Timestamp) -> Result<SyncOutcome, SyncError> {
        self.client.follow(self.catalog(), &source.source(), now).await
    }

    /// Follows to a newer head.
    pub(crate) async fn advance(&self, source: &Origin) -> Advance {
        match self.follow(source).await.unwrap() {
            SyncOutcome::Advanced(advance) => advance,
            SyncOutcome::Unchanged => panic!("nothing newer was found"),
        }
    }

    /// Follows into a refusal, and checks that nothing has changed.
    pub(crate) async fn refused(&self, source: &Origin) -> SyncError {
        self.refused_at(source, NOW).await
    }

    pub(crate) async fn refused_at(&self, source: &Origin, now: Timestamp) -> SyncError {
        let before = self.held();
        let error = self.follow_at(source, now).await.unwrap_err();
        assert_eq!(self.held(), before);
        error
    }

    pub(crate) fn held(&self) -> Option<HeadId> {
        self.catalog().state().newest().map(|head| head.id)
    }

    pub(crate) fn resolve(&self, path: &str) -> Resolved {
        self.catalog().state().resolve(&self.catalog().nodes(), path).unwrap()
    }

    /// Every artifact of the newest state, read through the store.
    pub(crate) fn paths(&self) -> Vec<String> {
        let nodes = self.catalog().nodes();
        let tree = self.catalog().state().newest().unwrap().tree;
        tree.iter(&nodes, None).map(|item| item.unwrap().0.to_string()).collect()
    }
}

/// A web server with a catalog's files, which a test may replace at any time.
pub(crate) struct Origin {
    pub(crate) files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub(crate) server: ScriptedServer,
}

impl Origin {
    pub(crate) async fn of(published: &PublishedCatalog) -> Self {
        Self::with(published.files().clone()).await
    }

    pub(crate) async fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        let files = Arc::new(Mutex::new(files));
        let shown = Arc::clone(&files);
        let server = ScriptedServer::start(move |seen| {
            let files = shown.lock().unwrap();
            let file = seen.target.strip_prefix("/debian/.odi/").and_then(|path| files.get(path));
            file.map_or_else(Script::absent, |file| Script::respond(seen, file))
        });
        Self { files, server: server.await.unwrap() }
    }

    pub(crate) fn show(&self, published: &PublishedCatalog) {
        *self.files.lock().unwrap() = published.files().clone();
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        change(&mut self.files.lock().unwrap());
    }

    pub(crate) fn source(&self) -> SyncSource {
        SyncSource::origin(Url::parse(&self.server.url()).unwrap().join("debian").unwrap())
    }

    /// How many requests for items of this folder came.
    pub(crate) fn asked_for(&self, folder: &str) -> usize {
        let prefix = format!("/debian/.odi/{folder}");
        self.server.seen().iter().filter(|seen| seen.target.starts_with(&prefix)).count()
    }
}

pub(crate) fn published(heads: u32) -> PublishedCatalog {
    let mut catalog = PublishedCatalog::new("debian", 1);
    for number in 0..heads {
        catalog.publish(&[
            put("dists/InRelease", &number.to_le_bytes()),
            put(&format!("pool/{number:04}.deb"), b"x"),
        ]);
    }
    catalog
}

pub(crate) fn refusal(error: SyncError) -> HeadRefusal {
    match error {
        SyncError::Head(refusal) => *refusal,
        other => panic!("{other:?} is no refusal of a head"),
    }
}
