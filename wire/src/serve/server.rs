//! Listeners, their accept loops, and the way they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Permit};
use super::connection::{self, Shared};
use super::forwarded::TrustedProxies;
use super::http2;
use super::listen::{Listen, Protocol, Socket};
use super::message::{Request, Response};
use super::open_files;
use super::throttle::Throttle;
use crate::limits::Limits;
use crate::tls::Certificates;

/// Sent to a connection over a limit, before it is closed.
const OVER_LIMIT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 21\r\n\
    Content-Type: text/plain\r\nConnection: close\r\n\r\ntoo many connections\n";

/// What answers requests. A refusal is a response like any other; a panic becomes a 500.
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// Why a server is not serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The operator's address is taken, or not ours.
    #[error("listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Our bug: an accept loop ended though nobody asked it to.
    #[error("an accept loop ended")]
    AcceptLoopEnded {
        /// How, when it panicked.
        source: Option<JoinError>,
    },
    /// Our bug: nobody wakes the answers that wait for their turn in the bandwidth limit.
    #[error("what paces the answers ended")]
    PacerEnded {
        /// How, when it panicked.
        source: Option<JoinError>,
    },
}

/// Listening sockets, not yet served.
#[derive(Debug)]
pub struct Server<L: Listen = Socket> {
    listeners: Vec<(L, SocketAddr)>,
    limits: Limits,
    proxies: TrustedProxies,
    throttle: Option<Arc<Throttle>>,
    /// Whose proofs a certificate authority may ask for on the plain listeners.
    certificates: Option<Arc<Certificates>>,
}

impl Server {
    /// Listens on plain TCP; port 0 takes a free port. Connections wait in the kernel until [`Server::spawn`].
    /// Raises the process's limit of open files to what the limits need, as far as the system allows.
    ///
    /// # Errors
    /// [`ServeError::Bind`] names the address.
    pub async fn bind(addrs: &[SocketAddr], limits: Limits) -> Result<Self, ServeError> {
        open_files::make_room_for(limits.connections);
        Self::over(Vec::new(), limits).and_listen(addrs, None).await
    }

    /// The same on `addrs` with TLS, if there are certificates, and on `plain` without.
    ///
    /// # Errors
    /// [`ServeError::Bind`] names the address.
    pub async fn bind_public(
        addrs: &[SocketAddr],
        plain: &[SocketAddr],
        certificates: Option<Arc<Certificates>>,
        limits: Limits,
    ) -> Result<Self, ServeError> {
        let server = Self::bind(&[], limits).await?.and_listen(addrs, certificates.as_ref()).await?;
        let server = server.and_listen(plain, None).await?;
        Ok(Self { certificates, ..server })
    }

    async fn and_listen(
        mut self,
        addrs: &[SocketAddr],
        tls: Option<&Arc<Certificates>>,
    ) -> Result<Self, ServeError> {
        for addr in addrs {
            let bind = async {
                let listener = Socket::bind(*addr, tls).await?;
                let local = listener.local_addr()?;
                Ok((listener, local))
            };
            self.listeners.push(bind.await.map_err(|source| ServeError::Bind { addr: *addr, source })?);
        }
        Ok(self)
    }
}

impl<L: Listen> Server<L> {
    /// Serves other listeners than sockets; each with the address it is known by.
    #[must_use]
    pub fn over(listeners: Vec<(L, SocketAddr)>, limits: Limits) -> Self {
        Self { listeners, limits, proxies: TrustedProxies::default(), throttle: None, certificates: None }
    }

    /// Believes these proxies about who asks and how; they may open more connections than one address otherwise may.
    #[must_use]
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Holds all that is sent, over every connection, to this budget.
    #[must_use]
    pub fn limited_by(mut self, throttle: Arc<Throttle>) -> Self {
        self.throttle = Some(throttle);
        self
    }

    /// The addresses in use, in the order given to `bind`.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, addr)| *addr).collect()
    }

    /// Starts serving. Must be called within a tokio runtime.
    pub fn spawn<S: Service>(self, service: Arc<S>) -> Running {
        let local_addrs = self.local_addrs();
        let draining = CancellationToken::new();
        let admission = Admission::new(&self.limits, self.proxies.clone());
        let shared = Arc::new(Shared {
            service,
            h2_requests: Arc::new(Semaphore::new(self.limits.h2_requests)),
            limits: self.limits,
            proxies: self.proxies,
            throttle: self.throttle.clone(),
            certificates: self.certificates,
            draining: draining.clone(),
        });
        let mut accepting = JoinSet::new();
        for (listener, addr) in self.listeners {
            accepting.spawn(accept_loop(
                Arc::clone(&shared),
                Arc::clone(&admission),
                Arc::new(listener),
                addr,
            ));
        }
        let mut pacing = JoinSet::new();
        if let Some(throttle) = self.throttle {
            pacing.spawn(throttle.run());
        }
        Running { accepting, pacing, draining, admission, local_addrs }
    }
}

