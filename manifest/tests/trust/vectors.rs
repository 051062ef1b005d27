//! The published vectors: built here, compared with what is committed, and run as another implementation would run
//! them, from the JSON alone. `ODI_WRITE_VECTORS=1 cargo test -p odi-manifest --test trust` writes them anew.

mod adoption;
mod envelopes;
mod keys;
mod records;
mod revocations;
mod rotations;
mod strict;

use std::path::Path;

use odi_manifest::{Head, HeadRefusal, Record, Root, RootRefusal, TrustRoot, Unverified};
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

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// What becomes of an encoded record: `ok`, or the reason's name.
fn outcome<T: Record>(encoded: &[u8]) -> &'static str {
    Unverified::<T>::decode(encoded).map_or_else(|error| error.name(), |_| "ok")
}

/// The trust that these encoded roots make, the first refusal ending it.
fn trust(catalog: &str, roots: &[Value]) -> (Option<TrustRoot>, Option<RootRefusal>) {
    let mut trust: Option<TrustRoot> = None;
    for root in roots {
        let root = Unverified::<Root>::decode(&bytes(root)).unwrap();
        let taken = match &mut trust {
            None => TrustRoot::begin(catalog.parse().unwrap(), &root).map(|begun| trust = Some(begun)),
            Some(trust) => trust.rotate(&root),
        };
        if let Err(refusal) = taken {
            return (trust, Some(refusal));
        }
    }
    (trust, None)
}

fn head(value: &Value) -> Unverified<Head> {
    Unverified::decode(&bytes(value)).unwrap()
}

fn reason<T>(judged: Result<T, HeadRefusal>) -> Result<T, &'static str> {
    judged.map_err(|refusal| refusal.name())
}
