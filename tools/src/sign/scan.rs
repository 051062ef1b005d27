//! What lies in a tree: every file that a publish will name, and every reason why it cannot.
//!
//! Invariants
//! - The result is sorted by path bytes, the order of a manifest.
//! - Nothing is left out silently: what cannot be published is a [`Problem`], and one problem fails the publish.
//! - Symbolic links inside the tree are followed (folders expand); links that leave it or loop are problems.
//! - The top-level `.odi/` is never looked into.

mod problem;
mod stamp;
mod walk;

pub(super) use problem::{Problem, Problems, Why};
pub(super) use stamp::Stamp;
pub(super) use walk::Found;
pub(crate) use walk::walk;
