//! A directory on loopback, between an origin and relays that do what a test tells them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that is surprised ends")]

mod answers;
mod audits;
mod backups;
mod checking;
mod denying;
mod divided;
mod doubting;
mod fake_relay;
mod geography;
mod histories;
mod holders;
mod hooks;
mod joined;
mod kills;
mod lies;
mod lifetimes;
mod mending;
mod metrics;
mod mirrors;
mod notices;
mod operating;
mod outputs;
mod pages;
mod passing;
mod peering;
mod placing;
mod publisher;
mod registration;
mod reloading;
mod restart;
mod resuming;
mod selftest;
mod settings;
mod states;
mod statistics;
mod tiny_database;
mod unwritable;
mod upkeep;
mod weighing;
mod witnessing;
mod world;
