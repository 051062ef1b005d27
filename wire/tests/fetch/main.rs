//! Verified fetch against servers that behave, misbehave and lie.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that indexes or unwraps wrongly fails"
)]

mod arriving;
mod convicting;
mod misbehaving;
mod rig;
