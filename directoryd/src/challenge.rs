//! The two-key challenge of a registration: whoever answers at each of its URLs holds both secrets of the relay.
//!
//! One small request per URL, nothing else is ever sent there before it was answered.

use odi_wire::message::{CHALLENGE_BYTES_MAX, Challenge, ChallengeAnswer, PublicUrl};
use odi_wire::route::CHALLENGE;

use crate::directory::Directory;
use crate::roster::Registration;
use crate::to_relay::{Post, body_of};

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
    let post = Post { path: CHALLENGE, body, reply_bytes_max: CHALLENGE_BYTES_MAX };
    let body = body_of(post.send(directory, registration, url).await?).await?;
    let answer = ChallengeAnswer::decode(&body).map_err(|_| "it answered something else".to_owned())?;
    challenge
        .check(&answer, url, &registration.answer_key, &registration.relay)
        .map_err(|refusal| refusal.to_string())
}
