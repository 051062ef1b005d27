//! Sending a client to bytes that this directory does not carry: a relay that holds them, else the origin, else 503.
//!
//! Every `Location` is a registered base URL, a pin and a path of the manifest, or a configured origin; nothing of the
//! request's headers is in it. The scheme never goes from https to http.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{Entry, PublicKey};
use odi_wire::http::header::HeaderName;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::refusal::Refusal;
use odi_wire::serve::Response;

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::directory::Directory;
use crate::statistics::How;

use super::targets::{Caller, Target};
use crate::select::ROUND;

/// When to ask again for what nobody holds yet.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// What a client wants, and how it came.
pub(super) struct Errand<'a> {
    pub(super) catalog: &'a Arc<Catalog>,
    pub(super) path: &'a str,
    pub(super) found: &'a Found,
    /// Whether the URL names one state: then a relay has to serve that very one.
    pub(super) pinned: bool,
    pub(super) caller: Caller<'a>,
}

impl Errand<'_> {
    fn count(&self, how: How, relay: Option<PublicKey>) {
        self.caller.count(self.catalog, self.path, &self.found.entry, how, relay);
    }
}

/// Why a client goes where it goes, for people who look at headers.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Held,
    OnlyOrigin,
    AskedForOrigin,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held by this relay",
            Self::OnlyOrigin => "no relay holds it",
            Self::AskedForOrigin => "asked for the origin",
        }
    }
}

/// The redirect, or a refusal before the first byte.
pub(super) async fn away(directory: &Arc<Directory>, errand: &Errand<'_>) -> Result<Response, Refusal> {
    let Caller { query, .. } = errand.caller;
    if errand.caller.goes() {
        directory.note_wish(&errand.catalog.id(), &errand.found.entry, errand.caller.network());
    }
    if !query.origin
        && let Some(relay) = to_relay(directory, errand)
    {
        let response = redirect(&relay.location, errand, Reason::Held)?;
        errand.count(How::Redirected, Some(relay.relay));
        let host = HeaderValue::from_str(&relay.base).map_err(|_| Refusal::Internal)?;
        return Ok(response.with_header(HeaderName::from_static("x-odi-relay"), host));
    }
    if query.relay.is_some() {
        return Err(Refusal::unavailable("the relay that was asked for cannot give it now", SOON));
    }
    let reason = if query.origin { Reason::AskedForOrigin } else { Reason::OnlyOrigin };
    let scheme = errand.caller.scheme();
    // Before the proof, which costs the origin a request too.
    directory
        .origins
        .admit(directory.clock.now())
        .map_err(|wait| Refusal::unavailable("no relay holds it yet, and the origin is spared", wait))?;
    let entry = &errand.found.entry;
    match directory.origins.proven_url(directory, errand.catalog, errand.path, entry, scheme).await {
        Some(to) => {
            errand.count(How::Origin, None);
            redirect(&to, errand, reason)
        }
        None => Err(Refusal::unavailable("no relay that is reachable this way holds it yet", SOON)),
    }
}

fn redirect(to: &str, errand: &Errand<'_>, reason: Reason) -> Result<Response, Refusal> {
    let response = described(Response::redirect(StatusCode::FOUND, to)?, &errand.found.entry)?;
    Ok(response
        .with_header(HeaderName::from_static("x-odi-reason"), HeaderValue::from_static(reason.as_str())))
}

/// Adds what the entry says of the bytes: `Digest` is what aria2 reads on a redirect.
pub(super) fn described(response: Response, entry: &Entry) -> Result<Response, Refusal> {
    let digest = format!("SHA-256={}", data_encoding::BASE64.encode(entry.sha256.as_bytes()));
    let digest = HeaderValue::from_str(&digest).map_err(|_| Refusal::Internal)?;
    let blake3 = HeaderValue::from_str(&entry.blob.to_string()).map_err(|_| Refusal::Internal)?;
    Ok(response
        .with_header(HeaderName::from_static("digest"), digest)
        .with_header(HeaderName::from_static("x-odi-blake3"), blake3))
}

/// The relay that is best for the caller's network; the next one for a network that was just sent there and asks again.
fn to_relay(directory: &Directory, errand: &Errand<'_>) -> Option<Target> {
    let Errand { catalog, path, found, pinned, caller } = errand;
    let mut targets = caller.of_artifact(catalog, path, found, *pinned, ROUND);
    if targets.is_empty() {
        return None;
    }
    if !caller.goes() {
        return Some(targets.swap_remove(0));
    }
    let order: Vec<PublicKey> = targets.iter().map(|target| target.relay).collect();
    let turn = directory.turn(caller.network(), &found.entry.blob, &order);
    let target = targets.swap_remove(turn);
    directory.balance().note(&target.relay, found.entry.size);
    Some(target)
}
