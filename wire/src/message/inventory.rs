//! `Inventory`: what a relay says, signed, that it holds. Sent to every directory it knows, every 20 seconds.

use std::time::Duration;

use odi_manifest::{BlobId, BrokenRule, CatalogId, HeadId, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::registration::URLS_MAX;
use super::statement::Statement;
use super::{IdRanges, PublicUrl};

/// How many catalogs one inventory may speak of.
pub const INVENTORY_CATALOGS_MAX: usize = 256;

/// How many blobs `plus`, and how many `minus`, may name per catalog; a relay with more holes says a smaller range.
pub const INVENTORY_BLOBS_MAX: usize = 1024;

/// How many heads a relay may say that it serves per catalog.
pub const SERVED_HEADS_MAX: usize = 64;

/// How many capabilities an inventory may list.
pub const CAPS_MAX: usize = 16;

/// How many banned relays an inventory may name.
pub const BANS_MAX: usize = 64;

/// The longest capability in bytes.
pub const CAP_BYTES_MAX: usize = 32;

/// For how long an inventory may claim to hold.
pub const INVENTORY_LIFE_MAX: Duration = Duration::from_secs(3600);

/// `Inventory {t, v, exp, gen, bans, caps, urls, relay, catalogs}`, type `odi/inventory/1`, signed by the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// 1.
    pub v: u8,
    /// The relay's key, which signs this.
    pub relay: PublicKey,
    /// Strictly rises with every inventory; a lower one is a replay.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// When it was made.
    pub t: Timestamp,
    /// From when on it says nothing any more, at most [`INVENTORY_LIFE_MAX`] after `t`.
    pub exp: Timestamp,
    /// Relays that gave it wrong bytes for which another source had the right ones, and that it asks no more for now;
    /// ascending.
    pub bans: Vec<PublicKey>,
    /// The relay's public base URLs, best first.
    pub urls: Vec<PublicUrl>,
    /// What it can do, ascending: `fill` (fetches what it lacks for a waiting client), `ipv4`, `ipv6` (reachable
    /// there), `rate:N` (gives N bytes a second now, whatever it registered; 0 takes no new clients). A reader ignores
    /// what it does not know.
    pub caps: Vec<String>,
    /// What it holds, ascending by catalog.
    pub catalogs: Vec<CatalogInventory>,
}

/// What a relay holds of one catalog: `{cat, full?, plus, sent?, fills, minus, ranges, served}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogInventory {
    /// The catalog.
    pub cat: CatalogId,
    /// The heads at whose pins it answers, newest first.
    pub served: Vec<HeadId>,
    /// The newest head at which it holds every blob in `ranges` but those in `minus`. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<HeadId>,
    /// What it was assigned and fills itself with: it can be asked to be a home for these.
    pub fills: IdRanges,
    /// The blobs it speaks for as a whole.
    pub ranges: IdRanges,
    /// Blobs it holds beside those, ascending.
    pub plus: Vec<BlobId>,
    /// Blobs in its ranges that it lacks, ascending.
    pub minus: Vec<BlobId>,
    /// What it has given of the catalog, if it counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
}

/// What a relay says that it gave of one catalog to ordinary clients: `{bytes, since, bodies}`. The numbers only rise while `since` is
/// the same. Nobody is chosen, or trusted, for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Since when: its start.
    pub since: Timestamp,
    /// Downloads that it answered from their first byte on.
    pub bodies: u64,
    /// Bytes of all answers' bodies that left.
    pub bytes: u64,
}

/// What counts for a relay that names no rate: 100 Mbit/s, in bytes.
pub const RATE_UNNAMED: u64 = 12_500_000;

const RATE_CAP: &str = "rate:";

/// The capability that names what a relay gives now, in bytes a second.
#[must_use]
pub fn rate_cap(bytes_per_second: u64) -> String {
    format!("{RATE_CAP}{bytes_per_second}")
}

const ROOM_CAP: &str = "room:";

/// The capability that names how many bytes of assignments a relay takes now, where that is less than its disk suggests.
#[must_use]
pub fn room_cap(bytes: u64) -> String {
    format!("{ROOM_CAP}{bytes}")
}

impl Inventory {
    /// How many bytes of assignments the relay takes now, if it says so.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.caps.iter().find_map(|cap| cap.strip_prefix(ROOM_CAP)?.parse().ok())
    }

    /// What the relay gives now, in bytes a second, if it says so.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.caps.iter().find_map(|cap| cap.strip_prefix(RATE_CAP)?.parse().ok())
    }
}

impl CatalogInventory {
    /// Whether the relay says that it holds a blob. `at_full` tells whether the manifest of [`full`](Self::full)
    /// names the blob: what came later is held only if `plus` says so.
    #[must_use]
    pub fn holds(&self, blob: &BlobId, at_full: bool) -> bool {
        let in_range = self.full.is_some() && at_full && self.ranges.contains(blob);
        (in_range && self.minus.binary_search(blob).is_err()) || self.plus.binary_search(blob).is_ok()
    }
}

impl Inventory {
    /// What it says of one catalog.
    #[must_use]
    pub fn catalog(&self, id: &CatalogId) -> Option<&CatalogInventory> {
        let at = self.catalogs.binary_search_by(|catalog| catalog.cat.cmp(id)).ok()?;
        self.catalogs.get(at)
    }

    /// Whether it can do something; see [`caps`](Self::caps).
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.caps.binary_search_by(|known| known.as_str().cmp(capability)).is_ok()
    }
}

impl CatalogInventory {
    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(
            self.served.len() <= SERVED_HEADS_MAX,
            "a relay serves at most 64 heads of a catalog",
        )?;
        let capped = self.plus.len().max(self.minus.len()) <= INVENTORY_BLOBS_MAX;
        BrokenRule::unless(capped, "`plus` and `minus` have at most 1024 blobs each")?;
        let ascending = |blobs: &[BlobId]| blobs.is_sorted_by(|a, b| a < b);
        BrokenRule::unless(ascending(&self.plus) && ascending(&self.minus), "`plus` and `minus` ascend")
    }
}

impl Record for Inventory {
    const KIND: RecordKind = RecordKind::Inventory;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")?;
        BrokenRule::unless(self.urls.len() <= URLS_MAX, "a daemon names at most 8 URLs")?;
        let short = self.caps.iter().all(|cap| cap.len() <= CAP_BYTES_MAX);
        BrokenRule::unless(
            short && self.caps.len() <= CAPS_MAX,
            "at most 16 capabilities of at most 32 bytes",
        )?;
        BrokenRule::unless(self.caps.is_sorted_by(|a, b| a < b), "capabilities ascend")?;
        let banned = self.bans.len() <= BANS_MAX && self.bans.is_sorted_by(|a, b| a < b);
        BrokenRule::unless(banned, "at most 64 banned relays, ascending")?;
        let lives = self.exp > self.t && self.exp.since(self.t) <= INVENTORY_LIFE_MAX;
        BrokenRule::unless(lives, "an inventory expires within an hour after it was made")?;
        BrokenRule::unless(self.catalogs.len() <= INVENTORY_CATALOGS_MAX, "at most 256 catalogs")?;
        BrokenRule::unless(self.catalogs.is_sorted_by(|a, b| a.cat < b.cat), "catalogs ascend")?;
        self.catalogs.iter().try_for_each(CatalogInventory::check)
    }
}

impl Statement for Inventory {
    fn author(&self) -> &PublicKey {
        &self.relay
    }
}
