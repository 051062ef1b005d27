//! From a place in a catalog to an answer: artifact, folder, redirect on this host, or refusal.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{ArtifactPath, Child, Entry, Nodes, NodesError, Pin};
use odi_store::Store;
use odi_wire::catalog_settings::CatalogSettings;
use odi_wire::fetch::Pull;
use odi_wire::file_response::{Caching, FileMeta};
use odi_wire::http::StatusCode;
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::route::{Place, Query, StateName, encode_path, encode_query, pinned_path};
use odi_wire::serve::{Request, Response};
use odi_wire::sync::{CatalogState, Resolved, RetainedHead};

use super::body::Rescue;
use super::{body, documents, pulled};
use crate::catalog::Catalog;
use crate::fill::Job;
use crate::flight::Stage;
use crate::relay::Relay;

/// Children on one page of a folder.
const PAGE: usize = 1000;
/// How long a client waits for the first chunk of a miss before it is sent away.
const FIRST_CHUNK: Duration = Duration::from_secs(30);
/// When to come back after a miss that could not be filled.
const RETRY: Duration = Duration::from_secs(10);

/// What a path means under one head.
enum Meaning {
    /// An artifact, and its path if that is not the place: a folder's own page.
    Artifact(Box<Entry>, Option<ArtifactPath>),
    Folder(Vec<Child>, Option<String>),
    /// A folder whose slash the caller left out.
    FolderWithoutSlash,
    Nothing,
    Withdrawn,
}

/// `/{name}/{path}`: the newest state that is held whole, as a plain mirror would show it.
pub(super) async fn newest(
    relay: &Relay,
    request: &Request,
    catalog: &Arc<Catalog>,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    if *place == Place::Slashless {
        return Response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("/{}/", catalog.name));
    }
    let state = catalog.state();
    let head = catalog.accounts().shown(&state).cloned().ok_or_else(not_synced)?;
    let asked = Asked { catalog, state: &state, head: &head, place, query, caching: Caching::Unpinned };
    asked.answer(relay, request).await
}

/// `/{pin}/{path}`: one state of one catalog.
pub(super) async fn pinned(
    relay: &Relay,
    request: &Request,
    pin: &Pin,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    if *place == Place::Slashless {
        return Response::redirect(StatusCode::MOVED_PERMANENTLY, &pinned_path(pin, ""));
    }
    if relay.catalogs.pinned(pin).is_none() && Pull::of(&request.headers).is_some() {
        pulled::unknown_pin(relay, pin).await?;
    }
    let Some((catalog, state, head)) = relay.catalogs.pinned(pin) else {
        // A pull that got past the look above is ahead of this relay.
        return if Pull::of(&request.headers).is_some() {
            Ok(pulled::coming())
        } else {
            Err(Refusal::NotFound)
        };
    };
    let asked =
        Asked { catalog: &catalog, state: &state, head: &head, place, query, caching: Caching::Pinned };
    asked.answer(relay, request).await
}

/// `/{name}@{seq or label}/{path}`: a look-up, then a redirect to the pin on this host.
pub(super) fn redirect_to_pin(
    catalog: &Catalog,
    state: &StateName,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    let now = catalog.state();
    now.newest().ok_or_else(not_synced)?;
    let seq = match state {
        StateName::Seq(seq) => Some(*seq),
        StateName::Label(label) => now.labelled(label),
    };
    let pin = seq.and_then(|seq| now.by_seq(seq)).ok_or(Refusal::NotFound)?.pin;
    let folder = matches!(place, Place::Folder(Some(_)));
    let path = if folder { format!("{}/", place.as_str()) } else { place.as_str().to_owned() };
    let mut location = pinned_path(&pin, &path);
    let after = query.after.as_ref().map(|after| format!("after={}", encode_query(after)));
    let kept: Vec<String> = query.json.then(|| "json".to_owned()).into_iter().chain(after).collect();
    if !kept.is_empty() {
        location.push_str(&format!("?{}", kept.join("&")));
    }
    Response::redirect(StatusCode::FOUND, &location)
}

