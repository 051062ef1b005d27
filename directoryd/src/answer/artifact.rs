//! Artifacts and folders: from a path and the state it is asked in to bytes, a redirect, a listing, a document about them, or a
//! refusal.

mod generated;

use std::sync::{Arc, OnceLock};

use odi_manifest::{ArtifactPath, BlobId, Child, Entry, Nodes, NodesError, Pin};
use odi_wire::conditional::is_conditional;
use odi_wire::denylist::given;
use odi_wire::file_response::{Caching, FileMeta, plan};
use odi_wire::http::StatusCode;
use odi_wire::listing::{Page, Row};
use odi_wire::media_type::MediaType;
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::route::{CatalogRef, Place, Query, StateName, Suffix, pinned_path};
use odi_wire::serve::{Request, Response};

use super::redirect::{self, Errand};
use super::targets::Caller;
use crate::catalog::Catalog;
use crate::catalog::resolve::{Found, Resolved, in_newest, in_state};
use crate::catalog::view::{State, View};
use crate::directory::Directory;
use crate::network::Network;
use crate::state_rules::CARRIED_BYTES_MAX;
use crate::statistics::How;
use crate::whereabouts::Whereabouts;

/// Rows of a folder's page.
const PAGE_ROWS: usize = 2000;

/// Which state a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The newest served one.
    Newest,
    /// The one that the URL pins.
    Pinned,
}

/// One request for a place in a catalog.
struct Visit<'a> {
    directory: &'a Arc<Directory>,
    catalog: Arc<Catalog>,
    view: Arc<View>,
    request: &'a Request,
    query: &'a Query,
    asked: Asked,
    /// Where the caller's network is, once that was looked up.
    whereabouts: OnceLock<Whereabouts>,
}

/// What a path means in one state, or in whichever answers for it.
struct Question {
    catalog: Arc<Catalog>,
    view: Arc<View>,
    state: Option<Arc<State>>,
    path: String,
}

impl Question {
    fn answer(&self, nodes: &dyn Nodes) -> Result<Resolved, NodesError> {
        let Self { catalog, view, state, path } = self;
        let believed = catalog.believed();
        let is_revoked = |path: &str, blob: &BlobId, seq: u64| {
            believed.revocations().is_some_and(|list| list.revokes(path, blob, seq).is_some())
        };
        match state {
            None => in_newest(view, nodes, path, &is_revoked),
            Some(state) => in_state(view, state, nodes, path, &is_revoked),
        }
    }
}

/// `/{name}/{path}`.
pub(super) async fn newest(
    directory: &Arc<Directory>,
    request: &Request,
    name: &CatalogRef,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog_named(name).ok_or(Refusal::NotFound)?;
    if *place == Place::Slashless {
        return Response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("/{name}/"));
    }
    let view = catalog.view();
    if view.newest().is_none() {
        return Err(Refusal::unavailable("this directory has no state of that catalog yet", redirect::SOON));
    }
    let whereabouts = OnceLock::new();
    let visit = Visit { directory, catalog, view, request, query, asked: Asked::Newest, whereabouts };
    visit.answer(place, None).await
}

/// `/{pin}/{path}`.
pub(super) async fn pinned(
    directory: &Arc<Directory>,
    request: &Request,
    pin: &Pin,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    if *place == Place::Slashless {
        return Response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("/{pin}/"));
    }
    let (catalog, view, state) = directory.pinned(pin).ok_or(Refusal::NotFound)?;
    let whereabouts = OnceLock::new();
    let visit = Visit { directory, catalog, view, request, query, asked: Asked::Pinned, whereabouts };
    visit.answer(place, Some(state)).await
}

/// `/{name}@{seq or label}/{path}`: to the pin.
pub(super) async fn state(
    directory: &Arc<Directory>,
    request: &Request,
    name: &CatalogRef,
    state: &StateName,
    place: &Place,
    query: &Query,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog_named(name).ok_or(Refusal::NotFound)?;
    let view = catalog.view();
    let seq = match state {
        StateName::Seq(seq) => *seq,
        StateName::Label(label) => {
            let newest = view.newest().ok_or(Refusal::NotFound)?;
            let named = newest.head.labels.iter().find(|known| known.name == *label);
            named.ok_or(Refusal::NotFound)?.seq
        }
    };
    let state = view.servable().find(|state| state.head.seq == seq).cloned().ok_or(Refusal::NotFound)?;
    let to_pin = place_under(&state.pin, place);
    if let Place::Artifact(path) = place
        && !directory.denied.list().is_empty()
    {
        let whereabouts = OnceLock::new();
        let visit = Visit { directory, catalog, view, request, query, asked: Asked::Pinned, whereabouts };
        visit.unless_denied_there(path, state).await?;
    }
    Response::redirect(StatusCode::FOUND, &to_pin)
}

