//! The directory's pages: plain data in, HTML out; as JSON the same data is a document (wire/PROTOCOL.md, Pages).
//!
//! What they show comes from strangers: titles, URLs, reasons. The markup escapes it. No page shows who asked for what.

mod artifact;
mod catalog;
mod freshness;
mod map;
mod marks;
mod network;
mod propagation;
mod relay;
mod traffic;

#[cfg(test)]
mod tests;

pub use catalog::{CatalogPage, HeadLine, HeadState, HolderLine, MirrorLine};
pub use marks::Verdict;
pub use network::{CatalogLine, NetworkPage, RelayLine};
pub use propagation::{Reach, Spread};
pub use relay::{HoldingLine, RelayPage, Step};
pub use traffic::{LATELY_MAX, TRAFFIC_DAYS, Traffic};

use odi_wire::page::Step as TrailStep;

/// Of any list, a page shows so many items at most.
pub const LINES_MAX: usize = 256;

/// What is above every page but the first.
const TRAIL: [TrailStep<'static>; 1] = [("directory", "/")];
