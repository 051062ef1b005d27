//! The published vectors: built here, compared with what is committed, and run as another implementation would run
//! them, from the JSON alone. `ODI_WRITE_VECTORS=1 cargo test -p odi-manifest --test tree` writes them anew.

mod cbor;
mod chunks;
mod diffs;
mod nodes;
mod paths;
mod trees;

use std::path::Path;

use serde_json::{Value, json};

/// Compares a file of vectors with what it should hold, or writes it, and gives its cases as they were read.
fn settle(file: &str, about: &str, cases: Vec<Value>) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors").join(file);
    let built = json!({ "about": about, "cases": cases });
    if std::env::var_os("ODI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&built).unwrap() + "\n").unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert!(
        stored == built,
        "{file} is not what this code makes; write it anew only if a format was meant to change"
    );
    let cases = stored["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(bytes.as_ref())
}

fn bytes(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

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
