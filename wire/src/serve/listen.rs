//! Where connections come from. Plain TCP here; TLS and the tests' in-memory streams fit the same two steps.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::message::Scheme;

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

    /// Makes the connection ready for HTTP; TLS shakes hands here.
    fn open(&self, accepted: Self::Accepted) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Tells a connection over its limit so, if that needs no handshake, and drops it. Never waits.
    fn turn_away(&self, accepted: Self::Accepted, answer: &'static [u8]);
}

/// Plain TCP.
#[derive(Debug)]
pub struct TcpListen {
    listener: TcpListener,
}

impl TcpListen {
    /// Listens on one address; port 0 takes a free port.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(addr).await? })
    }

    /// The address in use.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listen for TcpListen {
    type Accepted = TcpStream;
    type Stream = TcpStream;

    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    async fn open(&self, accepted: TcpStream) -> io::Result<TcpStream> {
        // The head and the first chunk are written apart; without this the second waits for an acknowledgement.
        accepted.set_nodelay(true)?;
        Ok(accepted)
    }

    fn turn_away(&self, accepted: TcpStream, answer: &'static [u8]) {
        // A fresh socket's buffer has room for one line; if not, the caller learns it from the closed connection.
        let _told = accepted.try_write(answer);
    }
}
