//! Key files in the OpenSSH format: `KEY` (private, 0600, under a passphrase unless refused) and `KEY.pub`.
//!
//! `ssh-keygen -t ed25519` writes the same format, and `ssh-add` reads it. A private key that others on the machine
//! can read is refused, as ssh does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use odi_manifest::{KeyError, KeyLine, PublicKey, SigningKey};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::rand_core::OsRng;
use ssh_key::{Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// A key file is a few hundred bytes; anything longer is something else.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The file says how often bcrypt runs, so an unbounded count could hang the reader for hours. ssh-keygen's default
/// is 24, and 1024 is about half a minute.
const KDF_ROUNDS_MAX: u32 = 1024;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is there already, and a key is never overwritten.
    #[error("{} exists already; a key file is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others on this machine can read the private key.
    #[error("{} can be read by others (mode {mode:04o}); run chmod 600 on it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither an OpenSSH private key nor an `ssh-ed25519` line.
    #[error("{} is not an OpenSSH key: {reason}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase could not be asked for.
    #[error("read the passphrase for {}", path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be read or written.
    #[error("{verb} {}", path.display())]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl KeyFileError {
    fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, path: path.to_path_buf(), source }
    }

    fn not_a_key(path: &Path, reason: impl ToString) -> Self {
        Self::NotAKey { path: path.to_path_buf(), reason: reason.to_string() }
    }
}

/// Asks a person for the passphrase of the key at this path.
pub(super) type AskPassphrase<'a> = dyn FnMut(&Path) -> io::Result<Zeroizing<String>> + 'a;

/// What a file given as `--key` turned out to hold.
#[derive(Debug)]
pub(super) enum KeyFile {
    /// A private key, ready to sign.
    Private(Box<SigningKey>),
    /// Only the public half: an ssh-agent must sign.
    Public(PublicKey),
}

/// Writes `path` and `path.pub`.
///
/// # Errors
/// When either file exists or cannot be written.
pub(super) fn create(
    path: &Path,
    seed: &Zeroizing<[u8; 32]>,
    passphrase: Option<&str>,
    comment: &str,
) -> Result<PublicKey, KeyFileError> {
    let key = SigningKey::from_seed(seed);
    let public = key.public_key();
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(*public.as_bytes()),
        private: Ed25519PrivateKey::from_bytes(seed),
    };
    let mut private = PrivateKey::new(KeypairData::Ed25519(pair), comment)
        .map_err(|error| KeyFileError::not_a_key(path, error))?;
    if let Some(passphrase) = passphrase {
        private =
            private.encrypt(&mut OsRng, passphrase).map_err(|error| KeyFileError::not_a_key(path, error))?;
    }
    let text = private.to_openssh(LineEnding::LF).map_err(|error| KeyFileError::not_a_key(path, error))?;
    let public_path = public_path(path);
    if let Some(taken) = [path, &public_path].into_iter().find(|path| path.exists()) {
        return Err(KeyFileError::Exists { path: taken.to_path_buf() });
    }
    write_new(path, text.as_bytes(), 0o600)?;
    let line = KeyLine { key: public, comment: comment.to_owned() };
    let line = format!("{line}\n");
    write_new(&public_path, line.as_bytes(), 0o644)?;
    Ok(public)
}

/// Where the public half of a key file lies.
#[must_use]
pub(super) fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".pub");
    PathBuf::from(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyFileError::Exists { path: path.to_path_buf() });
        }
        other => other.map_err(KeyFileError::at("create", path))?,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(KeyFileError::at("write", path))
}

/// Reads a key file, private or public; what it holds decides.
///
/// # Errors
/// When it is neither, is readable by others, or its passphrase is wrong.
pub(super) fn read(path: &Path, ask: &mut AskPassphrase<'_>) -> Result<KeyFile, KeyFileError> {
    let metadata = fs::metadata(path).map_err(KeyFileError::at("read", path))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(KeyFileError::not_a_key(path, "too long"));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(KeyFileError::at("read", path))?);
    if text.trim_start().starts_with("ssh-") {
        return public_line(path, &text).map(|line| KeyFile::Public(line.key));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen { path: path.to_path_buf(), mode });
    }
    private_key(path, &text, ask).map(|key| KeyFile::Private(Box::new(key)))
}

/// Reads a public key given on the command line: an `ssh-ed25519` line, or a file that holds one.
///
/// # Errors
/// When it is neither. A private key file is refused too, so that nobody publishes one by mistake.
pub(super) fn read_public(text_or_path: &str) -> Result<KeyLine, KeyFileError> {
    let path = Path::new(text_or_path);
    if text_or_path.starts_with("ssh-") {
        return public_line(path, text_or_path);
    }
    let text = fs::read_to_string(path).map_err(KeyFileError::at("read", path))?;
    if text.contains("PRIVATE KEY") {
        return Err(KeyFileError::not_a_key(path, "it is a private key; give the .pub file beside it"));
    }
    public_line(path, &text)
}

fn public_line(path: &Path, text: &str) -> Result<KeyLine, KeyFileError> {
    text.parse().map_err(|error: KeyError| KeyFileError::not_a_key(path, error))
}

fn private_key(path: &Path, text: &str, ask: &mut AskPassphrase<'_>) -> Result<SigningKey, KeyFileError> {
    let mut key = PrivateKey::from_openssh(text).map_err(|error| KeyFileError::not_a_key(path, error))?;
    if key.is_encrypted() {
        if matches!(key.kdf(), Kdf::Bcrypt { rounds, .. } if *rounds > KDF_ROUNDS_MAX) {
            return Err(KeyFileError::not_a_key(path, "its passphrase takes too many bcrypt rounds"));
        }
        let passphrase =
            ask(path).map_err(|source| KeyFileError::NoPassphrase { path: path.to_path_buf(), source })?;
        key = key
            .decrypt(passphrase.as_bytes())
            .map_err(|_| KeyFileError::WrongPassphrase { path: path.to_path_buf() })?;
    }
    match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = Zeroizing::new(pair.private.to_bytes());
            Ok(SigningKey::from_seed(&seed))
        }
        _ => Err(KeyFileError::not_a_key(path, "only ed25519 keys sign for ODI")),
    }
}
