//! What the listeners show: the current certificate, and to certificate authorities the proofs they came for.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::proofs::Proofs;
use super::{ALPN_ACME, ALPN_HTTP1, ALPN_HTTP2};

/// The certificates of one daemon. Without a current one, handshakes fail.
#[derive(Debug, Default)]
pub struct Certificates {
    current: RwLock<Option<Arc<Certificate>>>,
    proofs: Proofs,
}

impl Certificates {
    /// Shows this one from now on; connections that are open keep theirs.
    pub fn replace(&self, certificate: Certificate) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certificate));
    }

    /// What is shown now.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Certificate>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The proofs that a certificate authority may ask for.
    #[must_use]
    pub const fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// The terms of every handshake: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, sessions resumed by tickets.
    pub(crate) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = [ALPN_HTTP2, ALPN_HTTP1, ALPN_ACME].map(<[u8]>::to_vec).to_vec();
        match aws_lc_rs::Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => tracing::warn!(%error, "TLS sessions cannot be resumed"),
        }
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An authority offers this alone (RFC 8737, 3). Nobody else is shown a proof, nor an authority the certificate.
        let mut offered = hello.alpn().into_iter().flatten();
        if offered.next() == Some(ALPN_ACME) && offered.next().is_none() {
            return self.proofs.tls_answer(hello.server_name()?);
        }
        self.current().map(|certificate| certificate.certified_key())
    }
}
