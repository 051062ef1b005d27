//! `Audit`: a directory saw a relay give wrong bytes. To other directories a report, never an order.

use odi_manifest::{BlobId, BrokenRule, CatalogId, HeadId, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::statement::Statement;

/// How many vantage points one audit may name.
pub const AUDIT_SEEN_MAX: usize = 8;

/// The longest URL in bytes: a relay's base and a path with every byte escaped.
pub const AUDIT_URL_BYTES_MAX: usize = 4096;

/// `Audit {t, v, by, cat, got, len, off, own, url, blob, head, seen, relay}`, type `odi/audit/1`, signed by the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// 1.
    pub v: u8,
    /// The directory's key, which signs this.
    pub by: PublicKey,
    /// The relay.
    pub relay: PublicKey,
    /// When it was seen.
    pub t: Timestamp,
    /// Where: a URL of the relay, at a pin.
    pub url: String,
    /// The catalog.
    pub cat: CatalogId,
    /// The head of the pin.
    pub head: HeadId,
    /// What is there by that head.
    pub blob: BlobId,
    /// From which byte on it was looked at.
    pub off: u64,
    /// How many bytes came.
    pub len: u64,
    /// The BLAKE3 of those bytes.
    pub got: BlobId,
    /// Whether the directory saw it itself.
    pub own: bool,
    /// The vantage points that saw it, ascending.
    pub seen: Vec<PublicKey>,
}

impl Record for Audit {
    const KIND: RecordKind = RecordKind::Audit;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")?;
        let url = (1..=AUDIT_URL_BYTES_MAX).contains(&self.url.len());
        BrokenRule::unless(url, "a URL has 1 to 4096 bytes")?;
        let seen = self.seen.len() <= AUDIT_SEEN_MAX && self.seen.is_sorted_by(|a, b| a < b);
        BrokenRule::unless(seen, "at most 8 vantage points, ascending")?;
        BrokenRule::unless(self.own || !self.seen.is_empty(), "somebody saw it")
    }
}

impl Statement for Audit {
    fn author(&self) -> &PublicKey {
        &self.by
    }
}
