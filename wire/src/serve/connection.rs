//! One HTTP/1.1 connection, and what HTTP/2 shares with it: requests become [`Request`]s, the service's [`Response`]s become HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::body::{Body, SizedBody};
use super::forwarded::TrustedProxies;
use super::message::{Progress, Request, RequestBody, Response, Scheme};
use super::parking::{LOOK_EVERY, Line, Socket};
use super::server::Service;
use super::stall::{StallMeter, WriteGuard};
use super::throttle::{Flow, Throttle};
use crate::limits::{Limits, TARGET_BYTES_MAX};
use crate::refusal::Refusal;
use crate::tls::Certificates;

/// What every connection of a server shares.
pub(super) struct Shared<S> {
    pub(super) service: Arc<S>,
    pub(super) limits: Limits,
    pub(super) proxies: TrustedProxies,
    /// What all connections together may send.
    pub(super) throttle: Option<Arc<Throttle>>,
    /// Requests that may be at work over HTTP/2, all connections together.
    pub(super) h2_requests: Arc<Semaphore>,
    /// Whose proofs are shown to certificate authorities.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Cancelled when the server drains: finish the request at hand, then close.
    pub(super) draining: CancellationToken,
}

/// hyper refuses a buffer below this.
const BUFFER_BYTES_MIN: usize = 8192;

/// Serves one connection until it ends. Errors of the connection are the caller's doing and logged at debug level.
pub(super) async fn serve<S: Service, T>(shared: Arc<Shared<S>>, stream: T, peer: SocketAddr, scheme: Scheme)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let line = Line::new();
    let mut socket = Socket::new(WriteGuard::new(stream, &shared.limits), Arc::clone(&line));
    loop {
        let deadline = line.quiet_since() + shared.limits.head_timeout;
        let asks = tokio::select! {
            asks = tokio::time::timeout_at(deadline, socket.first_bytes()) => asks,
            () = shared.draining.cancelled() => return,
        };
        if !matches!(asks, Ok(Ok(true))) {
            return;
        }
        // Boxed, so that a connection that is parked is small.
        match Box::pin(converse(&shared, socket, &line, peer, scheme)).await {
            Some(parked) => socket = parked,
            None => return,
        }
    }
}

/// Answers requests until the connection ends, or has been quiet for a while and is given back.
async fn converse<S: Service, T>(
    shared: &Arc<Shared<S>>,
    socket: Socket<T>,
    line: &Arc<Line>,
    peer: SocketAddr,
    scheme: Scheme,
) -> Option<Socket<T>>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &shared.limits;
    let service = service_fn(|request| {
        let (shared, answering) = (Arc::clone(shared), line.ask());
        async move {
            let response = exchange(&shared, request, peer, scheme).await;
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    });
    // The looks below keep the time for heads: a timer of hyper's would be made and unmade with every request.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(socket), service);
    let began = Instant::now();
    let next_look = || line.head_due(began, limits.head_timeout).min(Instant::now() + LOOK_EVERY);
    let mut look = std::pin::pin!(tokio::time::sleep_until(next_look()));
    let mut asked = line.asked();
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut connection => break ended,
            () = shared.draining.cancelled() => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                break connection.await;
            }
            () = look.as_mut() => {
                if line.is_quiet() && line.asked() == asked {
                    let parts = connection.into_parts();
                    let mut socket = parts.io.into_inner();
                    socket.put_back(&parts.read_buf);
                    return Some(socket);
                }
                if line.awaits_head() && Instant::now() >= line.head_due(began, limits.head_timeout) {
                    tracing::debug!("a request's head took too long");
                    return None;
                }
                asked = line.asked();
                look.as_mut().reset(if line.awaits_head() { next_look() } else { Instant::now() + LOOK_EVERY });
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    None
}

