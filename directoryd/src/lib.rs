//! Who has what: catalogs, roster, selection, redirects.
//!
//! A directory decides *where*, never *what*: it adopts only signed heads whose tree it recomputed, and sends clients
//! only to relays that hold exactly what a path names. The rules are pure: [`state_rules`], [`select`] and [`roster`].

pub mod config;
pub mod durable_file;
pub mod identity;
pub mod network;
pub mod relay_records;
pub mod roster;
pub mod select;
pub mod state_rules;
pub mod throttle;

pub use odi_wire::listing;
