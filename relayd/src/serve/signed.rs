//! Requests that a directory signs with the key it shares with this relay (wire/PROTOCOL.md § Signed requests).

use std::sync::Arc;

use bytes::Bytes;
use odi_manifest::PublicKey;
use odi_wire::refusal::Refusal;
use odi_wire::request_signature::Received;
use odi_wire::serve::Request;

use crate::directory::Directory;
use crate::relay::Relay;

/// Reads a signed request: its body, and the directory that signed it. Whatever is wrong with it, the caller learns only
/// that it is not authorized.
pub(super) async fn read(
    relay: &Relay,
    request: &mut Request,
    body_max: usize,
) -> Result<(Bytes, Arc<Directory>), Refusal> {
    let body = request.read_body(body_max).await?;
    let me = relay.identity.public_key();
    let received = Received {
        method: &request.method,
        target: request.target(),
        headers: &request.headers,
        body: &body,
    };
    let signer = relay.verifier().verify(received, relay.clock.now(), |id| {
        find(relay, &id.directory).and_then(|directory| directory.request_key(&me))
    })?;
    let directory = find(relay, &signer.directory).ok_or(Refusal::Unauthorized)?;
    Ok((body, directory))
}

/// The directory that is meant by a body, if it is the one that signed.
pub(super) fn same(directory: &Directory, claimed: &PublicKey) -> Result<(), Refusal> {
    let is = directory.acquaintance().key().is_some_and(|known| known == *claimed);
    if is { Ok(()) } else { Err(Refusal::Unauthorized) }
}

fn find(relay: &Relay, key: &[u8; 32]) -> Option<Arc<Directory>> {
    let is = |directory: &&Arc<Directory>| {
        directory.acquaintance().key().is_some_and(|known| known.as_bytes() == key)
    };
    relay.directories.all().iter().find(is).cloned()
}
