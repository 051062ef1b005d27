//! `odi demo`: a whole network on one machine.
//!
//! It runs what production runs: the maintainer's calls of `odi-sign`, an ordinary web server, directories and relays
//! from configuration texts, on loopback, in this process. Nothing is left behind.

mod catalog;
mod downloads;
mod network;
mod origin;
mod ports;
mod run;
mod sample;
mod seed;

pub use catalog::{DemoCatalog, shadow};
pub use downloads::{Downloads, download_all, paths};
pub use network::{Listed, Network, Progress, Volunteer};
pub use origin::Origin;
pub(crate) use ports::free as free_ports;
pub use run::{DemoOptions, run};
