//! Sending a client to bytes that this directory does not carry: a relay that holds them, else a mirror that was seen to, else the
//! origin, else 503.
//!
//! Every `Location` is a registered base URL, a pin and a path of the manifest, or a configured mirror or origin; nothing of the
//! request's headers is in it. The scheme never goes from https to http.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{Entry, PublicKey};
use odi_wire::http::header::{HeaderName, LINK, LOCATION};
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::refusal::Refusal;
use odi_wire::serve::Response;

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::directory::Directory;
use crate::mirrors::Wish;
use crate::statistics::How;

use super::targets::{Caller, Target};
use crate::select::ROUND;

/// RFC 3230.
const WANT_DIGEST: HeaderName = HeaderName::from_static("want-digest");
const DIGEST: HeaderName = HeaderName::from_static("digest");
const BLAKE3: HeaderName = HeaderName::from_static("x-odi-blake3");
const REASON: HeaderName = HeaderName::from_static("x-odi-reason");
const RELAY: HeaderName = HeaderName::from_static("x-odi-relay");
/// When to ask again for what nobody holds yet.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// How many further places a redirect names to whoever reads that.
const LINKS_MAX: usize = ROUND - 1;
/// Room for the digests of one artifact as they are sent.
const DIGEST_TEXTS_BYTES: usize = 120;

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
    fn mirrors(&self) -> Wish<'_> {
        self.caller.of_mirrors(self.catalog, self.path, self.found)
    }

    /// Whether the client reads links to duplicates (RFC 6249). It says so by asking for a digest, without which they mean nothing, as
    /// aria2 does. To all others they would be bytes that nobody reads.
    fn reads_links(&self) -> bool {
        self.caller.request.headers.contains_key(WANT_DIGEST)
    }

    fn count(&self, how: How, relay: Option<PublicKey>) {
        self.caller.count(self.catalog, self.path, &self.found.entry, how, relay);
    }
}

/// Why a client goes where it goes, for people who look at headers.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Held,
    AtMirror,
    OnlyOrigin,
    AskedForOrigin,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held by this relay",
            Self::AtMirror => "no relay holds it; this mirror was seen to",
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
        && let Some((relay, others)) = to_relay(directory, errand)
    {
        let Target { relay, base, location, .. } = relay;
        let (base_bytes, location) = (base.as_str().len(), Bytes::from(location));
        let base = value(location.slice(..base_bytes.min(location.len())))?;
        let mut response = redirect_to(value(location)?, errand, Reason::Held)?.with_header(RELAY, base);
        if errand.reads_links() {
            link(&mut response, directory, errand, others)?;
        }
        errand.count(How::Redirected, Some(relay));
        return Ok(response);
    }
    if query.relay.is_some() {
        return Err(Refusal::unavailable("the relay that was asked for cannot give it now", SOON));
    }
    let reason = if query.origin { Reason::AskedForOrigin } else { Reason::OnlyOrigin };
    if !query.origin
        && let Some(to) = directory.mirrors.proven_url(directory, &errand.mirrors()).await
    {
        let mut response = redirect(to, errand, Reason::AtMirror)?;
        if errand.reads_links() {
            link(&mut response, directory, errand, Vec::new())?;
        }
        errand.count(How::Origin, None);
        return Ok(response);
    }
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
            redirect(to, errand, reason)
        }
        None => Err(Refusal::unavailable("no relay that is reachable this way holds it yet", SOON)),
    }
}

fn redirect(to: String, errand: &Errand<'_>, reason: Reason) -> Result<Response, Refusal> {
    redirect_to(value(to.into())?, errand, reason)
}

fn redirect_to(to: HeaderValue, errand: &Errand<'_>, reason: Reason) -> Result<Response, Refusal> {
    let response = described(Response::redirect_to(StatusCode::FOUND, to), &errand.found.entry)?;
    Ok(response.with_header(REASON, HeaderValue::from_static(reason.as_str())))
}

/// A header's value in the memory that the text has already.
fn value(text: Bytes) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_maybe_shared(text).map_err(|_| Refusal::Internal)
}

/// Adds what the entry says of the bytes: `Digest` is what aria2 reads on a redirect.
pub(super) fn described(response: Response, entry: &Entry) -> Result<Response, Refusal> {
    let mut texts = String::with_capacity(DIGEST_TEXTS_BYTES);
    texts.push_str("SHA-256=");
    data_encoding::BASE64.encode_append(entry.sha256.as_bytes(), &mut texts);
    let digest_bytes = texts.len();
    data_encoding::HEXLOWER.encode_append(entry.blob.as_bytes(), &mut texts);
    let mut digest = Bytes::from(texts);
    let blake3 = digest.split_off(digest_bytes);
    Ok(response.with_header(DIGEST, value(digest)?).with_header(BLAKE3, value(blake3)?))
}

/// Names where else the bytes are: at the next best relays, and if those are too few, at mirrors that were seen to have them.
fn link(
    response: &mut Response,
    directory: &Directory,
    errand: &Errand<'_>,
    relays: Vec<Target>,
) -> Result<(), Refusal> {
    let mut urls: Vec<String> = relays.into_iter().map(|relay| relay.location).collect();
    if urls.len() < LINKS_MAX {
        let is_new = |url: &String| response.headers.get(LOCATION).is_none_or(|to| to != url.as_str());
        urls.extend(directory.mirrors.known_urls(directory, &errand.mirrors()).into_iter().filter(is_new));
    }
    for (url, priority) in urls.iter().take(LINKS_MAX).zip(2..) {
        let link = format!("<{url}>; rel=duplicate; pri={priority}");
        // A field for each: aria2 reads one link of a field.
        response.headers.append(LINK, HeaderValue::from_str(&link).map_err(|_| Refusal::Internal)?);
    }
    Ok(())
}

/// The relay that is best for the caller's network, or the next one for a network that was just sent there and asks again; and, for
/// a client that reads links, the next best.
fn to_relay(directory: &Directory, errand: &Errand<'_>) -> Option<(Target, Vec<Target>)> {
    let Errand { catalog, path, found, pinned, caller } = errand;
    let met = caller.goes().then(|| directory.met(caller.network(), &found.entry.blob));
    let asks_again = met.is_some_and(|met| met.last().is_some());
    let reads_links = errand.reads_links();
    let most = if asks_again || reads_links { ROUND } else { 1 };
    let mut targets = caller.of_artifact(catalog, path, found, *pinned, most);
    if targets.is_empty() {
        return None;
    }
    let turn = met.map_or(0, |met| {
        let order: Vec<PublicKey> = targets.iter().map(|target| target.relay).collect();
        let turn = directory.turn(&met, &order);
        // Whoever picks relays by name must not make them look busy to others.
        let picks = caller.query.relay.is_some() || !caller.query.avoid.is_empty();
        if let Some(relay) = order.get(turn).filter(|_| !picks) {
            directory.balance().note(relay, caller.wants(&found.entry));
        }
        turn
    });
    let target = targets.remove(turn);
    Some((target, if reads_links { targets } else { Vec::new() }))
}
