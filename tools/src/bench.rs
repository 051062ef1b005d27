//! `odi bench`: what this machine makes of the parts that must be fast. Each bench prints its figures beside its targets.

mod figures;
pub mod manifest;
mod process;
pub mod publish;
pub mod redirect;
pub mod serve;
pub mod soak;
pub mod store;
pub mod swarm;
mod wrk;
