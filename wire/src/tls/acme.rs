//! Certificates from an authority that speaks ACME (RFC 8555).
//!
//! Account, key and chain are kept under `data_dir/acme`, 0600, so that a restart orders nothing. A failed order is tried
//! again with growing pauses, over restarts too.

mod account;
mod attempts;
mod order;
mod transport;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odi_manifest::Clock;
use url::{Host, Url};
use zeroize::Zeroizing;

use self::attempts::Attempts;
use super::certificate::Certificate;
use super::certificates::Certificates;
use crate::client::{Client, ClientError, ClientPolicy};
use crate::config::{AcmeConfig, PrivateAddresses};
use crate::off_worker::off_worker;
use crate::private_file;

/// Where everything is kept, below the data folder.
pub(super) const FOLDER: &str = "acme";
/// Key and chain in one file, so that they are replaced together.
const CERTIFICATE: &str = "certificate.pem";
/// The longest sleep between two looks at the clock, which may jump.
const LOOK: Duration = Duration::from_secs(600);

/// What an authority says that has lost our account (RFC 8555, 6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeError {
    /// No public URL has a name that an authority could look at.
    #[error("no public URL begins with https:// and a name")]
    NoNames,
    /// What is kept of account and certificate cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No requests can be made.
    #[error("the authority cannot be asked")]
    Client(#[from] ClientError),
    /// The authority refused, failed or was not reached.
    #[error("the authority did not issue a certificate")]
    Authority(#[from] instant_acme::Error),
    /// The authority wants another proof than we show.
    #[error("for {name} the authority offers no {kind} challenge")]
    NoChallenge {
        /// The name.
        name: String,
        /// The kind that is configured.
        kind: &'static str,
    },
    /// The authority looked and was not convinced.
    #[error("the authority was not convinced that {names} is ours; it must reach this daemon from outside")]
    NotConvinced {
        /// The names of the order.
        names: String,
    },
    /// A key or a request could not be made.
    #[error("no certificate request can be made")]
    Request(#[from] rcgen::Error),
    /// What was issued cannot be used.
    #[error("the authority issued something that is no certificate for our key")]
    Issued(#[from] super::certificate::CertificateError),
}

/// Orders and renews one certificate for all names.
#[derive(Debug)]
pub(super) struct Acme {
    config: AcmeConfig,
    names: Vec<String>,
    folder: PathBuf,
    client: Client,
    attempts: Attempts,
}

impl Acme {
    pub(super) async fn open(
        config: &AcmeConfig,
        urls: &[Url],
        data_dir: &Path,
        private_addresses: PrivateAddresses,
    ) -> Result<Self, AcmeError> {
        let names = names(urls);
        if names.is_empty() {
            return Err(AcmeError::NoNames);
        }
        let folder = data_dir.join(FOLDER);
        let making = folder.clone();
        off_worker(move || private_file::create_folder(&making))
            .await
            .map_err(|source| AcmeError::File { path: folder.clone(), source })?;
        // An authority with a root of its own is usually inside: its operator typed its URL and its root.
        let policy = ClientPolicy {
            allow_private_addresses: config.ca.is_some() || private_addresses == PrivateAddresses::Allowed,
            extra_roots: config.ca.iter().cloned().collect(),
            ..ClientPolicy::default()
        };
        let client = off_worker(move || Client::new(policy)).await?;
        let attempts = Attempts::open(&folder).await?;
        Ok(Self { config: config.clone(), names, folder, client, attempts })
    }

    /// The certificate of an earlier order, if it is for our names.
    pub(super) async fn kept(&self) -> Option<Certificate> {
        let folder = self.folder.clone();
        let certificate = off_worker(move || kept_in(&folder)).await?;
        self.names.iter().all(|name| certificate.covers(name)).then_some(certificate)
    }

    /// Waits until a new certificate is due, and orders until it is there.
    pub(super) async fn renewed(&mut self, certificates: &Certificates, clock: &dyn Clock) -> Certificate {
        loop {
            let due = certificates.current().map(|current| current.renewal_due());
            if let Some(left) = due.map(|due| due.since(clock.now())).filter(|left| !left.is_zero()) {
                if let Err(error) = self.attempts.succeeded(&self.folder).await {
                    tracing::warn!(error = &error as &dyn Error, "the next order may come late");
                }
                tokio::time::sleep(left.min(LOOK)).await;
                continue;
            }
            let wait = self.attempts.wait(clock.now());
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK)).await;
                continue;
            }
            let ordered = match self.attempts.begin(&self.folder, clock.now()).await {
                Ok(()) => self.ordered(certificates).await,
                Err(error) => Err(error),
            };
            let next_try_in_seconds = self.attempts.wait(clock.now()).as_secs();
            match ordered {
                Ok(certificate) => {
                    if certificate.renewal_due().since(clock.now()).is_zero() {
                        tracing::warn!(
                            not_after = certificate.not_after().0,
                            next_try_in_seconds,
                            "the certificate that was just issued is due already; is this machine's clock right?"
                        );
                    }
                    return certificate;
                }
                Err(error) => {
                    let error = &error as &dyn Error;
                    tracing::warn!(error, next_try_in_seconds, "no certificate was issued");
                }
            }
        }
    }

    async fn ordered(&self, certificates: &Certificates) -> Result<Certificate, AcmeError> {
        let account = account::open(&self.client, &self.config, &self.folder).await?;
        let placed = order::place(&account, &self.names, self.config.challenge, certificates.proofs()).await;
        if let Err(AcmeError::Authority(instant_acme::Error::Api(problem))) = &placed
            && problem.r#type.as_deref() == Some(NO_ACCOUNT)
        {
            account::forget(&self.folder).await?;
        }
        let pem = placed?;
        let certificate = Certificate::from_pem(pem.as_bytes(), pem.as_bytes())?;
        let path = self.folder.join(CERTIFICATE);
        let written = {
            let path = path.clone();
            off_worker(move || private_file::replace(&path, pem.as_bytes())).await
        };
        written.map_err(|source| AcmeError::File { path, source })?;
        Ok(certificate)
    }
}

/// What an earlier order brought, if it still reads. Blocking.
pub(super) fn kept_in(folder: &Path) -> Option<Certificate> {
    let pem = Zeroizing::new(private_file::read(&folder.join(CERTIFICATE)).ok()??);
    Certificate::from_pem(&pem, &pem).ok()
}

/// The names that https clients use, each once.
pub(super) fn names(urls: &[Url]) -> Vec<String> {
    let mut names: Vec<String> = urls
        .iter()
        .filter(|url| url.scheme() == "https")
        .filter_map(|url| match url.host() {
            Some(Host::Domain(name)) => Some(name.to_owned()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
