//! `POST /.well-known/odi/challenge`: proof, to a directory that knows the shared key, that this URL is this relay's.

use odi_wire::message::{CBOR, CHALLENGE_BYTES_MAX, Challenge};
use odi_wire::refusal::Refusal;
use odi_wire::request_signature::authority;
use odi_wire::serve::{Request, Response};

use super::signed::{self, Signed};
use crate::relay::Relay;

/// Answers one challenge. Whatever is wrong with it, the caller learns only that it is not authorized.
pub(super) async fn answer(relay: &Relay, request: &mut Request) -> Result<Response, Refusal> {
    let Signed { body, directory, generation } = signed::read(relay, request, CHALLENGE_BYTES_MAX).await?;
    let challenge = Challenge::decode(&body).map_err(|_| Refusal::Unauthorized)?;
    signed::same(&directory, &challenge.dir)?;
    let (me, now) = (relay.identity.public_key(), relay.clock.now());
    let key = directory.answer_key(&me, generation, now).ok_or(Refusal::Unauthorized)?;
    // The signature covered one of our own authorities; the answer names the public URL that it belongs to.
    let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let urls = &relay.config.public_urls;
    let url = urls
        .iter()
        .find(|url| authority(&url.to_url()) == host)
        .or_else(|| urls.first())
        .ok_or(Refusal::Internal)?;
    let answer = challenge.answer(url, &key, relay.identity.signer()).map_err(|_| Refusal::Internal)?;
    Ok(Response::ok(CBOR, answer.encode().map_err(|_| Refusal::Internal)?))
}
