//! Keeps a daemon's certificate current for as long as it runs.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::Clock;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::acme::{Acme, AcmeError};
use super::certificate::Certificate;
use super::certificates::Certificates;
use super::files::{CertificateFiles, FilesError, Texts};
use crate::config::{PrivateAddresses, TlsConfig};
use crate::off_worker::off_worker;

/// How often the files are looked at. Whoever renews them need not tell us.
const LOOK: Duration = Duration::from_secs(10);

/// Why TLS cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The operator's files cannot be used.
    #[error("there is no certificate to serve with")]
    Files(#[from] FilesError),
    /// Certificates cannot be ordered.
    #[error("no certificates can be ordered")]
    Acme(#[from] AcmeError),
}

/// A daemon's certificates and what renews them.
#[derive(Debug)]
pub struct Tls {
    certificates: Arc<Certificates>,
    source: Source,
    urls: Vec<Url>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum Source {
    Files { files: CertificateFiles, seen: Option<Texts> },
    Acme(Box<Acme>),
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts")
    }
}

impl Tls {
    /// Reads what there is to begin with: files must be usable; an ordered certificate may still have to come. `urls`
    /// are the public ones; `data_dir` is where orders are kept.
    ///
    /// # Errors
    /// [`TlsError`] says what the operator has to put right.
    pub async fn open(
        config: &TlsConfig,
        urls: Vec<Url>,
        data_dir: &Path,
        private_addresses: PrivateAddresses,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::default());
        let source = match config {
            TlsConfig::Files(files) => {
                let files = files.clone();
                let (texts, certificate) = {
                    let files = files.clone();
                    off_worker(move || {
                        let texts = files.read()?;
                        let certificate = files.parse(&texts)?;
                        Ok::<_, FilesError>((texts, certificate))
                    })
                    .await?
                };
                certificates.replace(certificate);
                Source::Files { files, seen: Some(texts) }
            }
            TlsConfig::Acme(acme) => {
                let acme = Acme::open(acme, &urls, data_dir, private_addresses).await?;
                if let Some(kept) = acme.kept().await {
                    certificates.replace(kept);
                }
                Source::Acme(Box::new(acme))
            }
        };
        let tls = Self { certificates, source, urls, clock };
        if let Some(current) = tls.certificates.current() {
            tls.voice_concerns(&current);
        }
        Ok(tls)
    }

    /// What the listeners show.
    #[must_use]
    pub const fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Takes up new files, or orders new certificates in time, until it is told to stop.
    pub async fn keep(mut self, stop: CancellationToken) {
        let keep = async {
            loop {
                self.look().await;
            }
        };
        tokio::select! {
            () = keep => {}
            () = stop.cancelled() => {}
        }
    }

    async fn look(&mut self) {
        match &mut self.source {
            Source::Files { .. } => {
                tokio::time::sleep(LOOK).await;
                self.reload().await;
            }
            Source::Acme(acme) => {
                let renewed = acme.renewed(&self.certificates, self.clock.as_ref()).await;
                self.install(renewed);
            }
        }
    }

    /// Looks at the files, and takes up what they hold if it is new and whole. What is not is said once.
    pub async fn reload(&mut self) {
        let Source::Files { files, seen } = &mut self.source else { return };
        let reading = files.clone();
        let found = off_worker(move || reading.read()).await;
        let found = match found {
            Ok(texts) if seen.as_ref() == Some(&texts) => return,
            Ok(texts) => {
                let parsed = files.parse(&texts);
                *seen = Some(texts);
                parsed
            }
            // A renewal may take a file away for a moment.
            Err(_) if seen.is_none() => return,
            Err(error) => {
                *seen = None;
                Err(error)
            }
        };
        match found {
            Ok(certificate) => self.install(certificate),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the certificate in use is kept");
            }
        }
    }

    fn install(&self, certificate: Certificate) {
        tracing::info!(not_after = certificate.not_after().0, "a new certificate is in use");
        self.voice_concerns(&certificate);
        self.certificates.replace(certificate);
    }

    fn voice_concerns(&self, certificate: &Certificate) {
        for concern in certificate.concerns(&self.urls, self.clock.now()) {
            tracing::warn!("{concern}");
        }
    }
}
