//! `POST notify`: a directory tells a relay that there is news (CBOR, a signed request).
//!
//! It says where to look and nothing that is believed: what changed is learned where it always is, so that a forged or
//! stale notice costs a look.

use odi_manifest::cbor::{self, CborError};
use odi_manifest::{CatalogId, PublicKey};
use serde::{Deserialize, Serialize};

/// The largest notice in bytes.
pub const NOTIFY_BYTES_MAX: usize = 16 << 10;
/// How many catalogs one notice may name; a directory with more news says it in several.
pub const NOTIFY_CATALOGS_MAX: usize = 256;

/// `{v, dir, catalogs, assignment_gen}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// 1.
    pub v: u8,
    /// The directory that says so.
    pub dir: PublicKey,
    /// Catalogs with a newer head there.
    pub catalogs: Vec<CatalogId>,
    /// The generation of the assignment that waits there; 0 if there is none.
    pub assignment_gen: u64,
}

impl Notify {
    /// Its encoding.
    ///
    /// # Errors
    /// None for a value of this type; the encoder's own error otherwise.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads a notice.
    ///
    /// # Errors
    /// It is not one, or it names too many catalogs.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, CborError> {
        let notice: Self = cbor::from_slice(bytes, NOTIFY_BYTES_MAX)?;
        Ok(Some(notice).filter(|notice| notice.v == 1 && notice.catalogs.len() <= NOTIFY_CATALOGS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn a_notice_reads_back_and_is_bounded() {
        let dir = SigningKey::from_seed(&[1; 32]).public_key();
        let id = CatalogId::from_bytes([7; 32]);
        let notice = Notify { v: 1, dir, catalogs: vec![id; NOTIFY_CATALOGS_MAX], assignment_gen: 3 };
        let bytes = notice.encode().unwrap();
        assert!(bytes.len() <= NOTIFY_BYTES_MAX);
        assert_eq!(Notify::decode(&bytes).unwrap(), Some(notice.clone()));
        let more = Notify { catalogs: vec![id; NOTIFY_CATALOGS_MAX + 1], ..notice.clone() };
        assert_eq!(Notify::decode(&more.encode().unwrap()).unwrap(), None);
        let other = Notify { v: 2, ..notice };
        assert_eq!(Notify::decode(&other.encode().unwrap()).unwrap(), None);
        assert!(Notify::decode(b"junk").is_err());
    }
}
