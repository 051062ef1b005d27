//! The pages: reads the directory into plain data ([`crate::pages`]), and answers with it as HTML or JSON.
//!
//! What they cost grows with the roster, so each takes a permit of its caller's network and is made off the workers.

mod catalog;
mod census;
mod network;
mod relay;
mod traffic;

use std::sync::Arc;

use odi_manifest::PublicKey;
use odi_wire::http::HeaderValue;
use odi_wire::http::header::CACHE_CONTROL;
use odi_wire::message::to_json;
use odi_wire::off_worker::off_worker;
use odi_wire::page::{self, Form};
use odi_wire::refusal::Refusal;
use odi_wire::route::{PageRoute, Query};
use odi_wire::serve::{Request, Response};
use serde::Serialize;

use crate::directory::Directory;
use crate::network::Network;
use crate::pages::{CatalogPage, NetworkPage, RelayPage};

/// Any of the pages.
pub(super) async fn answer(
    directory: &Arc<Directory>,
    request: &Request,
    page: &PageRoute,
    query: &Query,
) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let form = page::form(&request.headers, query.json);
    let (directory, page) = (Arc::clone(directory), page.clone());
    let body = off_worker(move || made(&directory, &page, form)).await.ok_or(Refusal::NotFound)?;
    Ok(page::respond(form, body).with_header(CACHE_CONTROL, HeaderValue::from_static("no-cache")))
}

/// The page in one of its forms; `None` if there is none of what it is about.
fn made(directory: &Directory, page: &PageRoute, form: Form) -> Option<Vec<u8>> {
    Some(match page {
        PageRoute::Front => written(&network::gather(directory), form, NetworkPage::to_html),
        PageRoute::Catalog { name } => {
            let catalog = directory.catalog_named(name)?;
            written(&catalog::gather(directory, &catalog), form, CatalogPage::to_html)
        }
        PageRoute::Relay { relay } => {
            let relay = PublicKey::from_bytes(relay).ok()?;
            written(&relay::gather(directory, &relay)?, form, RelayPage::to_html)
        }
    })
}

fn written<T: Serialize>(page: &T, form: Form, to_html: impl Fn(&T) -> String) -> Vec<u8> {
    match form {
        Form::Html => to_html(page).into_bytes(),
        Form::Json => to_json(page),
    }
}
