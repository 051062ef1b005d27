//! Serving: from a request to verified bytes. Start reading here.
//!
//! `call` reads the route; [`artifact`] finds what the path means under one head; [`body`] streams it from the store, or
//! from a fill under way. A relay never redirects to another host, and never sends a byte that did not verify since it was read.

mod artifact;
mod body;
mod challenge;
mod documents;
mod looking;
mod notified;
mod pulled;
mod signed;

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{BLOB_BYTES_MAX, BlobId, CHUNK_BYTES};
use odi_wire::denylist::given;
use odi_wire::file_response::{Caching, FileMeta};
use odi_wire::layout::LayoutPath;
use odi_wire::media_type::MediaType;
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::route::{self, ApiRoute, PageRoute, Route};
use odi_wire::serve::{Body, Request, Response, Service};

use crate::catalog::Catalog;
use crate::relay::Relay;

pub(crate) use documents::status_document;

/// The longest chunk list, which the largest blob has.
const CHUNK_LIST_BYTES_MAX: u64 = BLOB_BYTES_MAX.div_ceil(CHUNK_BYTES) * 32;
/// When to ask by content again, while it is looked up what is denied.
const DENIED_UNKNOWN: Duration = Duration::from_secs(10);

impl Service for Relay {
    async fn call(&self, mut request: Request) -> Response {
        let response = self.answer(&mut request).await.unwrap_or_else(Refusal::into_response);
        self.answers.count(response.status);
        response
    }
}

impl Relay {
    async fn answer(&self, request: &mut Request) -> Result<Response, Refusal> {
        let route = route::parse(&request.method, request.target())?;
        if matches!(route, Route::Artifact { .. } | Route::Pinned { .. } | Route::Blob { .. }) {
            self.meter.admit(self.clock.now())?;
        }
        match route {
            Route::Page { page: PageRoute::Front, .. } => Ok(documents::front_page(self)),
            Route::Page { .. } => Err(Refusal::NotFound),
            Route::Artifact { name, place, query } => {
                let catalog = self.catalogs.find(&name).ok_or(Refusal::NotFound)?;
                artifact::newest(self, request, &catalog, &place, &query).await
            }
            Route::State { name, state, place, query } => {
                let catalog = self.catalogs.find(&name).ok_or(Refusal::NotFound)?;
                artifact::redirect_to_pin(&catalog, &state, &place, &query)
            }
            Route::Pinned { pin, place, query } => {
                artifact::pinned(self, request, &pin, &place, &query).await
            }
            Route::Blob { blob } => self.blob(request, &blob).await,
            Route::WellKnown => Ok(documents::well_known(self)),
            Route::Challenge => challenge::answer(self, request).await,
            Route::Api(ApiRoute::Status) => Ok(documents::status(self)),
            Route::Api(ApiRoute::Layout { catalog, item: LayoutPath::Chunks(blob), .. }) => {
                self.catalogs.get(&catalog).ok_or(Refusal::NotFound)?;
                self.chunk_list(&blob).await
            }
            Route::Api(ApiRoute::Notify) => notified::answer(self, request).await,
            Route::Api(ApiRoute::Look) => looking::answer(self, request).await,
            Route::Api(_) => Err(Refusal::NotFound),
        }
    }

    /// A blob by its content: what is held, and nothing else, because nothing says what else might be meant.
    async fn blob(&self, request: &Request, blob: &BlobId) -> Result<Response, Refusal> {
        self.unless_denied(blob)?;
        // Withdrawn by one catalog, it is served for the sake of another's entry only.
        if self.catalogs.revokes_blob(blob) && !self.withdrawn.stands(blob) {
            return Err(Refusal::Gone);
        }
        let open = async { self.open_blob(blob).await?.ok_or(Refusal::NotFound) };
        let reader = given(|| self.unless_denied(blob), open).await?;
        let meta = FileMeta {
            size: reader.size(),
            blob: *blob,
            sha256: None,
            mtime: None,
            media: MediaType::OCTETS,
            caching: Caching::Pinned,
        };
        Ok(body::from_store(request, &meta, reader, || None))
    }

    /// Lets content be served by its own name only once it is known that the operator does not deny it under another.
    fn unless_denied(&self, blob: &BlobId) -> Result<(), Refusal> {
        self.denied.admit(blob, || self.once_denials_are_known())
    }

    fn once_denials_are_known(&self) -> Result<(), Refusal> {
        if self.denied.list().says_nothing_by_catalogs() {
            return Ok(());
        }
        let known = |catalog: &Arc<Catalog>| {
            self.denied.knows(catalog.id(), catalog.state().retained().iter().map(|head| &head.id))
        };
        if self.denied.awaits_sweep() || !self.catalogs.all().iter().all(known) {
            let reason =
                "this relay does not know of all content yet whether its operator denies it; ask by path";
            return Err(Refusal::unavailable(reason, DENIED_UNKNOWN));
        }
        Ok(())
    }

    async fn chunk_list(&self, blob: &BlobId) -> Result<Response, Refusal> {
        self.meter.admit(self.clock.now())?;
        let (store, blob) = (self.store.clone(), *blob);
        let list = self.chunk_lists.answer(blob, CHUNK_LIST_BYTES_MAX, async || {
            let list = off_worker(move || store.chunk_list(&blob).map(|list| list.to_bytes())).await;
            list.ok_or(Refusal::NotFound)
        });
        let list = given(|| self.unless_denied(&blob), list).await?;
        Ok(Response::ok("application/octet-stream", Body::content(list)))
    }
}
