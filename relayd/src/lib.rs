//! Hand over bytes: join, fill, serve, announce, leave.
//!
//! A relay is a volunteer's server. It registers with directories, follows the catalogs it wants, fills itself from other relays
//! first and the origin last, and serves bytes that it has verified since it last read them. docs/relay.md is its manual.

// What the operator says, and what is decided from it. Pure.
pub mod admission;
pub mod holdings;
pub mod prefix;
pub mod queue;
pub mod sourcing;
pub mod wanted;
