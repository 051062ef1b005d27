//! Hand over bytes: join, fill, serve, announce, leave.
//!
//! A relay is a volunteer's server. It registers with directories, follows the catalogs it wants, fills itself from other relays
//! first and the origin last, and serves bytes that it has verified since it last read them. docs/relay.md is its manual.

// What the operator says.
pub mod check;
pub mod config;
pub mod wanted;

// What is remembered across restarts.
pub mod acquaintance;
pub mod identity;

// What is decided. Pure.
pub mod admission;
pub mod copies;
pub mod holdings;
pub mod introduced;
pub mod queue;
pub mod schedule;
pub mod shared_secret;
pub mod sources;
pub mod sourcing;
pub mod transfer;

// What is done.
pub mod bell;
pub mod catalog;
pub mod catalogs;
pub mod denying;
pub mod directories;
pub mod directory;
pub mod directory_api;
pub mod epochs;
pub mod federating;
pub mod fill;
pub mod flight;
pub mod following;
pub mod given;
pub mod housekeeping;
pub mod import;
pub mod introduction;
pub mod looks;
pub mod measured;
pub mod membership;
pub mod metering;
pub mod needed;
pub mod peers;
pub mod relay;
pub mod revoking;
pub mod scan;
pub mod serve;
pub mod server;
pub mod settings;

pub mod cli;

pub use odi_wire::chain;
pub use server::Server;
