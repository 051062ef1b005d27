//! The published vectors: built here, compared with what is committed, and run as another implementation would run
//! them, from the JSON alone. `ODI_WRITE_VECTORS=1 cargo test -p odi-manifest --test tree` writes them anew.

mod cbor;
mod chunks;
mod diffs;
mod nodes;
mod paths;
mod trees;

use serde_json::json;

pub(crate) use crate::vector_file::{bytes, hex, number, settle, text};

/// Settles cases of {name, bytes, result}, where `judge` gives the result, and each name says what is special.
fn settle_judged(file: &str, about: &str, cases: &[(&str, Vec<u8>, &str)], judge: impl Fn(&[u8]) -> String) {
    let built = cases
        .iter()
        .map(|(name, encoded, result)| json!({ "name": name, "bytes": hex(encoded), "result": result }))
        .collect();
    for case in settle(file, about, built) {
        assert_eq!(judge(&bytes(&case["bytes"])), text(&case["result"]), "{}", case["name"]);
    }
}
