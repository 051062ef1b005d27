//! Every client that people already have: docs/clients has a page for each, and each page is run here, with the real client, through
//! two directories and three relays, one of which dies.
//!
//! A client that is not installed is skipped aloud; with `ODI_SKIP=fail` that is a failure.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/callers.rs"]
mod callers;
mod crates;
mod debian;
mod flatpak;
#[path = "../support/gate.rs"]
mod gate;
mod images;
mod jenkins;
#[path = "../support/lab.rs"]
mod lab;
mod maven;
mod nix;
mod npm;
mod oci;
mod ostree;
mod page;
#[path = "../support/programs.rs"]
mod programs;
mod pypi;
mod releases;
mod report;
mod rpm;
mod rubygems;
mod scenario;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/terminator.rs"]
mod terminator;
mod trust;
