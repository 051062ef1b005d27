//! Where connections come from. Plain TCP and TLS here; the tests' in-memory streams fit the same two steps.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::message::Scheme;
use super::tls_handshake::TlsAcceptor;
use crate::tls::Certificates;

/// What a connection speaks once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2, as agreed on during the TLS handshake and never otherwise.
    Http2,
}

/// A source of connections.
///
/// Accepting is one step and opening another, so that one caller's handshake never holds up the next: `accept` runs
/// in the accept loop, `open` in the connection's own task under the handshake timeout.
pub trait Listen: Send + Sync + 'static {
    /// A connection before its handshake.
    type Accepted: Send + 'static;
    /// A connection that carries HTTP.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// What the connections are, to the caller.
    fn scheme(&self) -> Scheme;

    /// Waits for a connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Accepted, SocketAddr)>> + Send;

    /// Makes the connection ready for HTTP and says which; TLS shakes hands here.
    fn open(
        &self,
        accepted: Self::Accepted,
    ) -> impl Future<Output = io::Result<(Self::Stream, Protocol)>> + Send;

    /// Tells a connection over its limit so, if that needs no handshake, and drops it. Never waits.
    fn turn_away(&self, accepted: Self::Accepted, answer: &'static [u8]);
}

/// A TCP listener, plain or with TLS.
#[derive(Debug)]
pub struct Socket {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Socket {
    /// Listens on one address; port 0 takes a free port.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub(super) async fn bind(addr: SocketAddr, tls: Option<&Arc<Certificates>>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        Ok(Self { listener, tls: tls.map(TlsAcceptor::of) })
    }

    /// The address in use.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listen for Socket {
    type Accepted = TcpStream;
    type Stream = SocketStream;

    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    async fn open(&self, accepted: TcpStream) -> io::Result<(SocketStream, Protocol)> {
        // The head and the first chunk are written apart; without this the second waits for an acknowledgement.
        accepted.set_nodelay(true)?;
        match &self.tls {
            None => Ok((SocketStream::Plain(accepted), Protocol::Http1)),
            Some(tls) => {
                let (stream, protocol) = tls.shake_hands(accepted).await?;
                Ok((SocketStream::Tls(Box::new(stream)), protocol))
            }
        }
    }

    fn turn_away(&self, accepted: TcpStream, answer: &'static [u8]) {
        // A fresh socket's buffer has room for one line; if not, the caller learns it from the closed connection, as
        // it does where a line in clear would only confuse it.
        if self.tls.is_none() {
            let _told = accepted.try_write(answer);
        }
    }
}

/// What [`Socket`] opens.
#[derive(Debug)]
pub enum SocketStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for SocketStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
