//! `odi bench`: what this machine makes of the parts that must be fast. Each bench prints its figures beside its targets.

pub mod manifest;
pub mod publish;
pub mod serve;
pub mod soak;
pub mod store;
pub mod swarm;
