//! Who has what: catalogs, roster, selection, redirects.
//!
//! A directory decides *where*, never *what*: it adopts only signed heads whose tree it recomputed, and sends clients
//! only to relays that hold exactly what a path names. Read [`server`], then `answer`, which has one match over all
//! routes. The rules are pure: [`state_rules`], [`select`] and [`roster`].

// From a command line to a running directory.
pub mod backup;
pub mod check;
pub mod cli;
pub mod config;
pub mod server;

// Requests.
mod admin;
mod answer;
mod backoff;
mod carry;
mod configured;
mod customary;
mod denying;
mod directory;
pub mod documents;
pub mod geography;
mod origins;
pub mod pages;
mod throttle;
pub mod whereabouts;

// Catalogs and their states.
pub mod catalog;
mod followers;
mod peers;
mod reload;
pub mod state_rules;
mod witness;

// Relays.
pub mod audit;
pub mod balance;
mod challenge;
mod decisions;
mod fields;
mod hearing;
pub mod heat;
pub mod history;
pub mod hook;
mod mirrors;
mod network;
mod notify;
pub mod placement;
mod placing;
mod probe;
mod probing;
mod proofs;
mod relay_records;
mod relays;
pub mod reports;
pub mod roster;
pub mod select;
mod selftest;
mod tend;
mod to_relay;

// Numbers.
pub mod statistics;

// Disk.
mod upkeep;

pub use config::Config;
pub use network::Network;
pub use reload::Reloaded;
pub use selftest::SelfTestError;
pub use server::{Server, ServerError};