struct Asked<'r> {
    catalog: &'r Arc<Catalog>,
    state: &'r Arc<CatalogState>,
    head: &'r Arc<RetainedHead>,
    place: &'r Place,
    query: &'r Query,
    caching: Caching,
}

impl Asked<'_> {
    async fn answer(&self, relay: &Relay, request: &Request) -> Result<Response, Refusal> {
        match self.meaning(&relay.store).await? {
            Meaning::Artifact(entry, page) => {
                let path = match (&page, self.place) {
                    (Some(path), _) | (None, Place::Artifact(path)) => path,
                    _ => return Err(Refusal::NotFound),
                };
                self.file(relay, request, path, &entry).await
            }
            Meaning::Folder(children, next) => {
                let folder = self.place.as_str();
                let page = documents::folder(self.catalog, self.head, folder, &children, next);
                Ok(page.respond(&request.headers, self.query.json, self.caching))
            }
            Meaning::FolderWithoutSlash => {
                let name = self.place.as_str().rsplit('/').next().unwrap_or_default();
                Response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("./{}/", encode_path(name)))
            }
            Meaning::Withdrawn => Err(Refusal::Gone),
            Meaning::Nothing => Err(Refusal::NotFound),
        }
    }

    /// Reads the tree: at once if its nodes are in memory, else on a blocking thread.
    async fn meaning(&self, store: &Store) -> Result<Meaning, Refusal> {
        let (nodes, settings) = (store.nodes(), self.catalog.settings.now());
        let question = Question {
            state: self.state,
            head: self.head,
            place: self.place,
            after: self.query.after.as_deref(),
            pinned: self.caching == Caching::Pinned,
            settings: &settings,
        };
        let meant = match question.answer(&nodes.in_memory()) {
            Err(NodesError::Missing(_)) => {
                let (state, head) = (Arc::clone(self.state), Arc::clone(self.head));
                let (place, after) = (self.place.clone(), self.query.after.clone());
                let pinned = question.pinned;
                off_worker(move || {
                    let (state, head, settings) = (&state, &head, &*settings);
                    let (place, after) = (&place, after.as_deref());
                    Question { state, head, place, after, pinned, settings }.answer(&nodes)
                })
                .await
            }
            answered => answered,
        };
        meant.map_err(|error| {
            tracing::error!(catalog = %self.catalog.name, error = &error as &dyn std::error::Error, "cannot read a tree");
            Refusal::Internal
        })
    }

    async fn file(
        &self,
        relay: &Relay,
        request: &Request,
        path: &ArtifactPath,
        entry: &Entry,
    ) -> Result<Response, Refusal> {
        if relay.denied.list().denies(self.catalog.name.as_str(), path.as_str(), entry) {
            return Err(Refusal::LegallyRefused);
        }
        let meta = FileMeta {
            size: entry.size,
            blob: entry.blob,
            sha256: Some(entry.sha256),
            mtime: Some(entry.mtime),
            media: self.catalog.settings.now().media_type(path.as_str()),
            caching: self.caching,
        };
        if let Some(pull) = Pull::of(&request.headers) {
            let job = Job::new(self.catalog, self.head, path.clone(), entry);
            return Box::pin(pulled::answer(relay, request, job, &meta, pull)).await;
        }
        match relay.open_blob(&entry.blob).await? {
            Some(reader) => {
                let rescue = || {
                    Some(Rescue {
                        fill: Arc::clone(&relay.fill),
                        catalog: Arc::clone(self.catalog),
                        head: Arc::clone(self.head),
                        path: path.clone(),
                        entry: entry.clone(),
                    })
                };
                let response = body::from_store(request, &meta, reader, rescue);
                Ok(self.catalog.given.counted(request, entry.size, response))
            }
            None => {
                let job = Job::new(self.catalog, self.head, path.clone(), entry);
                // Boxed, for it is large and rare, and every connection has room for its largest answer.
                let response = Box::pin(self.miss(relay, request, job, &meta)).await?;
                Ok(self.catalog.given.counted(request, entry.size, response))
            }
        }
    }

    /// Fetches what is not held while the client waits, and sends it as it verifies.
    async fn miss(
        &self,
        relay: &Relay,
        request: &Request,
        job: Job,
        meta: &FileMeta,
    ) -> Result<Response, Refusal> {
        let unavailable = |reason: &'static str| Refusal::unavailable(reason, RETRY);
        let Some(first) = body::first_chunk(request, meta) else {
            return Ok(body::without_bytes(request, meta));
        };
        let mut waiter = relay.fill.ask_now(job).map_err(|_| {
            unavailable("this relay does not hold it, and its budget for such requests is spent")
        })?;
        let readable = tokio::time::timeout(FIRST_CHUNK, waiter.readable()).await;
        match readable.map_err(|_| unavailable("it is being fetched"))? {
            Stage::Arriving(fetch) => {
                // Nothing is promised before the first byte is there: a failure up to here is a clean 503.
                match tokio::time::timeout(FIRST_CHUNK, fetch.chunk(first)).await {
                    Ok(Ok(Some(_))) => Ok(body::from_fill(&request.method, &request.headers, meta, &fetch)),
                    Ok(Ok(None) | Err(_)) => Err(unavailable("no source has it now")),
                    Err(_) => Err(unavailable("it is being fetched")),
                }
            }
            Stage::Landed => match relay.open_blob(&meta.blob).await? {
                Some(reader) => Ok(body::from_store(request, meta, reader, || None)),
                None => Err(unavailable("it went while it was fetched")),
            },
            Stage::Failed | Stage::Waiting => Err(unavailable("no source has it now")),
        }
    }
}

