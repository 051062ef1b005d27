//! `odi demo`: a whole network on one machine.

mod origin;
mod sample;

pub use origin::Origin;
pub use sample::write as write_sample_tree;
