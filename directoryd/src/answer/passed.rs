//! What other directories ask about relays: newer statements of some, and what is held against any.

use std::time::Duration;

use bytes::Bytes;
use odi_manifest::BlobId;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{CBOR, WANTED_BYTES_MAX, decode_wanted, encode_passed};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Request, Response};
use tokio::time::Instant;

use crate::directory::Directory;
use crate::network::Network;

/// The newest inventories of live relays that are newer than the caller's.
pub(super) async fn statements(directory: &Directory, mut request: Request) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let body = request.read_body(WANTED_BYTES_MAX).await?;
    let wanted = decode_wanted(&body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let now = directory.clock.now();
    let newer: Vec<Bytes> = {
        let roster = directory.relays.roster();
        let newer = wanted.iter().filter_map(|(relay, generation)| {
            let member = roster.member(relay).filter(|member| member.is_alive(now))?;
            let said = member.announced().filter(|said| said.inventory.generation > *generation)?;
            Some(said.envelope.clone())
        });
        newer.collect()
    };
    let answer = off_worker(move || encode_passed(newer.iter().map(Bytes::as_ref))).await;
    Ok(fresh(answer.into()))
}

/// What is held against relays; with `unlike`, once it has another hash than that or the time is up (204).
pub(super) async fn reports(
    directory: &Directory,
    request: &Request,
    unlike: Option<BlobId>,
    wait: Duration,
) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let mut published = directory.reports.watch();
    let end = Instant::now() + wait;
    loop {
        let answer = published.borrow_and_update().clone();
        if unlike.is_none_or(|known| answer.0 != known) {
            return Ok(fresh(answer.1.clone()));
        }
        tokio::select! {
            () = tokio::time::sleep_until(end) => return Ok(Response::new(StatusCode::NO_CONTENT)),
            // The sender lives in the directory.
            _ = published.changed() => {}
        }
    }
}

fn fresh(answer: Bytes) -> Response {
    Response::ok(CBOR, answer).with_header("cache-control", HeaderValue::from_static("no-store"))
}
