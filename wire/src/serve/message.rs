//! Requests and responses as a service sees them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::Body;
use super::stall::StallMeter;
use crate::refusal::Refusal;

/// Which scheme the caller used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// One request, its head read and bounded.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as sent. Only [`route::parse`](crate::route::parse) reads its path.
    pub uri: Uri,
    /// The header fields. `Host` and the `X-Forwarded-` fields among them are the caller's claims.
    pub headers: HeaderMap,
    /// Who asks: who connected, or whom a trusted proxy names (with port 0).
    pub peer: SocketAddr,
    /// How they ask: as the listener says, or a trusted proxy.
    pub scheme: Scheme,
    pub(super) body: RequestBody,
}

/// A body not yet read.
#[derive(Debug)]
pub(super) enum RequestBody {
    Read(Bytes),
    Incoming { incoming: Incoming, max_bytes: usize, stall: StallMeter, progress: Progress },
}

/// When a request last came on: its head, or a piece of its body. The time for an answer counts from there, so that
/// a long upload over a slow line is not mistaken for a service that hangs.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Request {
    /// A request that no socket carried, for tests of services.
    ///
    /// # Panics
    /// When `target` is no request target.
    #[must_use]
    pub fn test(method: Method, target: &str) -> Self {
        Self {
            method,
            uri: target.parse().expect("a test's target is well formed"),
            headers: HeaderMap::new(),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            scheme: Scheme::Http,
            body: RequestBody::Read(Bytes::new()),
        }
    }

    /// The same with a header field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a test's header value is well formed");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = RequestBody::Read(body.into());
        self
    }

    /// Path and query as sent, for [`route::parse`](crate::route::parse).
    #[must_use]
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }

    /// Reads the whole body, at most `max_bytes` of it; a second call reads nothing.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], known from `Content-Length` before a byte is read; [`Refusal::BadRequest`] when the
    /// caller breaks off or stalls.
    pub async fn read_body(&mut self, max_bytes: usize) -> Result<Bytes, Refusal> {
        let body = std::mem::replace(&mut self.body, RequestBody::Read(Bytes::new()));
        let (mut incoming, max_bytes, mut stall, progress) = match body {
            RequestBody::Read(bytes) if bytes.len() > max_bytes => return Err(too_large(max_bytes)),
            RequestBody::Read(bytes) => return Ok(bytes),
            RequestBody::Incoming { incoming, max_bytes: cap, stall, progress } => {
                (incoming, max_bytes.min(cap), stall, progress)
            }
        };
        let declared = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: u64| declared > max_bytes as u64) {
            return Err(too_large(max_bytes));
        }
        let mut all = BytesMut::new();
        loop {
            let began = Instant::now();
            let patience = stall.patience();
            let Ok(frame) = tokio::time::timeout(patience, incoming.frame()).await else {
                if stall.blocked(began.elapsed().max(patience)) {
                    return Err(Refusal::bad_request("the request body stalled"));
                }
                continue;
            };
            let Some(frame) = frame else { return Ok(all.freeze()) };
            let frame = frame.map_err(|_| Refusal::bad_request("the request body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            progress.made();
            stall.moved(data.len());
            if stall.blocked(began.elapsed()) {
                return Err(Refusal::bad_request("the request body stalled"));
            }
            if all.len().saturating_add(data.len()) > max_bytes {
                return Err(too_large(max_bytes));
            }
            all.extend_from_slice(&data);
        }
    }
}

const fn too_large(max_bytes: usize) -> Refusal {
    Refusal::TooLarge { max_bytes: max_bytes as u64 }
}

/// The fields of most redirects, `Content-Length` among them.
const REDIRECT_FIELDS: usize = 12;

/// One response. The server adds `Date`, `Content-Length` and, when draining, `Connection: close`.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields. For the answer to HEAD, and only there, `Content-Length` may be set beside an empty body.
    pub headers: HeaderMap,
    /// What follows.
    pub body: Body,
}

impl Response {
    /// A response of this status without headers or body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// A 200 of this media type, which nobody is to guess otherwise.
    #[must_use]
    pub fn ok(content_type: &'static str, body: impl Into<Body>) -> Self {
        Self::new(StatusCode::OK)
            .with_header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .with_body(body)
    }

    /// A redirect that nobody caches, to a `Location` that the caller of this built from its own registry, never
    /// from request headers.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when `location` cannot stand in a header.
    pub fn redirect(status: StatusCode, location: &str) -> Result<Self, Refusal> {
        HeaderValue::from_str(location)
            .map(|location| Self::redirect_to(status, location))
            .map_err(|_| Refusal::Internal)
    }

    /// The same to a `Location` that is in its header's form already.
    #[must_use]
    pub fn redirect_to(status: StatusCode, location: HeaderValue) -> Self {
        // Room for what a directory adds too: a table that grows is made twice.
        let mut headers = HeaderMap::with_capacity(REDIRECT_FIELDS);
        headers.insert(http::header::LOCATION, location);
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(http::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let body = "the file is at the address in the Location header; with curl, use -L\n".into();
        Self { status, headers, body }
    }

    /// The same with a header field, in place of any of that name.
    #[must_use]
    pub fn with_header(mut self, name: impl http::header::IntoHeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with_header(http::header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)))
    }
}
