//! What this relay has given of a catalog to ordinary clients: counts, and nothing about who they were. Directories are told in every
//! inventory, and show it beside what they know themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use odi_manifest::Timestamp;
use odi_wire::http::{Method, StatusCode};
use odi_wire::message::Sent;
use odi_wire::range;
use odi_wire::serve::{Body, Request, Response};

/// The counts since a catalog is followed. They begin again with the process.
#[derive(Debug)]
pub struct Given {
    since: Timestamp,
    bodies: AtomicU64,
    bytes: Arc<AtomicU64>,
}

impl Given {
    /// Nothing yet.
    #[must_use]
    pub fn since(now: Timestamp) -> Self {
        Self { since: now, bodies: AtomicU64::new(0), bytes: Arc::default() }
    }

    /// As directories are told.
    #[must_use]
    pub fn said(&self) -> Sent {
        Sent {
            since: self.since,
            bodies: self.bodies.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// The answer to a request for an artifact of that size, counted: as a download if it begins at the first byte, and its bytes as they
    /// leave.
    #[must_use]
    pub fn counted(&self, request: &Request, size: u64, response: Response) -> Response {
        let has_bytes = matches!(response.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if request.method != Method::GET || !has_bytes {
            return response;
        }
        if range::wants_first_byte(&request.headers, size) {
            self.bodies.fetch_add(1, Ordering::Relaxed);
        }
        let body = match response.body {
            Body::Stream { len, stream } => {
                let bytes = Arc::clone(&self.bytes);
                let stream = stream.inspect(move |piece| {
                    let sent = piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    bytes.fetch_add(sent, Ordering::Relaxed);
                });
                Body::stream(len, stream)
            }
            whole => {
                self.bytes.fetch_add(whole.len(), Ordering::Relaxed);
                whole
            }
        };
        Response { body, ..response }
    }
}
