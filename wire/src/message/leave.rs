//! `Leave`: a relay goes, on purpose; its lease ends at once.

use odi_manifest::{BrokenRule, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::statement::Statement;

/// `Leave {t, v, gen, relay}`, type `odi/leave/1`, signed by the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// 1.
    pub v: u8,
    /// The relay's key, which signs this.
    pub relay: PublicKey,
    /// In one sequence with the relay's inventories, so that an old inventory cannot bring it back.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// When it was made.
    pub t: Timestamp,
}

impl Record for Leave {
    const KIND: RecordKind = RecordKind::Leave;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")
    }
}

impl Statement for Leave {
    fn author(&self) -> &PublicKey {
        &self.relay
    }
}
