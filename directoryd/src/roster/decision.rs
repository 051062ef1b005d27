//! What the operator has decided about a relay. It stands above everything that the relay shows, over restarts, until the operator says
//! otherwise.

use odi_manifest::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest reason in bytes.
pub const WHY_BYTES_MAX: usize = 500;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What.
    pub verdict: Verdict,
    /// Why, in the operator's words: the relay's operator is told, and everybody who looks at its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What may be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It needs no probation: what passes the self-test takes its whole share. What lies is quarantined all the same.
    Approved,
    /// Nobody is sent there, nothing is assigned, and its word counts for nothing.
    Quarantined,
    /// It is forgotten, and may not register.
    Removed,
}

impl Decision {
    /// What is said of it to others; nothing of what speaks for a relay.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let done = match self.verdict {
            Verdict::Approved => return None,
            Verdict::Quarantined => "this directory's operator has shut it out",
            Verdict::Removed => "this directory's operator has removed it",
        };
        Some(self.why.as_ref().map_or_else(|| done.to_owned(), |why| format!("{done}: {why}")))
    }
}
