//! The handshake of one TLS connection, and what was agreed on in it.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::listen::Protocol;
use crate::tls::{ALPN_ACME, ALPN_HTTP2, Certificates};

/// Shakes hands with the certificates that are current.
#[derive(Clone)]
pub(super) struct TlsAcceptor(tokio_rustls::TlsAcceptor);

impl TlsAcceptor {
    pub(super) fn of(certificates: &Arc<Certificates>) -> Self {
        Self(certificates.server_config().into())
    }

    /// The caller bounds the time. A certificate authority that only came to see a proof gets its handshake and
    /// nothing more.
    pub(super) async fn shake_hands(
        &self,
        accepted: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Protocol)> {
        let mut stream = self.0.accept(accepted).await?;
        let (_, session) = stream.get_ref();
        match session.alpn_protocol() {
            Some(ALPN_ACME) => {
                stream.shutdown().await?;
                Err(io::Error::other("a certificate authority looked at a proof"))
            }
            Some(ALPN_HTTP2) => Ok((stream, Protocol::Http2)),
            _ => Ok((stream, Protocol::Http1)),
        }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsAcceptor")
    }
}
