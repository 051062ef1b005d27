//! What a directory tells a relay, and people, about the relays it knows (JSON).

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a relay has come at one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayState {
    /// The directory has no registration of this relay (any more); it should register again.
    Unknown,
    /// Registered; its URLs have not proved both keys yet. Nothing is sent there.
    Unproven,
    /// Proved; self-tests run, or it has a small share of the traffic.
    Probation,
    /// It takes its share of the traffic.
    Ready,
    /// It lied or failed; nothing is sent there until it has proved itself again.
    Quarantined,
}

/// The answer to `POST /odi/v1/relays` (202).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationReply {
    /// Where the relay stands now.
    pub state: RelayState,
}

/// The answer to `POST /odi/v1/relays/inventory` and `POST /odi/v1/relays/leave`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReply {
    /// Where the relay stands now.
    pub state: RelayState,
    /// Until when it counts as alive without another inventory.
    pub lease_until: Timestamp,
    /// The generation of the assignment that waits for it; 0 if there is none.
    pub assignment_gen: u64,
    /// Rises whenever a relay comes or goes or fills something else: the others want to know at once.
    pub roster_gen: u64,
    /// Why it is not ready, for its operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One relay in `GET /odi/v1/relays`, a JSON array of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySummary {
    /// Its public key.
    pub id: PublicKey,
    /// Its public base URLs.
    pub urls: Vec<String>,
    /// Where it stands.
    pub state: RelayState,
    /// Until when it counts as alive.
    pub lease_until: Timestamp,
    /// When this directory last probed it with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<Timestamp>,
    /// How many other relays say that it gave them wrong bytes. Their word alone costs it nothing here.
    pub reports: u32,
    /// What it says that it holds.
    pub catalogs: Vec<RelayHolding>,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One catalog in [`RelaySummary`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHolding {
    /// The catalog.
    pub id: CatalogId,
    /// Sequence number of the newest head it serves, as far as the directory knows that head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Which share of the blob ids its ranges cover, in 65 536ths.
    pub share: u32,
}
