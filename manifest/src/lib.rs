//! What was promised: ids, the CBOR profile, the Merkle tree of a manifest, and the signed records that name it.
//!
//! Nothing here does I/O, reads a clock or draws a random number. FORMAT.md, beside this crate, is the byte-level
//! contract; each module names its section.

pub mod cbor;
mod clock;
mod ids;

pub use clock::{Clock, SystemClock, Timestamp};
pub use ids::{BlobId, CatalogId, HeadId, NodeId, ParseIdError, RevId, RootId, Sha256};
