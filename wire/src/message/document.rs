//! The JSON documents that both daemons share: who answers here, and which catalogs it has.
//!
//! JSON is for people and tools. A reader ignores keys that it does not know; every other rule is in the types.

use std::collections::BTreeSet;

use odi_manifest::{CatalogId, HeadId, Pin, PublicKey, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog_settings::ClientInstructions;

/// The version that every document carries as `v`.
pub const DOCUMENT_VERSION: u8 = 1;

/// The largest JSON document that a reader accepts.
pub const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// The media type of every document.
pub const JSON: &str = "application/json";

/// Why a JSON document is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`DOCUMENT_BYTES_MAX`].
    #[error("the document has {0} bytes, more than {DOCUMENT_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON, or not the document that was expected.
    #[error("the document does not read as {expected}")]
    Malformed {
        /// What should have been there.
        expected: &'static str,
        /// Where it went wrong.
        source: serde_json::Error,
    },
}

/// Writes a document, ready to send.
///
/// # Panics
/// Never for the documents of this crate: their keys are texts and they hold no floats.
pub fn to_json<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents of this crate have text keys only")
}

/// Reads a document; `expected` names it in the error.
///
/// # Errors
/// [`DocumentError`] if it is too large or does not have the expected shape.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8], expected: &'static str) -> Result<T, DocumentError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Malformed { expected, source })
}

/// Which daemon answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonKind {
    /// `odi-directoryd`.
    Directory,
    /// `odi-relayd`.
    Relay,
}

/// `GET /.well-known/odi`: who answers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WellKnown {
    /// [`DOCUMENT_VERSION`].
    pub v: u8,
    /// Directory or relay.
    pub kind: DaemonKind,
    /// The daemon's public key as an OpenSSH line without comment.
    pub id: PublicKey,
    /// The public base URLs it answers under, best first.
    pub urls: Vec<String>,
    /// The catalogs it serves now.
    pub catalogs: Vec<ServedCatalog>,
}

/// One catalog in [`WellKnown`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedCatalog {
    /// The name that this daemon uses for it in URLs.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// The sequence number of the newest head served.
    pub seq: u64,
}

/// One catalog in `GET /odi/v1/catalogs`, a JSON array of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogSummary {
    /// The directory's name for it.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// Sequence number of the newest adopted head.
    pub seq: u64,
    /// The newest adopted head.
    pub head: HeadId,
    /// The same head as a URL segment.
    pub pin: Pin,
    /// How many artifacts it names.
    pub entries: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// When its signature expires.
    pub expires: Timestamp,
    /// Whether it had expired when this was written.
    #[serde(default)]
    pub stale: bool,
    /// The maintainers' tags.
    pub tags: BTreeSet<String>,
    /// The maintainers' title, if they gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How people point their clients at it here, as its settings say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientInstructions>,
}
