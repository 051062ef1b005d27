//! The one client that follows a catalog, at an origin or at a directory alike (PROTOCOL.md § Sync).
//!
//! Invariants
//! - What is fetched has a size known beforehand, and is judged before anything depends on it.
//! - The ledger is durable before a state is shown, the tree before the ledger; whatever fails, the former state stays.
//! - A wrong diff, node or list condemns its source; only what its signers signed condemns a catalog.

mod adopting;
mod backfill;
mod client;
mod error;
mod followed;
mod head_line;
mod intact;
mod records;
mod resuming;
mod retained;
mod source;
mod testimony;
mod tree_sync;

pub use client::{Advance, PushOutcome, SyncClient, SyncOutcome};
pub use error::{SyncError, TreeFault};
pub use followed::{CatalogState, FollowedCatalog, Resolved};
pub use records::split_heads;
pub use retained::{RETAIN_FOR, RETAIN_FOR_MAX, RETAINED_MAX, RETAINED_MIN, RetainedHead};
pub use source::SyncSource;
pub use testimony::Testified;
