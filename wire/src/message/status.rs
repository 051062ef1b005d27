//! `GET /odi/v1/status` of both daemons (JSON): what runs, how far it is, and what went wrong lately.

use odi_manifest::{CatalogId, HeadId, Pin, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::{CatalogFreshness, DaemonKind, RelayState};

/// Of any list in a status document, how many items it shows at most.
pub const STATUS_LIST_MAX: usize = 256;

/// A directory's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// [`super::DOCUMENT_VERSION`].
    pub v: u8,
    /// Always `directory`.
    pub kind: DaemonKind,
    /// Its public key.
    pub id: PublicKey,
    /// The version of the program.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether every configured catalog is served and, where relays are registered, one of them is ready.
    pub ready: bool,
    /// Its catalogs.
    pub catalogs: Vec<DirectoryCatalog>,
    /// How many relays stand where.
    pub relays: RelayCounts,
    /// The directories that it federates with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerStatus>,
    /// Bytes of small artifacts that it carries itself.
    pub carried_bytes: u64,
    /// How many it may carry.
    pub carry_budget: u64,
}

/// Another directory in [`DirectoryStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its base URL.
    pub url: String,
    /// Who answered there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PublicKey>,
    /// When it last answered as it should, about any catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
    /// Why it is not followed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Catalogs of which it shows another head than this directory, while it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<PeerDifference>,
    /// How many relays' statements came through it.
    #[serde(default)]
    pub passed: u64,
    /// Why what it passes on is not taken now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing_fault: Option<String>,
}

/// A catalog of which another directory shows an older head, or another history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDifference {
    /// This directory's name for the catalog.
    pub catalog: String,
    /// How it differs.
    pub kind: DifferenceKind,
    /// The number of the head that it shows; 0 for none.
    pub seq: u64,
    /// The number of the head here.
    pub here: u64,
    /// Since when.
    pub since: Timestamp,
}

/// How another directory's head differs from this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It is older.
    Behind,
    /// It contradicts the one here.
    Divided,
}

/// A proof of equivocation in [`DirectoryCatalog`], which lies under `equivocations/` of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquivocationStatus {
    /// The epoch of both heads.
    pub epoch: u64,
    /// The number of both.
    pub seq: u64,
    /// Their ids, the smaller one first.
    pub heads: [HeadId; 2],
}

/// One catalog in [`DirectoryStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryCatalog {
    /// The directory's name for it.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// The newest adopted head; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<HeadStatus>,
    /// The newest served head; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<HeadStatus>,
    /// When a head was last asked for with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polled: Option<Timestamp>,
    /// Whether its newest head, or its newest root of trust, has expired.
    pub stale: bool,
    /// How much is left of the life of its newest head or root, whichever is nearer to its end; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// When its newest root of trust expires; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_expires: Option<Timestamp>,
    /// Who vouches for its newest head; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<CatalogFreshness>,
    /// Proofs that its release keys signed two heads of one number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equivocations: Vec<EquivocationStatus>,
    /// How many live relays announce it.
    pub relays: u32,
    /// Why the last attempt to follow it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why its settings file is not what holds, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_fault: Option<String>,
}

/// How much is left of a statement's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// More than a third.
    #[default]
    Good,
    /// A third or less: its maintainers should sign the next one.
    Ending,
    /// Nothing: it has expired.
    Ended,
}

/// A head in a status document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadStatus {
    /// Its sequence number.
    pub seq: u64,
    /// Its name.
    pub head: HeadId,
    /// The same as a URL segment.
    pub pin: Pin,
    /// How many artifacts it names.
    pub entries: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// When its signature expires.
    pub expires: Timestamp,
}

/// How many relays stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayCounts {
    /// Registered, not proved.
    pub unproven: u32,
    /// Under test.
    pub probation: u32,
    /// Taking traffic.
    pub ready: u32,
    /// Shut out.
    pub quarantined: u32,
}

/// A relay's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// [`super::DOCUMENT_VERSION`].
    pub v: u8,
    /// Always `relay`.
    pub kind: DaemonKind,
    /// Its public key.
    pub id: PublicKey,
    /// The version of the program.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether it holds all it was assigned and a directory calls it ready.
    pub ready: bool,
    /// What it holds.
    pub catalogs: Vec<RelayCatalog>,
    /// What its store takes on the disk: packs, trees and index.
    pub stored_bytes: u64,
    /// What its operator allows, and how much of it is used.
    pub budget: BudgetStatus,
    /// Whom it fetches from.
    pub sources: Vec<SourceStatus>,
    /// The directories it knows.
    pub directories: Vec<DirectoryLink>,
}

/// One catalog in [`RelayStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayCatalog {
    /// The name it is served under.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// The newest head served; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<HeadStatus>,
    /// The newest head under which every assigned blob is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Pin>,
    /// Whether a directory asked for anything of it. Without that nothing is missing, and nothing need be held.
    pub assigned: bool,
    /// How many assigned blobs are still missing.
    pub missing_blobs: u64,
    /// Their bytes.
    pub missing_bytes: u64,
    /// Whether its newest head, or its newest root of trust, has expired.
    pub stale: bool,
    /// Entries that two sources could not satisfy.
    pub bad_entries: u64,
    /// Why the last attempt to follow it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why its settings file is not what holds, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_fault: Option<String>,
}

/// A relay's limits and what is used of them. An absent limit is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// Bytes on disk that it may use.
    pub disk_bytes: u64,
    /// Bytes on disk that it uses.
    pub disk_used: u64,
    /// Bytes a second that it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes: Option<u64>,
    /// When a time window makes that another number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_until: Option<Timestamp>,
    /// Bytes a month that it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_bytes: Option<u64>,
    /// Bytes that it has sent this month, as UTC has it.
    pub transfer_used: u64,
    /// When the next month begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_renewed: Option<Timestamp>,
    /// Bytes a second that directories should count on now; 0 is no new clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
}

/// One source that a relay fetches from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its base URL.
    pub url: String,
    /// Verified bytes that it gave.
    pub bytes: u64,
    /// Bytes that it sent and that were of no use: wrong, twice, or cut off within a chunk.
    pub wasted: u64,
    /// Requests that failed for any reason.
    pub failures: u64,
    /// Wrong chunks for which another source then had the right one.
    pub wrong_chunks: u64,
    /// Until when it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
}

/// A relay's standing at one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryLink {
    /// The directory's base URL.
    pub url: String,
    /// Its key, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PublicKey>,
    /// What it said last.
    pub state: RelayState,
    /// Until when the lease runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Whether it is the one whose assignments count.
    pub assigner: bool,
    /// Whether the relay's operator did not name it, but a directory that they named did.
    #[serde(default)]
    pub introduced: bool,
    /// Why the relay is not ready there, in the directory's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the last call failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it is called again, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
}
