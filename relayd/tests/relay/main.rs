//! A whole relay on loopback, against a directory, peers and an origin that do as the test says.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

mod directory;
mod lab;
mod publisher;
mod web;

mod admin;
mod budgets;
mod checking;
mod denying;
mod federating;
mod filling;
mod hostile;
mod importing;
mod joining;
mod looking;
mod memory;
mod notices;
mod processes;
mod pulling;
mod reloading;
mod selftest;
mod serving;
mod settings;
mod swarm;
mod withdrawing;
