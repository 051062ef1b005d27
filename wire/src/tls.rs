//! TLS of the listeners: certificates, where they come from, and how they stay current (PROTOCOL.md § TLS).
//!
//! Invariants
//! - A listener answers every name with the one certificate that is current; who asks for which makes no difference.
//! - A certificate takes effect only whole: parsed, and with the key that belongs to it. Until then the former stays.
//! - Private keys are read and written by their owner alone, and never logged.

mod acme;
mod certificate;
mod certificates;
mod files;
mod findings;
mod keeper;
mod proofs;

pub use acme::AcmeError;
pub use certificate::{Certificate, CertificateConcern, CertificateError};
pub use certificates::Certificates;
pub use files::{CertificateFiles, FilesError};
pub use findings::{findings, shown_now};
pub use keeper::{Tls, TlsError};
pub use proofs::Proofs;

/// What a client offers that speaks HTTP/2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// What a certificate authority offers that came to see a proof (RFC 8737).
pub(crate) const ALPN_ACME: &[u8] = b"acme-tls/1";