async fn exchange<S: Service>(
    shared: &Shared<S>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    scheme: Scheme,
) -> hyper::Response<SizedBody> {
    let is_head = request.method() == Method::HEAD;
    let mut closes = false;
    let (response, caller) = match framing(&request, shared.limits.head_fields) {
        Err(refusal) => {
            closes = true;
            (refusal.into_response(), peer)
        }
        Ok(()) => answered(shared, request, peer, scheme).await,
    };
    let mut sent = sized(shared, response, is_head, caller);
    if closes {
        sent.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    sent
}

/// What the service says to a request whose framing is sound, and who asked.
pub(super) async fn answered<S: Service>(
    shared: &Shared<S>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    scheme: Scheme,
) -> (Response, SocketAddr) {
    let proof = shared.certificates.as_ref().filter(|_| scheme == Scheme::Http);
    if let Some(proof) =
        proof.and_then(|certificates| certificates.proofs().http_answer(request.uri().path()))
    {
        return (Response::ok("application/octet-stream", proof), peer);
    }
    let progress = Progress::begin();
    let request = admit(shared, request, peer, scheme, progress.clone());
    let caller = request.peer;
    (answer(shared, request, progress).await, caller)
}

/// Refuses what a proxy before us might have read differently. A request refused here closes the connection.
fn framing(request: &hyper::Request<Incoming>, fields_max: usize) -> Result<(), Refusal> {
    let headers = request.headers();
    // hyper's own bound is 100. To be told another, it would clear a table of that size for every request.
    if headers.len() > fields_max {
        return Err(Refusal::TooManyFields);
    }
    // hyper drops Content-Length beside Transfer-Encoding, so a smuggling attempt looks like any chunked request
    // here. No client of ODI sends one: refusing all of them leaves nothing to disagree about.
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::LengthRequired);
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::bad_request("more than one Content-Length"));
    }
    match headers.get_all(HOST).iter().count() {
        1 => {}
        0 if request.version() == Version::HTTP_10 => {}
        0 => return Err(Refusal::bad_request("no Host")),
        _ => return Err(Refusal::bad_request("more than one Host")),
    }
    judge_target(request)
}

/// Refuses targets that name nothing.
pub(super) fn judge_target(request: &hyper::Request<Incoming>) -> Result<(), Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD, POST" });
    }
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    Ok(())
}

fn admit<S>(
    shared: &Shared<S>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    scheme: Scheme,
    progress: Progress,
) -> Request {
    let (head, incoming) = request.into_parts();
    let body = RequestBody::Incoming {
        incoming,
        max_bytes: shared.limits.body_bytes,
        stall: StallMeter::of(&shared.limits),
        progress,
    };
    let (peer, scheme) = shared.proxies.caller(peer, scheme, &head.headers);
    Request { method: head.method, uri: head.uri, headers: head.headers, peer, scheme, body }
}

/// Asks the service, and answers for it when it panics or hangs.
async fn answer<S: Service>(shared: &Shared<S>, request: Request, progress: Progress) -> Response {
    let (method, target) = (request.method.clone(), request.uri.clone());
    // Boxed: a connection keeps room for its largest answer for as long as it is open, and most are idle.
    let mut call = Box::pin(AssertUnwindSafe(async { shared.service.call(request).await }).catch_unwind());
    loop {
        let deadline = progress.last() + shared.limits.answer_timeout;
        match tokio::time::timeout_at(deadline, call.as_mut()).await {
            Ok(Ok(response)) => return response,
            Ok(Err(panic)) => {
                let said = panic
                    .downcast_ref::<&'static str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                tracing::error!(%method, %target, said, "BUG: a request made the service panic");
                return Refusal::Internal.into_response();
            }
            Err(_) if progress.last() + shared.limits.answer_timeout > deadline => {}
            Err(_) => {
                tracing::warn!(%method, %target, "a request took too long to answer");
                return Refusal::unavailable("the answer took too long", Duration::from_secs(10))
                    .into_response();
            }
        }
    }
}

/// About what a response's head takes: its status line, `Date` and `Connection`, and its fields.
fn head_bytes(headers: &HeaderMap) -> u64 {
    const FIXED: u64 = 96;
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum::<u64>() + FIXED
}

/// The response with its exact length, and its body in the line that this caller waits in.
pub(super) fn sized<S>(
    shared: &Shared<S>,
    response: Response,
    is_head: bool,
    caller: SocketAddr,
) -> hyper::Response<SizedBody> {
    let Response { status, headers, mut body } = response;
    let mut sent = hyper::Response::new(());
    *sent.status_mut() = status;
    *sent.headers_mut() = headers;
    let has_no_body =
        status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length_is_set = is_head && body.is_empty() && sent.headers().contains_key(CONTENT_LENGTH);
    if has_no_body {
        sent.headers_mut().remove(CONTENT_LENGTH);
        body = Body::Empty;
    } else if !length_is_set {
        sent.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if is_head {
        body = Body::Empty;
    }
    let throttle = shared.throttle.as_ref();
    let flow = throttle.map(|throttle| Flow::begin(throttle, caller.ip(), head_bytes(sent.headers()), &body));
    sent.map(|()| SizedBody::new(body, flow))
}
