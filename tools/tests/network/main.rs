//! Ordinary clients of a whole network, the real programs on loopback, while it is at its worst: two directories and three relays,
//! of which some die, and a maintainer who never stops publishing.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/callers.rs"]
mod callers;
mod deaths;
#[path = "../support/gate.rs"]
mod gate;
#[path = "../support/lab.rs"]
mod lab;
#[path = "../support/maintainer.rs"]
mod maintainer;
#[path = "../support/programs.rs"]
mod programs;
mod publishing;
#[path = "../support/terminator.rs"]
mod terminator;
mod visitor;
