//! The published vectors: built here, compared with what is committed, and run as another implementation would run
//! them, from the JSON alone. `ODI_WRITE_VECTORS=1 cargo test -p odi-manifest --test trust` writes them anew.

mod adoption;
mod envelopes;
mod keys;
mod records;
mod revocations;
mod rotations;
mod strict;

use odi_manifest::{Head, HeadRefusal, Record, Root, RootRefusal, TrustRoot, Unverified};
use serde_json::Value;

pub(crate) use crate::vector_file::{bytes, hex, settle, text};

fn number(value: &Value) -> usize {
    usize::try_from(crate::vector_file::number(value)).unwrap()
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
