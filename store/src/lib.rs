//! Bytes at rest: packs, redb index, verified reads, reclaim, scrub.
//!
//! FORMAT.md, beside this crate, is the contract: record layout, invariants, and what a crash at each step means.
//! Blocking throughout; the few calls that never wait for a disk say so.

mod disk;
mod error;
mod options;

mod store;

mod ingest;
mod nodes;
mod partial;
mod pins;
mod reader;
mod tree_nodes;

mod compact;
mod eviction;
mod kept;
mod marking;
mod purge;
mod rebuild;
mod reclaim;
mod scrub;
mod stats;

mod ledger;

mod change;
mod open;
mod queue;
mod writer;

mod index;
mod pack;
mod record;
mod row;

mod budget;
mod buffers;
mod cache;
mod chunks;
mod events;
mod flights;
mod leases;
mod lent;
mod read_pool;
mod reading;
mod rows;

pub use buffers::ChunkRoom;
pub use disk::{Disk, DiskFile, OpenMode, RealDisk};
pub use error::{IngestError, PartialError, ReadError, StoreError};
pub use events::{EVENTS_MAX, Event};
pub use eviction::{Candidate, Keep, Line, Tally};
pub use ingest::{IngestBuffer, Ingested, Ticket};
pub use ledger::{CatalogTrust, Ledger, LedgerError, ledger_folder};
pub use marking::NodeHold;
pub use open::is_in_use;
pub use options::{PACK_BYTES_MAX, StoreOptions};
pub use partial::{Partial, Progress};
pub use pins::{PIN_NAME_BYTES_MAX, PinName, PinNameError};
pub use read_pool::READS_WAITING_MAX;
pub use reader::BlobReader;
pub use rebuild::Rebuilt;
pub use reclaim::{Live, Reclaimed};
pub use row::Hour;
pub use scrub::ScrubReport;
pub use stats::Stats;
pub use store::Store;
pub use tree_nodes::{NodesInMemory, StoreNodes};
