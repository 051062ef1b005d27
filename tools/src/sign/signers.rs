//! From `--key` arguments to something that signs.

use std::env;
use std::path::{Path, PathBuf};

use odi_manifest::Signer;

use super::agent::{AgentError, AgentKey};
use super::failure::Failure;
use super::key_file::{self, KeyFile, KeyFileError};
use super::passphrase::PassphraseSource;

/// A key that can sign, wherever its secret is.
pub type BoxedSigner = Box<dyn Signer>;

/// Why a `--key` cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The agent that should hold it does not help.
    #[error("use the key of {}", path.display())]
    Agent {
        /// The public key file that was given.
        path: PathBuf,
        /// Why not.
        source: AgentError,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
}

const SIGNING_KEY: &str = "a private key file, or the .pub file of a key that an ssh-agent holds";

/// Opens each key: a private key file signs by itself, a public one through the ssh-agent at `SSH_AUTH_SOCK`.
///
/// # Errors
/// When one of them cannot sign; no key is skipped.
pub(super) fn open(
    flag: &'static str,
    paths: &[PathBuf],
    passphrases: &mut PassphraseSource,
) -> Result<Vec<BoxedSigner>, Failure> {
    let failed = |error| match error {
        SignerError::File(source @ (KeyFileError::NotAKey { .. } | KeyFileError::Io { .. })) => {
            Failure::KeyArgument { flag, expected: SIGNING_KEY, source }
        }
        // It is the right file, and its owner has to do something about it.
        other => Failure::Signer(other),
    };
    paths.iter().map(|path| open_one(path, passphrases).map_err(failed)).collect()
}

fn open_one(path: &Path, passphrases: &mut PassphraseSource) -> Result<BoxedSigner, SignerError> {
    match key_file::read(path, &mut |path| passphrases.existing(path))? {
        KeyFile::Private(key) => Ok(key),
        KeyFile::Public(key) => {
            let failed = |source| SignerError::Agent { path: path.to_path_buf(), source };
            let socket = env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
            let socket = socket.filter(|path| !path.as_os_str().is_empty());
            let found = AgentKey::find(socket.ok_or_else(|| failed(AgentError::NoSocket))?, key);
            Ok(Box::new(found.map_err(failed)?))
        }
    }
}
