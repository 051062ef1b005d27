//! The admin listener of both daemons: whether the process lives, whether it should be sent traffic, what it measures.
//!
//! For a supervisor and a collector on this machine or an internal network; nothing secret is on it, and nothing that changes
//! anything is done for a caller from elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use url::Url;

use crate::client::Ask;
use crate::metrics::{self, Metric};
use crate::refusal::Refusal;
use crate::serve::{Request, Response, Service};

/// The route that asks a daemon to leave.
pub const DRAIN: &str = "/drain";
/// The field that a request to [`DRAIN`] has: no web page can make a browser send it.
pub const DRAIN_FIELD: &str = "odi-admin";

/// A daemon that can be looked at.
pub trait Examined: Send + Sync + 'static {
    /// Why the process should be started anew, if it should.
    ///
    /// # Errors
    /// In words.
    fn health(&self) -> Result<(), String>;

    /// Why it should not be sent traffic now, if it should not.
    ///
    /// # Errors
    /// In words.
    fn readiness(&self) -> Result<(), String>;

    /// What it measures.
    fn metrics(&self) -> Vec<Metric>;

    /// Begins to leave; false if it does not do that when asked.
    fn drain(&self) -> bool {
        false
    }
}

/// Answers for a daemon on its admin listener.
#[derive(Debug)]
pub struct Admin<E>(pub Arc<E>);

impl<E: Examined> Service for Admin<E> {
    async fn call(&self, request: Request) -> Response {
        match (request.method.as_str(), request.target()) {
            ("GET" | "HEAD", "/healthz") => verdict(self.0.health(), "ok\n"),
            ("GET" | "HEAD", "/readyz") => verdict(self.0.readiness(), "ready\n"),
            ("GET" | "HEAD", "/metrics") => {
                Response::ok(metrics::CONTENT_TYPE, metrics::page(self.0.metrics()))
            }
            ("POST", DRAIN) => self.drain(&request),
            (_, DRAIN) => Refusal::MethodNotAllowed { allow: "POST" }.into_response(),
            (_, "/healthz" | "/readyz" | "/metrics") => {
                Refusal::MethodNotAllowed { allow: "GET, HEAD" }.into_response()
            }
            _ => Refusal::NotFound.into_response(),
        }
    }
}

impl<E: Examined> Admin<E> {
    fn drain(&self, request: &Request) -> Response {
        let meant =
            request.headers.get(DRAIN_FIELD).is_some_and(|value| value == HeaderValue::from_static("drain"));
        if !meant || !request.peer.ip().to_canonical().is_loopback() {
            return Refusal::Forbidden("only this machine's operator may ask that".into()).into_response();
        }
        if self.0.drain() {
            Response { status: StatusCode::ACCEPTED, ..Response::ok("text/plain", "leaving\n") }
        } else {
            Refusal::NotFound.into_response()
        }
    }
}

fn verdict(examined: Result<(), String>, fit: &'static str) -> Response {
    match examined {
        Ok(()) => Response::ok("text/plain", fit),
        Err(why) => Response::new(StatusCode::SERVICE_UNAVAILABLE).with_body(format!("{why}\n")),
    }
}

/// Asks the daemon behind an admin listener to leave.
#[must_use]
pub fn drain_request(admin: &Url) -> Ask {
    let mut url = admin.clone();
    url.set_path(DRAIN);
    Ask::post(&url, "text/plain", Bytes::new()).header(DRAIN_FIELD, HeaderValue::from_static("drain"))
}
