//! The two-key challenge of a registration: whoever answers at each of its URLs holds both secrets of the relay.
//!
//! One small request per URL, nothing else is ever sent there before it was answered.

use odi_wire::client::Ask;
use odi_wire::http::StatusCode;
use odi_wire::message::{CBOR, CHALLENGE_BYTES_MAX, Challenge, ChallengeAnswer, PublicUrl};
use odi_wire::request_signature::{key_id, sign};
use odi_wire::route::{CHALLENGE, location};

use crate::directory::Directory;
use crate::probe::told;
use crate::roster::Registration;

/// Challenges every URL of a registration; the error is a line for the relay's operator.
pub(crate) async fn challenge(directory: &Directory, registration: &Registration) -> Result<(), String> {
    for url in &registration.urls {
        let answered = challenge_url(directory, registration, url).await;
        answered.map_err(|why| format!("the challenge at {url} failed: {why}"))?;
    }
    Ok(())
}

async fn challenge_url(
    directory: &Directory,
    registration: &Registration,
    url: &PublicUrl,
) -> Result<(), String> {
    let challenge = Challenge { v: 1, dir: directory.id, nonce: directory.random() };
    let body = challenge.encode().map_err(|error| error.to_string())?;
    let target =
        location(&url.to_url(), CHALLENGE).parse().map_err(|_| "its URL cannot be asked".to_owned())?;
    let ask = Ask::post(&target, CBOR, body).reply_bytes_max(CHALLENGE_BYTES_MAX as u64);
    let key = key_id(&directory.id, registration.generation);
    let signed = sign(ask, &registration.request_key, key, directory.clock.now(), directory.random());
    let reply = directory.client.send(signed).await.map_err(|error| told(&error))?;
    if reply.status != StatusCode::OK {
        return Err(format!("it answered {}", reply.status));
    }
    let body = reply.body.collect().await.map_err(|error| told(&error))?;
    let answer = ChallengeAnswer::decode(&body).map_err(|_| "it answered something else".to_owned())?;
    challenge
        .check(&answer, url, &registration.answer_key, &registration.relay)
        .map_err(|refusal| refusal.to_string())
}
