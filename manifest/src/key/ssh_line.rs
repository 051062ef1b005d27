//! OpenSSH public key lines, `ssh-ed25519 BASE64 [comment]`, as `ssh-keygen` writes them (RFC 8709, RFC 4253 § 6.6).
//!
//! The base64 holds two strings, each after its length in 4 big-endian bytes: the algorithm's name and the key.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::{KeyError, PublicKey};

const ALGORITHM: &str = "ssh-ed25519";

/// Everything of the base64's content that stands before the key.
const BLOB_PREFIX: &[u8] = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20";

/// Longest line that is read, in bytes: a key takes 80, the rest is comment.
const LINE_BYTES_MAX: usize = 1024;

/// A public key line with its comment, as a `.pub` file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// The key.
    pub key: PublicKey,
    /// What follows it, often `user@host`; empty if nothing does. Trusted for nothing.
    pub comment: String,
}

impl FromStr for KeyLine {
    type Err = KeyError;

    /// Reads one line; white space around it is dropped, a second line or a control character refused.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let line = text.trim();
        if line.len() > LINE_BYTES_MAX || line.contains(|letter: char| letter.is_control() && letter != '\t')
        {
            return Err(KeyError::NotALine);
        }
        let (algorithm, rest) = line.split_once([' ', '\t']).ok_or(KeyError::NotALine)?;
        if algorithm != ALGORITHM {
            let is_other = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| algorithm.starts_with(prefix));
            return Err(if is_other { KeyError::OtherAlgorithm } else { KeyError::NotALine });
        }
        let rest = rest.trim_start();
        let (blob, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let blob = BASE64.decode(blob.as_bytes()).map_err(|_| KeyError::NotALine)?;
        let key = blob.strip_prefix(BLOB_PREFIX).ok_or(KeyError::NotALine)?;
        Ok(Self { key: PublicKey::from_slice(key)?, comment: comment.trim().to_owned() })
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, " {}", self.comment) }
    }
}

/// Writes a key's line without comment.
pub(super) fn write(f: &mut fmt::Formatter<'_>, key: &PublicKey) -> fmt::Result {
    let blob = [BLOB_PREFIX, key.as_bytes()].concat();
    write!(f, "{ALGORITHM} {}", BASE64.encode(&blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8032's test 1, as `ssh-keygen -y` prints it.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea alice@example";

    #[test]
    fn a_line_round_trips() {
        let line: KeyLine = LINE.parse().unwrap();
        assert_eq!(line.comment, "alice@example");
        assert_eq!(line.to_string(), LINE);
        assert_eq!(line.key.to_string().parse(), Ok(line.key));
        assert_eq!(format!("  {LINE}\n").parse(), Ok(line));
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        let refused = |text: &str| text.parse::<KeyLine>().unwrap_err();
        assert_eq!(refused(""), KeyError::NotALine);
        assert_eq!(refused("ssh-ed25519"), KeyError::NotALine);
        assert_eq!(refused("ssh-rsa AAAAB3NzaC1yc2E="), KeyError::OtherAlgorithm);
        assert_eq!(refused(&LINE.replace("AAAAC3", "AAAAC4")), KeyError::NotALine);
        assert_eq!(refused(&LINE.replace("B1Ea ", "B1E= ")), KeyError::Length(31));
        assert_eq!(refused(&format!("{LINE}\n{LINE}")), KeyError::NotALine);
        assert_eq!(refused(&format!("{LINE}{}", "x".repeat(1024))), KeyError::NotALine);
        assert_eq!(refused(&LINE.replace("INdamAGCsQq31Uv", "INdamAGCsQq31U")), KeyError::NotALine);
    }
}
