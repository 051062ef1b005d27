//! In a directory's status: whether a catalog's newest head may be taken for the newest there is, and on whose word.

use odi_manifest::{PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

/// Who vouches for the newest head of a catalog (manifest/FORMAT.md § Freshness). It decides nothing about what is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogFreshness {
    /// What that comes to.
    pub state: FreshnessState,
    /// How many witnesses the catalog's root wants.
    pub quorum: u32,
    /// How many vouched for this head in the last 48 hours.
    pub vouching: u32,
    /// When the last of them did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Until when it is fresh, or unexpired, if nothing more comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Since when it is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The listed witnesses, in the root's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<WitnessWord>,
    /// What this directory itself does about it, where it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnWord>,
}

/// What the witnesses' words come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FreshnessState {
    /// A quorum vouched for it lately.
    Fresh,
    /// Too few did, or it has expired.
    Stale,
    /// The catalog wants no witness: nobody would notice if newer heads were kept back.
    Unprotected,
}

/// One listed witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessWord {
    /// What the root calls it.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// The number of the head that it vouched for last, as far as that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Timestamp>,
    /// Whether that counts for the newest head here.
    pub counts: bool,
}

/// What a witness does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnWord {
    /// It has vouched for the newest head.
    Said,
    /// There is nothing to vouch for: no head, or one that has expired.
    Nothing,
    /// It has just started, and hears others first.
    Listening,
    /// Somebody showed, or it vouched for, a larger head than the one that it holds.
    Behind,
    /// It vouched for another head of the same number.
    Divided,
}
