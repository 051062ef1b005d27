//! A certificate with its key, and what may be wrong with it.

use std::fmt;
use std::sync::Arc;

use odi_manifest::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsLibraryError, InconsistentKeys};
use url::Url;
use x509_parser::parse_x509_certificate;

/// Sooner than this before the end, somebody should look after the certificate, unless its whole life is short.
const SOON_SECONDS: u64 = 14 * 86_400;

/// A chain whose first certificate belongs to the key.
#[derive(Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why two texts are no certificate with its key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text of the chain is no PEM, or holds no certificate.
    #[error("the certificate file holds no certificate in PEM form")]
    NoCertificate,
    /// What the chain begins with is no certificate.
    #[error("the first certificate does not parse")]
    Malformed,
    /// The text of the key is no PEM, or holds no private key.
    #[error("the key file holds no private key in PEM form")]
    NoKey,
    /// The key belongs to another certificate.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The key is of no kind that TLS knows.
    #[error("the key cannot be used")]
    UnusableKey {
        /// What the library says.
        source: TlsLibraryError,
    },
}

/// What its users would run into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateConcern {
    /// It is not for this host of the public URLs.
    NotCovered {
        /// The host.
        host: String,
    },
    /// It does not count yet.
    NotYetValid {
        /// How long that will last.
        seconds: u64,
    },
    /// It counts no longer.
    Expired {
        /// Since when.
        seconds: u64,
    },
    /// It will not count for much longer.
    ExpiresSoon {
        /// How long it still counts.
        seconds: u64,
    },
}

impl CertificateConcern {
    /// Whether clients refuse it now.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::ExpiresSoon { .. })
    }
}

impl fmt::Display for CertificateConcern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCovered { host } => write!(f, "the certificate does not cover {host}"),
            Self::NotYetValid { seconds } => {
                write!(f, "the certificate is valid only in {}; is the clock right?", span(*seconds))
            }
            Self::Expired { seconds } => write!(f, "the certificate expired {} ago", span(*seconds)),
            Self::ExpiresSoon { seconds } => write!(f, "the certificate expires in {}", span(*seconds)),
        }
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

impl Certificate {
    /// Reads a chain and a key in PEM form.
    ///
    /// # Errors
    /// [`CertificateError`] says which of them is wrong.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let leaf = chain.first().cloned().ok_or(CertificateError::NoCertificate)?;
        let (not_before, not_after) = validity(&leaf).ok_or(CertificateError::Malformed)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let key =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
                |error| match error {
                    TlsLibraryError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        CertificateError::KeyMismatch
                    }
                    TlsLibraryError::InvalidCertificate(_) => CertificateError::Malformed,
                    source => CertificateError::UnusableKey { source },
                },
            )?;
        Ok(Self { key: Arc::new(key), leaf, not_before, not_after })
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }

    /// Until when it counts.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// When two thirds of its life are over: early enough for a renewal to fail for days.
    #[must_use]
    pub const fn renewal_due(&self) -> Timestamp {
        let life = self.not_after.0.saturating_sub(self.not_before.0);
        Timestamp(self.not_after.0.saturating_sub(life / 3))
    }

    /// Whether it is for this host, a name or an address.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(&self.leaf) else { return false };
        // An IPv6 address stands in brackets in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    }

    /// What users of these URLs would run into at this time. Plain HTTP is no concern of it.
    #[must_use]
    pub fn concerns(&self, urls: &[Url], now: Timestamp) -> Vec<CertificateConcern> {
        let hosts = urls.iter().filter(|url| url.scheme() == "https").filter_map(Url::host_str);
        let mut concerns: Vec<CertificateConcern> = hosts
            .filter(|host| !self.covers(host))
            .map(|host| CertificateConcern::NotCovered { host: host.to_owned() })
            .collect();
        let life = self.not_after.0.saturating_sub(self.not_before.0);
        let left = self.not_after.0.saturating_sub(now.0);
        if now < self.not_before {
            concerns.push(CertificateConcern::NotYetValid { seconds: self.not_before.0 - now.0 });
        } else if now > self.not_after {
            concerns.push(CertificateConcern::Expired { seconds: now.0 - self.not_after.0 });
        } else if left < SOON_SECONDS.min(life / 5) {
            concerns.push(CertificateConcern::ExpiresSoon { seconds: left });
        }
        concerns
    }
}

fn validity(leaf: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, parsed) = parse_x509_certificate(leaf).ok()?;
    let seconds = |time: x509_parser::time::ASN1Time| Timestamp(u64::try_from(time.timestamp()).unwrap_or(0));
    Some((seconds(parsed.validity().not_before), seconds(parsed.validity().not_after)))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// 2026-01-01, the beginning of a life of 100 days.
    const BORN: u64 = 1_767_225_600;
    const DAY: u64 = 86_400;

    fn pems(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 11);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn certificate(names: &[&str]) -> Certificate {
        let (chain, key) = pems(names);
        Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    #[test]
    fn only_a_chain_with_its_own_key_is_taken() {
        let ((chain, key), (_, other)) = (pems(&["a.example"]), pems(&["a.example"]));
        let half = &chain.as_bytes()[..chain.len() / 2];
        let read = |chain: &[u8], key: &[u8]| Certificate::from_pem(chain, key).map(|_| ());
        assert!(read(chain.as_bytes(), key.as_bytes()).is_ok());
        assert!(matches!(read(chain.as_bytes(), other.as_bytes()), Err(CertificateError::KeyMismatch)));
        assert!(matches!(read(half, key.as_bytes()), Err(CertificateError::NoCertificate)));
        assert!(matches!(read(b"", key.as_bytes()), Err(CertificateError::NoCertificate)));
        assert!(matches!(read(chain.as_bytes(), chain.as_bytes()), Err(CertificateError::NoKey)));
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(wrong.as_bytes(), key.as_bytes()), Err(CertificateError::Malformed)));
    }

    #[test]
    fn names_and_addresses_are_covered_as_clients_judge_it() {
        let certificate = certificate(&["relay.example.net", "*.odi.example", "2001:db8::1"]);
        for (host, covered) in [
            ("relay.example.net", true),
            ("RELAY.example.net", true),
            ("a.odi.example", true),
            ("a.b.odi.example", false),
            ("odi.example", false),
            ("[2001:db8::1]", true),
            ("192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(certificate.covers(host), covered, "{host}");
        }
    }

    #[test]
    fn concerns_come_in_time() {
        let certificate = certificate(&["relay.example.net"]);
        assert_eq!(certificate.not_after(), Timestamp(BORN + 100 * DAY));
        let urls =
            [Url::parse("https://relay.example.net:8443").unwrap(), Url::parse("http://x.example").unwrap()];
        let at = |seconds| certificate.concerns(&urls, Timestamp(seconds));
        assert_eq!(at(BORN - 5), [CertificateConcern::NotYetValid { seconds: 5 }]);
        assert_eq!(at(BORN + 85 * DAY), []);
        assert_eq!(at(BORN + 90 * DAY), [CertificateConcern::ExpiresSoon { seconds: 10 * DAY }]);
        assert_eq!(at(BORN + 101 * DAY), [CertificateConcern::Expired { seconds: DAY }]);
        assert_eq!(certificate.renewal_due(), Timestamp(BORN + 100 * DAY - 100 * DAY / 3));
        let other = [Url::parse("https://192.0.2.1").unwrap()];
        let concerns = certificate.concerns(&other, Timestamp(BORN));
        assert_eq!(concerns, [CertificateConcern::NotCovered { host: "192.0.2.1".to_owned() }]);
    }
}
