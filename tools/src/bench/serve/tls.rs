//! A certificate that both servers show and no client of the bench looks at: ECDSA over P-256, as most of the web has it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Files of PEM.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    /// Makes one and writes it into a folder.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).context("make a certificate")?;
        let (chain, key) = (folder.join("certificate.pem"), folder.join("certificate.key"));
        std::fs::write(&chain, cert.pem()).context("write the certificate")?;
        std::fs::write(&key, signing_key.serialize_pem()).context("write the certificate's key")?;
        Ok(Self { chain, key })
    }
}
