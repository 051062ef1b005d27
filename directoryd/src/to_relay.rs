//! A directory's own requests to relays: signed with the relay's PSK, at one of its URLs, with a bounded answer.
//!
//! The error is a line for whoever reads the log, or for the relay's operator: it names what went wrong, not the relay.

use bytes::Bytes;
use odi_wire::client::{Ask, Reply};
use odi_wire::http::StatusCode;
use odi_wire::message::{CBOR, PublicUrl};
use odi_wire::request_signature::{key_id, sign};
use odi_wire::route::location;

use crate::directory::Directory;
use crate::probe::told;
use crate::roster::Registration;

/// What a relay is sent, and how much it may answer.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) path: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) reply_bytes_max: usize,
}

impl Post {
    /// Sends it to this URL of the relay; any status comes back.
    pub(crate) async fn send(
        self,
        directory: &Directory,
        registration: &Registration,
        url: &PublicUrl,
    ) -> Result<Reply, String> {
        let target =
            location(&url.to_url(), self.path).parse().map_err(|_| "its URL cannot be asked".to_owned())?;
        let ask = Ask::post(&target, CBOR, self.body).reply_bytes_max(self.reply_bytes_max as u64);
        let key = key_id(&directory.id, registration.generation);
        let signed = sign(ask, &registration.request_key, key, directory.clock.now(), directory.random());
        directory.client.send(signed).await.map_err(|error| told(&error))
    }

    /// The same to the relay's first URL.
    pub(crate) async fn send_first(
        self,
        directory: &Directory,
        registration: &Registration,
    ) -> Result<Reply, String> {
        let url = registration.urls.first().ok_or("it has no URL")?;
        self.send(directory, registration, url).await
    }
}

/// The whole body of an answer 200.
pub(crate) async fn body_of(reply: Reply) -> Result<Bytes, String> {
    if reply.status != StatusCode::OK {
        return Err(refused(reply.status));
    }
    reply.body.collect().await.map_err(|error| told(&error))
}

/// What is said of any other status.
pub(crate) fn refused(status: StatusCode) -> String {
    format!("it answered {status}")
}