/// A server at work. Dropping it cuts every connection; [`Running::drain`] is the polite way.
#[derive(Debug)]
pub struct Running {
    /// One task per listener, each owning its connections.
    accepting: JoinSet<()>,
    /// Wakes the answers that waited for their turn; ends after the last connection.
    pacing: JoinSet<()>,
    draining: CancellationToken,
    admission: Arc<Admission>,
    local_addrs: Vec<SocketAddr>,
}

/// How many connections a server has.
#[derive(Clone, Debug)]
pub struct Load(Arc<Admission>);

impl Load {
    /// Connections open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.0.open_connections()
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still at work at the deadline and were cut.
    pub cut: usize,
}

impl Running {
    /// The addresses in use.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Connections open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.admission.open_connections()
    }

    /// A look at the connections, for whoever measures.
    #[must_use]
    pub fn load(&self) -> Load {
        Load(Arc::clone(&self.admission))
    }

    /// Waits until an accept loop or the pacer has died: a server that no longer accepts or sends must not look healthy.
    pub async fn failed(&mut self) -> ServeError {
        tokio::select! {
            Some(joined) = self.accepting.join_next() => ServeError::AcceptLoopEnded { source: joined.err() },
            Some(joined) = self.pacing.join_next() => ServeError::PacerEnded { source: joined.err() },
            // It has no listeners, or died before: nothing further can fail.
            else => std::future::pending().await,
        }
    }

    /// Stops accepting, lets requests at hand finish, and cuts what is left at the deadline.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.drain_until(tokio::time::sleep(deadline)).await
    }

    /// The same with a deadline that is whenever `deadline` ends.
    pub async fn drain_until(mut self, deadline: impl Future<Output = ()>) -> Drained {
        self.draining.cancel();
        let finish = async { while self.accepting.join_next().await.is_some() {} };
        let cut = tokio::select! {
            () = finish => 0,
            () = deadline => self.admission.open_connections(),
        };
        self.accepting.shutdown().await;
        self.pacing.shutdown().await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut at the end of the drain");
        }
        Drained { cut }
    }
}

async fn accept_loop<S: Service, L: Listen>(
    shared: Arc<Shared<S>>,
    admission: Arc<Admission>,
    listener: Arc<L>,
    addr: SocketAddr,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.draining.cancelled() => break,
            Some(joined) = connections.join_next(), if !connections.is_empty() => {
                report(joined);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((accepted, peer)) => match admission.admit(peer.ip()) {
                Ok(permit) => {
                    let (shared, listener) = (Arc::clone(&shared), Arc::clone(&listener));
                    connections.spawn(run_connection(shared, listener, accepted, peer, permit));
                }
                Err(over) => {
                    tracing::debug!(?over, "a connection was turned away");
                    listener.turn_away(accepted, OVER_LIMIT);
                }
            },
            Err(error) => pause_after(&error, addr, &shared).await,
        }
    }
    drop(listener);
    while let Some(joined) = connections.join_next().await {
        report(joined);
    }
}

async fn run_connection<S: Service, L: Listen>(
    shared: Arc<Shared<S>>,
    listener: Arc<L>,
    accepted: L::Accepted,
    peer: SocketAddr,
    _permit: Permit,
) {
    let scheme = listener.scheme();
    // Boxed, like all that a connection needs for a while only: most are idle, and a task keeps room for its largest part.
    let open = Box::pin(listener.open(accepted));
    let opened = tokio::time::timeout(shared.limits.handshake_timeout, open).await;
    // A connection holds no listener: during a drain the socket must close while connections finish.
    drop(listener);
    match opened {
        Ok(Ok((stream, Protocol::Http1))) => connection::serve(shared, stream, peer, scheme).await,
        Ok(Ok((stream, Protocol::Http2))) => Box::pin(http2::serve(shared, stream, peer, scheme)).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection failed to open"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

/// A caller that went away again is nothing; anything else (files ran out) would spin the loop without a pause.
async fn pause_after<S>(error: &io::Error, addr: SocketAddr, shared: &Shared<S>) {
    let by_caller = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !by_caller {
        tracing::error!(%error, %addr, "accepting a connection failed");
        tokio::time::sleep(shared.limits.accept_pause).await;
    }
}

pub(super) fn report(joined: Result<(), JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        tracing::error!(%error, "BUG: a response body made its connection panic");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Refusal;

    struct Nothing;

    impl Service for Nothing {
        async fn call(&self, _: Request) -> Response {
            Refusal::NotFound.into_response()
        }
    }

    #[tokio::test]
    async fn a_dead_pacer_is_reported_as_what_it_is() {
        let server = Server::bind(&[([127, 0, 0, 1], 0).into()], Limits::default()).await.unwrap();
        let mut running = server.limited_by(Arc::default()).spawn(Arc::new(Nothing));
        running.pacing.abort_all();
        let failed = running.failed().await;
        assert!(matches!(failed, ServeError::PacerEnded { source: Some(_) }), "{failed}");
    }
}
