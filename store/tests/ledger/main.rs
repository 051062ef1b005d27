//! The ledger over restarts and crashes: what it acknowledged is there, and it never goes back (P2, P6).
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test's panic is its verdict, and its modules are nobody's interface"
)]

mod catalog;
mod crash_disk;
mod crashes;
mod restarts;
