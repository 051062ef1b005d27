//! Following a catalog at sources that are honest, old, hostile or incomplete. Whatever a source does, the state that
//! was held stays.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that indexes or unwraps wrongly fails"
)]

mod catching_up;
mod follower;
mod pushing;
mod refusing;
mod trees;
