//! A certificate in two files that somebody else renews.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::certificate::{Certificate, CertificateError};

/// A longer file is neither a chain nor a key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files that the operator names: a chain and its key, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why two files are no certificate.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One of them cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They hold something else.
    #[error("{} and {} are no certificate with its key", files.certificate.display(), files.key.display())]
    Unusable {
        /// The files.
        files: CertificateFiles,
        /// Why.
        source: CertificateError,
    },
}

/// What the two files held at one time, whatever it was.
#[derive(PartialEq, Eq)]
pub(super) struct Texts {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl CertificateFiles {
    /// Reads both files. Blocking.
    ///
    /// # Errors
    /// [`FilesError`] names the file and what is wrong.
    pub fn load(&self) -> Result<Certificate, FilesError> {
        self.parse(&self.read()?)
    }

    pub(super) fn read(&self) -> Result<Texts, FilesError> {
        Ok(Texts { chain: read(&self.certificate)?, key: Zeroizing::new(read(&self.key)?) })
    }

    pub(super) fn parse(&self, texts: &Texts) -> Result<Certificate, FilesError> {
        Certificate::from_pem(&texts.chain, &texts.key)
            .map_err(|source| FilesError::Unusable { files: self.clone(), source })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
    };
    read().map_err(|source| FilesError::Unreadable { path: path.to_owned(), source })
}
