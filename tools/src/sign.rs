//! What maintainers do: make keys, begin a catalog, publish trees, change who may sign.
//!
//! [`init`](init()) and [`publish`](publish()) are the two calls that `odi demo` makes as well; [`run`] is the command line over all
//! of it. Everything that changes a tree's `.odi/` goes through [`TreeDisk`]; `publish` says what a crash at each
//! step means.

mod agent;
mod check;
pub mod cli;
mod compare;
mod description;
mod failure;
mod hashing;
mod history;
mod import;
mod init;
mod inspect;
mod kept_blobs;
mod key_file;
mod lock;
mod manifest_nodes;
mod next_head;
mod next_manifest;
mod odi_folder;
mod others;
mod outcome;
mod passphrase;
mod pending;
mod progress;
mod publish;
mod published;
mod pull;
mod push;
mod remote;
mod requests;
mod retention;
mod revise;
mod root_steps;
mod run;
mod scan;
mod scan_cache;
mod settings_check;
mod sign_waiting;
mod signers;
mod stage;
mod survey;
mod tree_disk;
mod trust_change;

pub use description::Description;
pub use failure::Failure;
pub use import::{Imported, ListFault};
pub use init::{InitRequest, init};
pub use outcome::{HeadOutcome, HeadState, InitOutcome};
pub use progress::{Progress, Silent};
pub use publish::{PublishRequest, publish};
pub use run::run;
pub(crate) use scan::walk;
pub use signers::BoxedSigner;
pub use tree_disk::{DiskError, RealTreeDisk, TreeDisk};
