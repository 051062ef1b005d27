//! The one spelling that each signature header may have.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER;
use odi_manifest::{Sha256, Timestamp};

use crate::limits::SIGNATURE_HEADER_BYTES_MAX;

/// The label of the one signature.
pub(super) const LABEL: &str = "odi=";

const COMPONENTS: &str = r#"("@method" "@authority" "@path" "@query" "content-digest" "content-type")"#;
const END: &str = r#"";alg="hmac-sha256";tag="odi-dir-to-relay-1""#;

/// 16 random bytes, used once.
pub type Nonce = [u8; 16];

/// Whose key, and which of theirs. Its text is the directory's public key in hexadecimal, a dot, and the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId {
    /// The directory's Ed25519 public key.
    pub directory: [u8; 32],
    /// The generation of the pre-shared key.
    pub generation: u64,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", HEXLOWER.encode(&self.directory), self.generation)
    }
}

/// What varies between two signatures of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) created: Timestamp,
    pub(super) nonce: Nonce,
    pub(super) key_id: KeyId,
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = URL_SAFE_NO_PAD.encode(self.nonce);
        write!(f, r#"{COMPONENTS};created={};nonce="{nonce}";keyid="{}{END}"#, self.created.0, self.key_id)
    }
}

/// Reads `Signature-Input`. Whatever does not read back as it was written is refused, which leaves no second
/// spelling, no further label and no further parameter.
pub(super) fn parse_input(value: &str) -> Option<Parameters> {
    if value.len() > SIGNATURE_HEADER_BYTES_MAX {
        return None;
    }
    let rest = value.strip_prefix(LABEL)?.strip_prefix(COMPONENTS)?.strip_prefix(";created=")?;
    let (created, rest) = rest.split_once(";nonce=\"")?;
    let (nonce, rest) = rest.split_once("\";keyid=\"")?;
    let (directory, generation) = rest.strip_suffix(END)?.split_once('.')?;
    let parameters = Parameters {
        created: Timestamp(created.parse().ok()?),
        nonce: URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?,
        key_id: KeyId {
            directory: HEXLOWER.decode(directory.as_bytes()).ok()?.try_into().ok()?,
            generation: generation.parse().ok()?,
        },
    };
    (format!("{LABEL}{parameters}") == value).then_some(parameters)
}

/// `odi=:base64:`.
pub(super) fn signature_field(mac: &[u8]) -> String {
    format!("{LABEL}:{}:", STANDARD.encode(mac))
}

/// Reads `Signature`: 32 bytes under the one label.
pub(super) fn parse_signature(value: &str) -> Option<[u8; 32]> {
    if value.len() > SIGNATURE_HEADER_BYTES_MAX {
        return None;
    }
    let base64 = value.strip_prefix(LABEL)?.strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(base64).ok()?.try_into().ok()
}

/// `Content-Digest` (RFC 9530) of a body, present even when that is empty.
pub(super) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::of(body).as_bytes()))
}
