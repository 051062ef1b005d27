//! The `[tls]` section, which both daemons have.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::Judge;
use crate::tls::CertificateFiles;

/// The authority that is asked unless the operator names another.
const AUTHORITY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Where the certificate of the listeners comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Two files that somebody else renews.
    Files(CertificateFiles),
    /// An authority that this daemon asks itself.
    Acme(AcmeConfig),
}

/// `acme = { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// Whom the authority may write to: a `mailto:` URL.
    pub contact: String,
    /// The authority.
    pub directory: Url,
    /// The root that the authority's own server is verified with, where no system has it.
    pub ca: Option<PathBuf>,
    /// How it is proved that the names are ours.
    pub challenge: ChallengeKind,
}

/// How an authority is shown that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A file over plain HTTP, port 80.
    Http01,
    /// A certificate for the look, port 443.
    TlsAlpn01,
}

impl ChallengeKind {
    /// As the configuration and the authority write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let found = [Self::Http01, Self::TlsAlpn01].into_iter().find(|kind| kind.as_str() == text);
        found.ok_or("acme: the challenge is \"tls-alpn-01\" or \"http-01\"")
    }
}

/// `[tls]` as the operator writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    acme: Option<RawAcme>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAcme {
    contact: Spanned<String>,
    directory: Option<Spanned<String>>,
    ca: Option<PathBuf>,
    challenge: Option<Spanned<String>>,
}

impl RawTls {
    /// An empty section, or none, is a daemon behind a proxy that ends TLS. `plain_addresses` is how many addresses
    /// stay without TLS.
    pub fn judge(
        judge: &mut Judge<'_>,
        tls: Option<&Spanned<Self>>,
        plain_addresses: usize,
    ) -> Option<TlsConfig> {
        let tls = tls?;
        match tls.get_ref() {
            Self { certificate: None, key: None, acme: None } => None,
            Self { certificate: Some(certificate), key: Some(key), acme: None } => {
                let (certificate, key) = (certificate.clone(), key.clone());
                Some(TlsConfig::Files(CertificateFiles { certificate, key }))
            }
            Self { certificate: None, key: None, acme: Some(acme) } => {
                acme.judge(judge, plain_addresses).map(TlsConfig::Acme)
            }
            Self { acme: Some(_), .. } => {
                judge.fault(tls, "tls: either certificate and key, or acme");
                None
            }
            Self { acme: None, .. } => {
                judge.fault(tls, "tls: certificate and key belong together");
                None
            }
        }
    }
}

impl RawAcme {
    fn judge(&self, judge: &mut Judge<'_>, plain_addresses: usize) -> Option<AcmeConfig> {
        let contact = match self.contact.get_ref().trim_start_matches("mailto:") {
            address if address.contains('@') => Some(format!("mailto:{address}")),
            _ => {
                judge.fault(&self.contact, "acme: the contact is a mail address");
                None
            }
        };
        let directory = match &self.directory {
            None => Url::parse(AUTHORITY).ok(),
            Some(text) => match Url::parse(text.get_ref()) {
                Ok(url) if url.scheme() == "https" => Some(url),
                Ok(_) => {
                    judge.fault(text, "acme: an authority is asked over https");
                    None
                }
                Err(error) => {
                    judge.fault(text, format!("`{}`: {error}", text.get_ref()));
                    None
                }
            },
        };
        let challenge = match &self.challenge {
            None => Some(ChallengeKind::TlsAlpn01),
            Some(text) => {
                let kind = judge.judged(text, ChallengeKind::parse(text.get_ref()));
                if kind == Some(ChallengeKind::Http01) && plain_addresses == 0 {
                    judge.fault(
                        text,
                        "acme: http-01 is asked on port 80 without TLS; listen_plain names the address for it",
                    );
                }
                kind
            }
        };
        Some(AcmeConfig {
            contact: contact?,
            directory: directory?,
            ca: self.ca.clone(),
            challenge: challenge?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, PrivateAddresses, judge};
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Raw {
        tls: Option<Spanned<RawTls>>,
    }

    fn judged(text: &str, plain_addresses: usize) -> Result<Option<TlsConfig>, String> {
        let judged = judge(text, PrivateAddresses::Refused, |judge, raw: Raw| {
            Some(RawTls::judge(judge, raw.tls.as_ref(), plain_addresses))
        });
        judged.map_err(|error| match error {
            ConfigError::Faulty(faults) => faults[0].to_string(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn three_ways_to_say_where_certificates_come_from() {
        assert_eq!(judged("", 0), Ok(None));
        assert_eq!(judged("[tls]", 0), Ok(None));
        let files = CertificateFiles { certificate: "/a.pem".into(), key: "/a.key".into() };
        let text = "[tls]\ncertificate = \"/a.pem\"\nkey = \"/a.key\"";
        assert_eq!(judged(text, 0), Ok(Some(TlsConfig::Files(files))));
        let acme = AcmeConfig {
            contact: "mailto:ops@example.net".to_owned(),
            directory: Url::parse(AUTHORITY).unwrap(),
            ca: None,
            challenge: ChallengeKind::TlsAlpn01,
        };
        let text = "[tls]\nacme = { contact = \"ops@example.net\" }";
        assert_eq!(judged(text, 0), Ok(Some(TlsConfig::Acme(acme.clone()))));
        let text = "[tls]\nacme = { contact = \"mailto:ops@example.net\", challenge = \"http-01\" }";
        let acme = AcmeConfig { challenge: ChallengeKind::Http01, ..acme };
        assert_eq!(judged(text, 1), Ok(Some(TlsConfig::Acme(acme))));
    }

    #[test]
    fn half_a_section_is_refused_in_words() {
        for (text, said) in [
            ("certificate = \"/a.pem\"", "belong together"),
            ("key = \"/a.key\"", "belong together"),
            ("key = \"/a.key\"\nacme = { contact = \"a@b\" }", "either certificate and key, or acme"),
            ("acme = { contact = \"nobody\" }", "line 2: acme: the contact is a mail address"),
            ("acme = { contact = \"a@b\", directory = \"http://ca.example\" }", "over https"),
            ("acme = { contact = \"a@b\", challenge = \"dns-01\" }", "\"tls-alpn-01\" or \"http-01\""),
            ("acme = { contact = \"a@b\", challenge = \"http-01\" }", "listen_plain"),
            ("certificte = \"/a.pem\"", "unknown field `certificte`"),
        ] {
            let refused = judged(&format!("[tls]\n{text}"), 0).unwrap_err();
            assert!(refused.contains(said), "{said} in {refused}");
        }
    }
}
