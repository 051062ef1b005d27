//! `Deny`: the relays that a directory's operator shut out. To other directories a report, never an order.

use odi_manifest::{BrokenRule, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::statement::Statement;

/// How many relays one directory may speak of.
pub const DENIED_RELAYS_MAX: usize = 1000;

/// The longest reason in bytes.
pub const DENY_WHY_BYTES_MAX: usize = 500;

/// `Deny {t, v, dir, gen, relays}`, type `odi/deny/1`, signed by the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// 1.
    pub v: u8,
    /// The directory's key, which signs this.
    pub dir: PublicKey,
    /// Strictly rises with every list.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// When it was made.
    pub t: Timestamp,
    /// The relays, ascending.
    pub relays: Vec<DeniedRelay>,
}

/// One relay that an operator shut out: `{at, why?, relay, removed}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeniedRelay {
    /// The relay.
    pub relay: PublicKey,
    /// Since when.
    pub at: Timestamp,
    /// Whether it may not even register.
    pub removed: bool,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Record for Deny {
    const KIND: RecordKind = RecordKind::Deny;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")?;
        BrokenRule::unless(self.relays.len() <= DENIED_RELAYS_MAX, "at most 1000 relays")?;
        BrokenRule::unless(self.relays.is_sorted_by(|a, b| a.relay < b.relay), "relays ascend")?;
        let short = |denied: &DeniedRelay| {
            denied.why.as_ref().is_none_or(|why| (1..=DENY_WHY_BYTES_MAX).contains(&why.len()))
        };
        BrokenRule::unless(self.relays.iter().all(short), "a reason has 1 to 500 bytes")
    }
}

impl Statement for Deny {
    fn author(&self) -> &PublicKey {
        &self.dir
    }
}
