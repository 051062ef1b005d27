//! The admin listener of both daemons: whether the process lives, whether it should be sent traffic, what it measures.
//!
//! For a supervisor and a collector on this machine or an internal network; nothing secret is on it, and nothing that changes
//! anything is done for a caller from elsewhere, nor for a web page in a browser here ([`is_operator`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, ORIGIN};
use http::{HeaderValue, StatusCode};
use url::Url;

use crate::client::Ask;
use crate::metrics::{self, Metric};
use crate::refusal::Refusal;
use crate::serve::{Request, Response, Service};

/// The route that asks a daemon to leave.
pub const DRAIN: &str = "/drain";
/// The field that every request of an operator has: no page of another origin can make a browser send it unasked.
pub const ADMIN_FIELD: &str = "odi-admin";

/// Where what only the operator may ask begins.
pub const OPERATOR: &str = "/admin/";

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

    /// Answers the operator, for a target below [`OPERATOR`]. Who asks has been looked at.
    fn operate(&self, _request: Request) -> impl Future<Output = Response> + Send {
        async { Refusal::NotFound.into_response() }
    }

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
            (_, target) if target.starts_with(OPERATOR) => {
                if is_operator(&request) {
                    self.0.operate(request).await
                } else {
                    not_operator()
                }
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
            request.headers.get(ADMIN_FIELD).is_some_and(|value| value == HeaderValue::from_static("drain"));
        if !meant || !is_operator(request) {
            return not_operator();
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
    Ask::post(&url, "text/plain", Bytes::new()).header(ADMIN_FIELD, HeaderValue::from_static("drain"))
}

/// What the operator asks the daemon behind an admin listener, below [`OPERATOR`]: with a body it is a POST.
#[must_use]
pub fn operator_request(admin: &Url, target: &str, body: Option<Bytes>) -> Ask {
    let mut url = admin.clone();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{OPERATOR}{path}"));
    url.set_query(query);
    let ask = match body {
        Some(body) => Ask::post(&url, "application/json", body),
        None => Ask::get(&url),
    };
    ask.header(ADMIN_FIELD, HeaderValue::from_static("operate"))
}

/// Whether a request comes from a program of this machine, and from no page that a browser shows here: it has the field, which a page of
/// another origin may not set without being asked about it first; and it names the listener by an address, as no page does that was
/// loaded under a name that leads here now.
fn is_operator(request: &Request) -> bool {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let by_address = host.is_some_and(|host| {
        let bare = host.parse::<IpAddr>().ok();
        let with_port = || host.parse::<SocketAddr>().ok().map(|addr| addr.ip());
        bare.or_else(with_port).is_some_and(|ip| ip.to_canonical().is_loopback()) || is_localhost(host)
    });
    by_address
        && request.headers.contains_key(ADMIN_FIELD)
        && !request.headers.contains_key(ORIGIN)
        && request.peer.ip().to_canonical().is_loopback()
}

fn is_localhost(host: &str) -> bool {
    host.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("localhost"))
}

fn not_operator() -> Response {
    Refusal::Forbidden("only this machine's operator may ask that".into()).into_response()
}