/// What a place means in one state; asks nothing but nodes.
struct Question<'r> {
    state: &'r Arc<CatalogState>,
    head: &'r Arc<RetainedHead>,
    place: &'r Place,
    after: Option<&'r str>,
    pinned: bool,
    settings: &'r CatalogSettings,
}

impl Question<'_> {
    fn answer(&self, nodes: &dyn Nodes) -> Result<Meaning, NodesError> {
        if let Place::Artifact(path) = self.place {
            match self.resolve(nodes, path.as_str())? {
                Resolved::Entry { entry, .. } => return Ok(Meaning::Artifact(Box::new(entry), None)),
                Resolved::Revoked(_) => return Ok(Meaning::Withdrawn),
                Resolved::Absent => {}
            }
        }
        let folder = self.place.as_str();
        let listing = self.head.tree.list(nodes, folder, self.after, PAGE)?;
        if listing.children.is_empty() && self.after.is_none() && !folder.is_empty() {
            return Ok(Meaning::Nothing);
        }
        if let Some((path, entry)) = self.page(nodes, folder)? {
            return Ok(Meaning::Artifact(Box::new(entry), Some(path)));
        }
        Ok(match self.place {
            Place::Artifact(_) => Meaning::FolderWithoutSlash,
            Place::Folder(_) | Place::Slashless => Meaning::Folder(listing.children, listing.next),
        })
    }

    fn resolve(&self, nodes: &dyn Nodes, path: &str) -> Result<Resolved, NodesError> {
        let found = self.state.resolve_at(nodes, self.head, path)?;
        if found == Resolved::Absent && !self.pinned {
            // Gone from the newest state, and still in one that clients may be in the middle of.
            return self.state.resolve(nodes, path);
        }
        Ok(found)
    }

    /// What the catalog has answer in a folder's place.
    fn page(&self, nodes: &dyn Nodes, folder: &str) -> Result<Option<(ArtifactPath, Entry)>, NodesError> {
        let names = match self.place {
            Place::Artifact(_) => self.settings.index_without_slash(),
            Place::Folder(_) | Place::Slashless => self.settings.index(),
        };
        for name in names {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let Ok(path) = ArtifactPath::parse(&path) else { continue };
            if let Resolved::Entry { entry, .. } = self.resolve(nodes, path.as_str())? {
                return Ok(Some((path, entry)));
            }
        }
        Ok(None)
    }
}

fn not_synced() -> Refusal {
    Refusal::unavailable("this relay has not followed that catalog yet", RETRY)
}
