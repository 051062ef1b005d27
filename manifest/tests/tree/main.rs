//! The tree and what it is made of, from outside: against a plain map, against hostile input, and as vectors.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod adversarial;
#[path = "../support/cbor_like.rs"]
mod cbor_like;
#[path = "../support/damage.rs"]
mod damage;
mod decoders;
mod hostile;
mod maps;
mod model;
mod nth;
#[path = "../../../fixtures/fuzz/src/oracles.rs"]
#[allow(unreachable_pub, reason = "public to the fuzz targets, which share it")]
mod oracles;
mod resuming;
mod sharing;
#[path = "../support/vector_file.rs"]
mod vector_file;
mod vectors;
