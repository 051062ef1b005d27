//! From a request to an answer: one exhaustive match over the routes, and the one place where an error of ours becomes a
//! refusal.

mod artifact;
mod catalogs;
mod full;
mod pages;
mod passed;
mod redirect;
mod relays;
mod statistics;
mod status;
mod targets;
mod testimony;

use std::error::Error;
use std::sync::Arc;

use odi_wire::chain;
use odi_wire::layout::LayoutPath;
use odi_wire::refusal::Refusal;
use odi_wire::route::{ApiRoute, Route, parse};
use odi_wire::serve::{Request, Response, Service};

use crate::directory::Directory;

pub(crate) use full::Lengths;
pub(crate) use relays::relay_state;
pub(crate) use status::status_document;

/// The public listener's service.
pub(crate) struct Answers(pub(crate) Arc<Directory>);

impl Service for Answers {
    async fn call(&self, request: Request) -> Response {
        answer(&self.0, request).await.unwrap_or_else(Refusal::into_response)
    }
}

async fn answer(directory: &Arc<Directory>, request: Request) -> Result<Response, Refusal> {
    let route = parse(&request.method, request.target())?;
    directory.hearing.admit(&route)?;
    match route {
        Route::Page { page, query } => pages::answer(directory, &request, &page, &query).await,
        Route::Artifact { name, place, query } => {
            artifact::newest(directory, &request, &name, &place, &query).await
        }
        Route::State { name, state, place, query } => {
            artifact::state(directory, &request, &name, &state, &place, &query).await
        }
        Route::Pinned { pin, place, query } => {
            artifact::pinned(directory, &request, &pin, &place, &query).await
        }
        Route::Blob { blob } => artifact::blob(directory, &request, blob).await,
        Route::WellKnown => Ok(status::well_known(directory)),
        Route::Challenge => Err(Refusal::NotFound),
        Route::Api(route) => api(directory, request, route).await,
    }
}

async fn api(directory: &Arc<Directory>, request: Request, route: ApiRoute) -> Result<Response, Refusal> {
    match route {
        ApiRoute::Status => Ok(status::status(directory)),
        ApiRoute::Catalogs => Ok(status::catalogs(directory)),
        ApiRoute::Head { catalog, after, wait } => catalogs::head(directory, &catalog, after, wait).await,
        ApiRoute::Testimony { catalog, unlike, wait } => {
            testimony::testimony(directory, &catalog, unlike, wait).await
        }
        ApiRoute::Layout { catalog, item: LayoutPath::Chunks(blob), size, .. } => {
            catalogs::chunks(directory, &request, &catalog, &blob, size).await
        }
        ApiRoute::Layout { catalog, item, after, .. } => {
            catalogs::layout(directory, &request, &catalog, item, after).await
        }
        ApiRoute::Proof { catalog, path, head } => {
            catalogs::proof(directory, &request, &catalog, path, head).await
        }
        ApiRoute::Holders { catalog } => relays::holders(directory, &request, &catalog).await,
        ApiRoute::Push { catalog } => catalogs::push(directory, request, &catalog).await,
        ApiRoute::Trigger { catalog } => catalogs::trigger(directory, &request, &catalog),
        ApiRoute::Statistics { of, days, csv } => {
            statistics::answer(directory, &request, of, days, csv).await
        }
        ApiRoute::Relays => relays::list(directory, &request).await,
        ApiRoute::Register => relays::register(directory, request).await,
        ApiRoute::Inventory => relays::announce(directory, request).await,
        ApiRoute::Leave => relays::leave(directory, request).await,
        ApiRoute::Statements => passed::statements(directory, request).await,
        ApiRoute::Reports { unlike, wait } => passed::reports(directory, &request, unlike, wait).await,
        ApiRoute::Assignment { relay } => relays::assignment(directory, &relay).await,
        ApiRoute::Notify | ApiRoute::Look => Err(Refusal::NotFound),
    }
}

/// An error of ours: its whole chain goes to the log, and the caller learns that it was ours.
fn internal(error: &(dyn Error + 'static)) -> Refusal {
    tracing::error!(error = chain::of(error), "a request failed for a reason of ours");
    Refusal::Internal
}
