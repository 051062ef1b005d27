//! `POST /odi/v1/look`: a directory wants to know what another relay gives this one, which its operator agreed to.
//!
//! It is no way to have anything else asked: the URL is that of a relay which said so itself, at a pin, and of few bytes.

use std::time::Duration;

use odi_wire::client::{Ask, Guise};
use odi_wire::fetch::Party;
use odi_wire::http::{Method, StatusCode};
use odi_wire::message::{CBOR, LOOK_BYTES_MAX, Look, Looked, SEEN_BYTES_MAX};
use odi_wire::refusal::Refusal;
use odi_wire::route::{self, Place, Route};
use odi_wire::serve::{Request, Response};
use url::Url;

use super::signed::{self, Signed};
use crate::relay::Relay;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks once.
pub(super) async fn answer(relay: &Relay, request: &mut Request) -> Result<Response, Refusal> {
    let signed = signed::read(relay, request, LOOK_BYTES_MAX).await?;
    signed.is_taken(relay);
    let Signed { body, directory, .. } = signed;
    let look = Look::decode(&body).map_err(|_| Refusal::Unauthorized)?;
    signed::same(&directory, &look.dir)?;
    if !relay.terms().vantage || directory.is_introduced() {
        return Err(Refusal::Forbidden("this relay looks at no others".into()));
    }
    let url = of_a_relay(relay, &look.url)
        .ok_or_else(|| Refusal::Forbidden("that is no artifact of a relay that is known here".into()))?;
    let now = relay.clock.now();
    relay.meter.admit(now)?;
    let _turn = relay.looks.take(look.dir, now).map_err(|retry_after| Refusal::Busy { retry_after })?;
    let looked = tokio::time::timeout(PATIENCE, see(relay, &url, &look)).await;
    let looked = looked.ok().flatten().unwrap_or_else(Looked::nothing);
    Ok(Response::ok(CBOR, looked.encode().map_err(|_| Refusal::Internal)?))
}

/// The URL, if it is that of an artifact at a pin of another relay whose signed inventory is known.
fn of_a_relay(relay: &Relay, url: &str) -> Option<Url> {
    let url: Url = url.parse().ok()?;
    let party = Party::of(&url);
    let is_relay = relay.peers.reach(&party);
    let is_bare = url.query().is_none() && url.fragment().is_none();
    let route = route::parse(&Method::GET, url.path()).ok()?;
    let is_pinned = matches!(route, Route::Pinned { place: Place::Artifact(_), .. });
    (is_relay && is_bare && is_pinned).then_some(url)
}

/// As an ordinary client; `None` if nothing usable comes.
async fn see(relay: &Relay, url: &Url, look: &Look) -> Option<Looked> {
    let most = look.range().map_or(SEEN_BYTES_MAX, |range| range.end - range.start);
    let mut draw = [0; 4];
    getrandom::fill(&mut draw).ok()?;
    let mut ask = Ask::get(url).reply_bytes_max(most).disguised(Guise::drawn(u32::from_le_bytes(draw)));
    if let Some(range) = look.range() {
        ask = ask.range(range);
    }
    let reply = relay.client.send(ask).await.ok()?;
    let status = reply.status.as_u16();
    if !matches!(reply.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Some(Looked { status, ..Looked::nothing() });
    }
    let bytes = reply.body.collect().await.ok()?;
    Some(Looked { v: 1, status, bytes: bytes.into() })
}
