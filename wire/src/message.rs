//! Every message between daemons (PROTOCOL.md § Messages): statements in CBOR, signed by whoever makes them, and
//! documents in JSON, for people and tools.
//!
//! Decoding bounds everything: a record by its kind's size and the caps on its lists, a document by
//! [`DOCUMENT_BYTES_MAX`]. Nothing here knows a clock; who reads a statement judges its times and its `gen`.

mod assignment;
mod audit;
mod catalog_pattern;
mod challenge;
mod deny;
mod document;
mod freshness;
mod holders;
mod id_ranges;
mod inventory;
mod leave;
mod look;
mod notify;
mod passed;
mod place;
mod psk;
mod public_url;
mod push;
mod registration;
mod roster;
mod statement;
mod status;
mod testimony;

pub use assignment::{
    ASSIGNED_BLOBS_MAX, ASSIGNED_CATALOGS_MAX, Assign, AssignedCatalog, CATALOG_NAME_BYTES_MAX,
    assignable_bytes,
};
pub use audit::{AUDIT_SEEN_MAX, AUDIT_URL_BYTES_MAX, Audit};
pub use catalog_pattern::{CATALOG_PATTERN_BYTES_MAX, CatalogPattern, CatalogPatternError};
pub use challenge::{CHALLENGE_BYTES_MAX, Challenge, ChallengeAnswer, ChallengeRefusal};
pub use deny::{DENIED_RELAYS_MAX, DENY_WHY_BYTES_MAX, DeniedRelay, Deny};
pub use document::{
    CatalogSummary, DOCUMENT_BYTES_MAX, DOCUMENT_VERSION, DaemonKind, DocumentError, JSON, ServedCatalog,
    WellKnown, from_json, to_json,
};
pub use freshness::{CatalogFreshness, FreshnessState, OwnWord, WitnessWord};
pub use holders::{HOLDERS_BYTES_MAX, HOLDERS_MAX, decode_holders, encode_holders};
pub use id_ranges::{ID_RANGES_MAX, ID_SPACE, IdRanges, IdRangesError, prefix_of};
pub use inventory::{
    BANS_MAX, CAP_BYTES_MAX, CAPS_MAX, CatalogInventory, INVENTORY_BLOBS_MAX, INVENTORY_CATALOGS_MAX,
    INVENTORY_LIFE_MAX, Inventory, RATE_UNNAMED, SERVED_HEADS_MAX, Sent, rate_cap, room_cap,
};
pub use leave::Leave;
pub use look::{LOOK_BYTES_MAX, LOOKED_BYTES_MAX, Look, Looked, SEEN_BYTES_MAX};
pub use notify::{NOTIFY_BYTES_MAX, NOTIFY_CATALOGS_MAX, Notify};
pub use passed::{
    PASSED_BYTES_MAX, PASSED_MAX, WANTED_BYTES_MAX, Wanted, decode_wanted, encode_passed, encode_wanted,
    split_passed,
};
pub use place::{Country, CountryError, OPERATOR_BYTES_MAX, PREFIXES_MAX, Prefix, PrefixError, RelayPlace};
pub use psk::{DerivedKey, PreSharedKey};
pub use public_url::{PUBLIC_URL_BYTES_MAX, PublicUrl, PublicUrlError};
pub use push::{PUSH_BYTES_MAX, PUSH_ROOTS_MAX, Push};
pub use registration::{RelayReg, TAG_BYTES_MAX, URLS_MAX, WISHES_MAX};
pub use roster::{LeaseReply, RegistrationReply, RelayHolding, RelayState, RelaySummary};
pub use statement::{CBOR, StateError, Statement, StatementError, open, open_from, state};
pub use status::{
    BudgetStatus, DifferenceKind, DirectoryCatalog, DirectoryLink, DirectoryStatus, EquivocationStatus,
    HeadStatus, Lifetime, PeerDifference, PeerStatus, RelayCatalog, RelayCounts, RelayStatus,
    STATUS_LIST_MAX, SourceStatus,
};
pub use testimony::{TESTIMONY_BYTES_MAX, TESTIMONY_COSIGS_MAX, TESTIMONY_PROOFS_MAX, Testimony};
