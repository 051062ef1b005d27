//! Signing with a key that an ssh-agent holds (draft-miller-ssh-agent, the two messages that ODI needs).
//!
//! An agent's Ed25519 signature is plain Ed25519 over the bytes given, so a release key can live in an agent, on a
//! hardware token behind one, or on another machine. Messages are `u32 length | u8 type | fields`, strings are
//! `u32 length | bytes`, all big-endian. Replies are bounded and parsed without indexing.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use odi_manifest::{PublicKey, SignError, Signature, Signer};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const REPLY_BYTES_MAX: u32 = 256 * 1024;
const KEY_TYPE: &[u8] = b"ssh-ed25519";
/// A person may have to touch a token or type a passphrase into the agent's own prompt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Why an agent did not help.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent to ask.
    #[error("the key is a public key, so an ssh-agent must sign, but SSH_AUTH_SOCK is not set")]
    NoSocket,
    /// The agent does not hold the key.
    #[error("the ssh-agent does not hold {key}; add it with ssh-add")]
    NotHeld {
        /// The key asked for, as an OpenSSH line.
        key: String,
    },
    /// The agent refused to sign.
    #[error("the ssh-agent refused to sign (its owner may have declined)")]
    Refused,
    /// The reply makes no sense.
    #[error("the ssh-agent's reply is malformed")]
    Malformed,
    /// The socket failed.
    #[error("talk to the ssh-agent at {}", socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A key that lives in an ssh-agent.
#[derive(Debug)]
pub(super) struct AgentKey {
    socket: PathBuf,
    key: PublicKey,
}

impl AgentKey {
    /// Finds a key in the agent at `socket`.
    ///
    /// # Errors
    /// When the agent cannot be reached or does not hold the key.
    pub(super) fn find(socket: PathBuf, key: PublicKey) -> Result<Self, AgentError> {
        let reply = ask(&socket, &[REQUEST_IDENTITIES])?;
        let mut fields = Fields(&reply);
        if fields.byte()? != IDENTITIES_ANSWER {
            return Err(AgentError::Malformed);
        }
        let wanted = key_blob(&key);
        for _ in 0..fields.number()? {
            let blob = fields.string()?;
            fields.string()?;
            if blob == wanted {
                return Ok(Self { socket, key });
            }
        }
        Err(AgentError::NotHeld { key: key.to_string() })
    }

    fn request(&self, message: &[u8]) -> Result<[u8; 64], AgentError> {
        let mut body = vec![SIGN_REQUEST];
        push_string(&mut body, &key_blob(&self.key));
        push_string(&mut body, message);
        body.extend_from_slice(&0_u32.to_be_bytes());
        let reply = ask(&self.socket, &body)?;
        let mut fields = Fields(&reply);
        if fields.byte()? != SIGN_RESPONSE {
            return Err(AgentError::Refused);
        }
        let mut signature = Fields(fields.string()?);
        if signature.string()? != KEY_TYPE {
            return Err(AgentError::Malformed);
        }
        signature.string()?.try_into().map_err(|_| AgentError::Malformed)
    }
}

impl Signer for AgentKey {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let bytes =
            self.request(message).map_err(|error| SignError { key: self.key, source: Box::new(error) })?;
        Ok(Signature::from_bytes(bytes))
    }
}

fn key_blob(key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::with_capacity(51);
    push_string(&mut blob, KEY_TYPE);
    push_string(&mut blob, key.as_bytes());
    blob
}

fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what is signed stays far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn ask(socket: &PathBuf, body: &[u8]) -> Result<Vec<u8>, AgentError> {
    let failed = |source| AgentError::Io { socket: socket.clone(), source };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    let mut message = Vec::with_capacity(body.len() + 4);
    push_string(&mut message, body);
    stream.write_all(&message).map_err(failed)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(failed)?;
    let length = u32::from_be_bytes(length);
    if length > REPLY_BYTES_MAX {
        return Err(AgentError::Malformed);
    }
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).map_err(failed)?;
    Ok(reply)
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], AgentError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(AgentError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, AgentError> {
        self.take(1)?.first().copied().ok_or(AgentError::Malformed)
    }

    fn number(&mut self) -> Result<u32, AgentError> {
        let bytes = self.take(4)?.try_into().map_err(|_| AgentError::Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn string(&mut self) -> Result<&'a [u8], AgentError> {
        let length = self.number()? as usize;
        self.take(length)
    }
}
