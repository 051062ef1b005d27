//! Bytes at rest: packs, redb index, verified reads, reclaim, scrub.
//!
//! FORMAT.md, beside this crate, is the contract: record layout, invariants, and what a crash at each step means.

mod disk;

pub use disk::{Disk, DiskFile, OpenMode, RealDisk};