/// `/blake3/{hex}`: only what is carried.
pub(super) async fn blob(
    directory: &Arc<Directory>,
    request: &Request,
    blob: BlobId,
) -> Result<Response, Refusal> {
    directory.unless_denied(&blob)?;
    if directory.is_withdrawn(&blob) {
        return Err(Refusal::Gone);
    }
    if let Some(own) = directory.selftest.artifact(&blob).cloned() {
        let file = FileMeta { size: own.entry.size, ..by_content(blob) };
        return Ok(plan(&request.method, &request.headers, &file).respond(move |range| own.stream(range)));
    }
    let held = async { directory.carry.held(&blob).await.ok_or(Refusal::NotFound) };
    let bytes = given(|| directory.admit_by_content(&blob), held).await?;
    let file = FileMeta { size: bytes.len() as u64, ..by_content(blob) };
    Ok(plan(&request.method, &request.headers, &file).respond_from(&bytes))
}

/// A blob of which nothing but its name is known yet.
const fn by_content(blob: BlobId) -> FileMeta {
    FileMeta { size: 0, blob, sha256: None, mtime: None, media: MediaType::OCTETS, caching: Caching::Pinned }
}

impl Visit<'_> {
    async fn answer(&self, place: &Place, state: Option<Arc<State>>) -> Result<Response, Refusal> {
        let path = place.as_str().to_owned();
        match (self.resolve(path.clone(), state.clone()).await?, place) {
            (Resolved::Artifact(found), Place::Artifact(_)) => self.artifact_or_about(&path, found).await,
            // A folder's name with its slash left out, or an artifact's with one too many.
            (Resolved::Folder(state), Place::Artifact(_)) => self.bare_folder(&path, state).await,
            // Only where the catalog has nothing by that name.
            (Resolved::Absent, Place::Artifact(path)) => self.generated(path, state).await,
            (Resolved::Artifact(_) | Resolved::Absent, _) => Err(Refusal::NotFound),
            (Resolved::Withdrawn, _) => Err(Refusal::Gone),
            (Resolved::Folder(state), _) => self.folder(&path, state).await,
        }
    }

    fn caller(&self) -> Caller<'_> {
        Caller {
            directory: self.directory,
            request: self.request,
            query: self.query,
            whereabouts: &self.whereabouts,
        }
    }

    /// What a path means: at once if the nodes that say so are in memory, else on a thread that may wait for the disk.
    async fn resolve(&self, path: String, state: Option<Arc<State>>) -> Result<Resolved, Refusal> {
        let (view, catalog) = (Arc::clone(&self.view), Arc::clone(&self.catalog));
        let question = Question { catalog, view, state, path };
        let resolved = match question.answer(&self.directory.nodes.in_memory()) {
            Err(NodesError::Missing(_)) => {
                let nodes = self.directory.nodes.clone();
                off_worker(move || question.answer(&nodes)).await
            }
            answered => answered,
        };
        resolved.map_err(|error| super::internal(&error))
    }

    /// A folder's name with its slash left out: what the catalog has answer there, else to the folder's own URL.
    async fn bare_folder(&self, folder: &str, state: Arc<State>) -> Result<Response, Refusal> {
        let settings = self.catalog.settings.now();
        match self.index(folder, settings.index_without_slash(), &state).await? {
            Some((path, found)) => self.artifact(&path, found).await,
            None => self.with_slash(folder),
        }
    }

    /// The first of these names that lies in a folder.
    async fn index(
        &self,
        folder: &str,
        names: &[String],
        state: &Arc<State>,
    ) -> Result<Option<(String, Found)>, Refusal> {
        for name in names {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let pinned = (self.asked == Asked::Pinned).then(|| Arc::clone(state));
            if let Resolved::Artifact(found) = self.resolve(path.clone(), pinned).await? {
                return Ok(Some((path, found)));
            }
        }
        Ok(None)
    }

    /// To the folder's own URL, so that relative links in its page lead where they should.
    fn with_slash(&self, path: &str) -> Result<Response, Refusal> {
        let last = path.rsplit('/').next().unwrap_or(path);
        let query = self.request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Response::redirect(StatusCode::FOUND, &format!("./{}/{query}", odi_wire::route::encode_path(last)))
    }

    /// Refuses what the operator denies: it is neither given here, nor is anybody sent or pointed to where it is.
    fn unless_denied(&self, path: &str, found: &Found) -> Result<(), Refusal> {
        let is_denied = self.directory.denies(&self.catalog, path, &found.entry);
        if is_denied { Err(Refusal::LegallyRefused) } else { Ok(()) }
    }

    /// The same of a list of who has a whole folder, if that is denied as one.
    fn unless_folder_denied(&self, folder: &str) -> Result<(), Refusal> {
        let is_denied = self.directory.denied.list().denies_folder(self.catalog.name().as_str(), folder);
        if is_denied { Err(Refusal::LegallyRefused) } else { Ok(()) }
    }

    /// The same of what a path, or a name made from one, means in a state.
    async fn unless_denied_there(&self, path: &ArtifactPath, state: Arc<State>) -> Result<(), Refusal> {
        let made_from = Suffix::split(path).map(|(artifact, _)| artifact.as_str().to_owned());
        for path in [Some(path.as_str().to_owned()), made_from].into_iter().flatten() {
            match self.resolve(path.clone(), Some(Arc::clone(&state))).await? {
                Resolved::Artifact(found) => return self.unless_denied(&path, &found),
                Resolved::Absent => {}
                Resolved::Folder(_) | Resolved::Withdrawn => return Ok(()),
            }
        }
        Ok(())
    }

    /// The artifact, or what the query asks to know of it.
    async fn artifact_or_about(&self, path: &str, found: Found) -> Result<Response, Refusal> {
        if self.query.mirrorlist.is_some() {
            self.unless_denied(path, &found)?;
        }
        match self.query.mirrorlist {
            Some(form) => Ok(self.mirrors_of_artifact(path, &found, form).await),
            None if self.query.explain => self.explanation(path, found).await,
            None => self.artifact(path, found).await,
        }
    }

    async fn artifact(&self, path: &str, found: Found) -> Result<Response, Refusal> {
        self.unless_denied(path, &found)?;
        let caching = if self.asked == Asked::Pinned { Caching::Pinned } else { Caching::Unpinned };
        let planned = || {
            let media = self.catalog.settings.now().media_type(path);
            plan(&self.request.method, &self.request.headers, &file_meta(&found.entry, media, caching))
        };
        // Most answers are redirects to requests without a precondition, and say nothing of a plan.
        if is_conditional(&self.request.headers) {
            let planned = planned();
            if matches!(planned.status, StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED) {
                return Ok(planned.respond_from(&bytes::Bytes::new()));
            }
        }
        if let Some(own) = self.directory.selftest.artifact(&found.entry.blob).cloned() {
            return Ok(planned().respond(move |range| own.stream(range)));
        }
        if found.entry.size <= CARRIED_BYTES_MAX
            && let Some(bytes) =
                self.directory.carry.obtain(self.directory, &self.catalog, path, &found).await
        {
            // What differs among the servable states has one URL per state.
            return if found.settled {
                self.caller().count(&self.catalog, path, &found.entry, How::Carried, None);
                Ok(planned().respond_from(&bytes))
            } else {
                let pinned = pinned_path(&found.state.pin, path);
                // Whole: RubyGems takes a `Location` as it stands.
                let to = self.caller().own_url(&pinned).unwrap_or(pinned);
                redirect::described(Response::redirect(StatusCode::FOUND, &to)?, &found.entry)
            };
        }
        let errand = Errand {
            catalog: &self.catalog,
            path,
            found: &found,
            pinned: self.asked == Asked::Pinned,
            caller: self.caller(),
        };
        redirect::away(self.directory, &errand).await
    }

    async fn folder(&self, folder: &str, state: Arc<State>) -> Result<Response, Refusal> {
        if let Some(form) = self.query.mirrorlist {
            self.unless_folder_denied(folder)?;
            return Ok(self.mirrors_of_folder(folder, &state, form));
        }
        let settings = self.catalog.settings.now();
        match self.index(folder, settings.index(), &state).await? {
            Some((path, found)) => self.artifact(&path, found).await,
            None => self.listing(folder, state).await,
        }
    }

    /// A page of thousands of rows takes longer to find and to write than a hundred redirects.
    async fn listing(&self, folder: &str, state: Arc<State>) -> Result<Response, Refusal> {
        self.directory.pace(Network::of(self.request.peer.ip()))?;
        let (nodes, catalog) = (self.directory.nodes.clone(), self.catalog.name().to_string());
        let (asked, after) = (folder.to_owned(), self.query.after.clone());
        let (headers, wants_json) = (self.request.headers.clone(), self.query.json);
        let caching = if self.asked == Asked::Pinned { Caching::Pinned } else { Caching::Unpinned };
        let written = off_worker(move || {
            let listed = state.tree.list(&nodes, &asked, after.as_deref(), PAGE_ROWS)?;
            let page = Page {
                catalog,
                folder: if asked.is_empty() { String::new() } else { format!("{asked}/") },
                pin: state.pin.to_string(),
                children: listed.children.into_iter().map(row).collect(),
                next: listed.next,
                at_directory: true,
            };
            Ok(page.respond(&headers, wants_json, caching))
        });
        written.await.map_err(|error: NodesError| super::internal(&error))
    }
}

fn place_under(pin: &Pin, place: &Place) -> String {
    match place {
        Place::Folder(Some(path)) => pinned_path(pin, &format!("{path}/")),
        other => pinned_path(pin, other.as_str()),
    }
}

fn file_meta(entry: &Entry, media: MediaType, caching: Caching) -> FileMeta {
    FileMeta {
        size: entry.size,
        blob: entry.blob,
        sha256: Some(entry.sha256),
        mtime: Some(entry.mtime),
        media,
        caching,
    }
}

fn row(child: Child) -> Row {
    match child {
        Child::Folder { name } => Row::Folder { name },
        Child::Artifact { name, entry } => Row::Artifact {
            name,
            size: entry.size,
            mtime: entry.mtime,
            blake3: entry.blob,
            sha256: entry.sha256,
        },
    }
}
