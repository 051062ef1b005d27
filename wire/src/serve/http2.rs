//! One HTTP/2 connection: hyper's, under the bounds that [`Limits`](crate::limits::Limits) name and it does not keep.
//!
//! Every request is a task of its own, owned by the connection and ended with it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::connection::{self, Shared};
use super::http2_activity::{Activity, OpenRequest, Verdict};
use super::http2_body::WatchedBody;
use super::message::Scheme;
use super::server::Service;
use super::stall::WriteGuard;
use crate::refusal::Refusal;

/// When to come back to a server that has too much at hand.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Serves one connection until it ends. Errors of the connection are the caller's doing and logged at debug level.
pub(super) async fn serve<S: Service, T>(shared: Arc<Shared<S>>, stream: T, peer: SocketAddr, scheme: Scheme)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &shared.limits;
    let guarded = TokioIo::new(WriteGuard::new(stream, limits));
    let activity = Activity::new(limits);
    let tasks = RequestTasks::default();
    let service = service_fn(|request| {
        let (shared, open) = (Arc::clone(&shared), activity.begin());
        async move { Ok::<_, Infallible>(exchange(&shared, request, peer, scheme, open).await) }
    });
    let connection = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits.h2_windows.0)
        .initial_connection_window_size(limits.h2_windows.1)
        .max_send_buf_size(limits.h2_send_buffer)
        .keep_alive_interval(limits.h2_ping_interval)
        .keep_alive_timeout(limits.h2_ping_timeout)
        .serve_connection(guarded, service);
    let mut connection = std::pin::pin!(connection);
    let ending = async {
        tokio::select! {
            verdict = activity.verdict(limits) => Some(verdict),
            () = shared.draining.cancelled() => None,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        ending = ending => match ending {
            // The server's own deadline bounds this; who stalls meanwhile is still cut off.
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => Some(ended),
                    verdict = activity.verdict(limits) => cut(verdict),
                }
            }
            Some(Verdict::Idle) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(limits.h2_ping_timeout, connection.as_mut()).await.ok()
            }
            Some(verdict) => cut(verdict),
        },
    };
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    tasks.end().await;
}

fn cut<T>(verdict: Verdict) -> Option<T> {
    tracing::debug!(?verdict, "a connection is cut");
    None
}

async fn exchange<S: Service>(
    shared: &Shared<S>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    scheme: Scheme,
    mut open: OpenRequest,
) -> hyper::Response<WatchedBody> {
    let is_head = request.method() == Method::HEAD;
    let permit = Arc::clone(&shared.h2_requests).try_acquire_owned();
    let (response, caller) = match (framing(&request, shared.limits.head_fields), permit) {
        (Err(refusal), _) => (refusal.into_response(), peer),
        (Ok(()), Err(_)) => {
            (Refusal::unavailable("too many requests at once", RETRY_AFTER).into_response(), peer)
        }
        (Ok(()), Ok(permit)) => {
            open.hold(permit);
            connection::answered(shared, request, peer, scheme).await
        }
    };
    open.answered();
    connection::sized(shared, response, is_head, caller).map(|body| WatchedBody::new(body, open))
}

/// Refuses what a proxy would translate to something else in HTTP/1.1 (RFC 9113, 8.2.2 and 8.3.1).
fn framing(request: &hyper::Request<Incoming>, fields_max: usize) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.len() > fields_max {
        return Err(Refusal::TooManyFields);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::LengthRequired);
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::bad_request("more than one Content-Length"));
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let mut hosts = headers.get_all(HOST).iter();
    match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(Refusal::bad_request("more than one Host")),
        (None, None, None) => return Err(Refusal::bad_request("no Host")),
        (Some(authority), Some(host), None) if host != authority => {
            return Err(Refusal::bad_request("Host is not the authority"));
        }
        _ => {}
    }
    connection::judge_target(request)
}

/// The tasks of one connection's requests.
#[derive(Clone, Debug, Default)]
struct RequestTasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for RequestTasks {
    fn execute(&self, request: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(joined) = tasks.try_join_next() {
            super::server::report(joined);
        }
        tasks.spawn(request);
    }
}

impl RequestTasks {
    /// Ends and joins what is left.
    async fn end(self) {
        let mut left = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        left.shutdown().await;
    }
}
