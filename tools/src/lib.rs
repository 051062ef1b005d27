//! The tools: `odi-sign` for maintainers, `odi` for everyone else.

pub mod bench;
pub mod demo;
pub mod odi;
pub mod sign;
pub mod simulate;
pub mod store_check;
