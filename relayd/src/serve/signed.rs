//! Requests that a directory signs with the key it shares with this relay (wire/PROTOCOL.md § Signed requests).

use std::sync::Arc;

use bytes::Bytes;
use odi_manifest::PublicKey;
use odi_wire::refusal::Refusal;
use odi_wire::request_signature::Received;
use odi_wire::serve::Request;

use crate::directory::Directory;
use crate::relay::Relay;

/// What a directory signed.
pub(super) struct Signed {
    pub(super) body: Bytes,
    pub(super) directory: Arc<Directory>,
    /// Of the registration whose secret it signed with.
    pub(super) generation: u64,
}

impl Signed {
    /// Notes that the directory signs by a registration that it has taken; a challenge may be signed by one that it never will.
    pub(super) fn is_taken(&self, relay: &Relay) {
        let (generation, now) = (self.generation, relay.clock.now());
        // Written with whatever is remembered next: forgotten in a crash, the former secret is good a little longer.
        self.directory.acquaintance().change_secret(|secret| secret.used(generation, now));
    }
}

/// Reads a signed request. Whatever is wrong with it, the caller learns only that it is not authorized.
pub(super) async fn read(relay: &Relay, request: &mut Request, body_max: usize) -> Result<Signed, Refusal> {
    let body = request.read_body(body_max).await?;
    let me = relay.identity.public_key();
    let received = Received {
        method: &request.method,
        target: request.target(),
        headers: &request.headers,
        body: &body,
    };
    let now = relay.clock.now();
    let signer = relay.verifier().verify(received, now, |id| {
        find(relay, &id.directory).and_then(|directory| directory.request_key(&me, id.generation, now))
    })?;
    let directory = find(relay, &signer.directory).ok_or(Refusal::Unauthorized)?;
    let generation = signer.generation;
    Ok(Signed { body, directory, generation })
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
