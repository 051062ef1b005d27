//! The trust half of the crate as a follower meets it: roots, heads and what they prove.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test's panic is its verdict, and its modules are nobody's interface"
)]

mod adoption;
mod catalog;
#[path = "../support/cbor_like.rs"]
mod cbor_like;
#[path = "../support/damage.rs"]
#[allow(dead_code, reason = "records are damaged here, and looked at without an oracle")]
mod damage;
mod freshness;
mod promises;
mod properties;
mod rotation;
#[path = "../support/vector_file.rs"]
mod vector_file;
mod vectors;
