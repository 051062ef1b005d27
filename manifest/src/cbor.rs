//! The CBOR profile of FORMAT.md § CBOR: one encoding per value, so that equal values are equal bytes.
//!
//! [`Reader`] and [`Writer`] know nothing outside the profile; nodes and diffs are written with them. Signed records
//! go through serde: [`to_vec`] sorts map keys, [`from_slice`] checks the profile, decodes, re-encodes and compares,
//! because `ciborium` alone accepts many encodings of one value (indefinite lengths, long integers, tags, ...).

mod error;
mod profile;
mod reader;
mod writer;

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{CborError, CborReason};
pub use profile::{DEPTH_MAX, check_profile};
pub(crate) use reader::is_nfc;
pub use reader::{Kind, Reader};
pub use writer::Writer;

/// `ciborium`'s own recursion bound. The profile's [`DEPTH_MAX`] has been enforced before it runs; serde's wrappers
/// take a few levels more than the data has.
const CIBORIUM_RECURSION: usize = 4 * DEPTH_MAX;

/// The one encoding of a record. Map keys come out in (length, bytes) order whatever order the type declares.
///
/// # Errors
/// The value has no form in the profile: a null, a float, a text that is not NFC, a key that is neither a text nor
/// an unsigned integer, or more than [`DEPTH_MAX`] levels.
pub fn to_vec<T: Serialize + ?Sized>(record: &T) -> Result<Vec<u8>, CborError> {
    let mut value = Value::serialized(record).map_err(|error| CborError::shape(0, &error))?;
    sort_maps(&mut value);
    let mut encoded = Vec::new();
    ciborium::into_writer(&value, &mut encoded).map_err(|error| CborError::shape(0, &error))?;
    check_profile(&encoded, usize::MAX)?;
    Ok(encoded)
}

/// Decodes a record of at most `bytes_max` bytes, refusing every encoding but the one of [`to_vec`].
///
/// # Errors
/// The bytes leave the profile, are not this record, or hold something that the record does not keep.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, CborError> {
    check_profile(bytes, bytes_max)?;
    let record: T = ciborium::de::from_reader_with_recursion_limit(bytes, CIBORIUM_RECURSION)
        .map_err(|error| CborError::shape(0, &error))?;
    let again = to_vec(&record)?;
    if again != bytes {
        let at = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(CborError::new(CborReason::ReencodesDifferently, at));
    }
    Ok(record)
}

/// Puts the keys of every map into the profile's order: shorter first, then by bytes; integers ascending.
fn sort_maps(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort_maps),
        Value::Map(pairs) => {
            pairs.iter_mut().for_each(|(_, item)| sort_maps(item));
            pairs.sort_by_cached_key(|(key, _)| sort_key(key));
        }
        _ => {}
    }
}

/// Sorts texts and unsigned integers; whatever else stays first, where `check_profile` meets and refuses it.
fn sort_key(key: &Value) -> (u128, Vec<u8>) {
    match key {
        Value::Text(text) => (text.len() as u128, text.as_bytes().to_vec()),
        Value::Integer(number) => (u128::try_from(*number).unwrap_or(0), Vec::new()),
        _ => (0, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Record {
        name: String,
        v: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exp: Option<u64>,
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        x: BTreeMap<String, serde_bytes::ByteBuf>,
    }

    fn record() -> Record {
        let x = ["aa", "b"].map(|key| (key.to_owned(), serde_bytes::ByteBuf::from([1])));
        Record { name: "odi".into(), v: 300, exp: None, key: vec![7; 3], x: x.into() }
    }

    #[test]
    fn records_round_trip_with_sorted_keys() {
        let encoded = to_vec(&record()).unwrap();
        assert_eq!(from_slice::<Record>(&encoded, 1000).unwrap(), record());
        let keys: Vec<usize> = [&b"\x61v"[..], b"\x61x", b"\x61b", b"\x62aa", b"\x63key", b"\x64name"]
            .map(|key| encoded.windows(key.len()).position(|window| window == key).unwrap())
            .to_vec();
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn other_encodings_of_the_same_record_are_refused() {
        let encoded = to_vec(&record()).unwrap();
        let reason = |bytes: &[u8]| from_slice::<Record>(bytes, 1000).unwrap_err().reason;
        assert_eq!(reason(&[&encoded[..], &[0]].concat()), CborReason::TrailingBytes);
        assert_eq!(reason(&encoded[..encoded.len() - 1]), CborReason::Truncated);
        assert_eq!(from_slice::<Record>(&encoded, 5).unwrap_err().reason, CborReason::TooLarge);
        // `exp: null` decodes as absent; the comparison is what refuses it even if the profile were laxer.
        assert_eq!(reason(b"\xa1\x61v\xf6"), CborReason::Null);
        assert!(matches!(reason(b"\xa1\x61w\x01"), CborReason::Shape(_)));
        // An array of integers where a byte string belongs decodes in ciborium, and re-encodes differently.
        let array_key = [&b"\xa3\x61v\x19\x01\x2c\x63key\x83\x07\x07\x07"[..], b"\x64name\x63odi"].concat();
        assert!(matches!(reason(&array_key), CborReason::Shape(_) | CborReason::ReencodesDifferently));
    }

    #[test]
    fn values_without_a_form_are_refused_when_encoding() {
        assert_eq!(to_vec(&Some(1.5)).unwrap_err().reason, CborReason::Float);
        assert_eq!(to_vec(&Option::<u8>::None).unwrap_err().reason, CborReason::Null);
        assert_eq!(to_vec("e\u{301}").unwrap_err().reason, CborReason::NotNfc);
        assert_eq!(to_vec(&u128::MAX).unwrap_err().reason, CborReason::Tag);
    }
}
