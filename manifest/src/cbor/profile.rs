//! The profile's check over unknown items: bounded in bytes, depth and, through both, in work.

use std::cmp::Ordering;

use super::reader::{Kind, Reader};
use super::{CborError, CborReason};

/// How many arrays and maps may be nested.
pub const DEPTH_MAX: usize = 8;

/// Checks that `bytes` are exactly one item of the profile, of at most `bytes_max` bytes.
///
/// # Errors
/// The first thing, in reading order, that leaves the profile.
pub fn check_profile(bytes: &[u8], bytes_max: usize) -> Result<(), CborError> {
    if bytes.len() > bytes_max {
        return Err(CborError::new(CborReason::TooLarge, bytes_max));
    }
    let mut reader = Reader::new(bytes);
    check_item(&mut reader, 0)?;
    reader.end()
}

/// Reads one item inside `depth` others. Recursion is bounded by [`DEPTH_MAX`].
pub(super) fn check_item(reader: &mut Reader<'_>, depth: usize) -> Result<(), CborError> {
    let header = reader.header()?;
    match header.kind {
        Kind::Uint | Kind::Negative | Kind::Bool => Ok(()),
        Kind::Bytes => reader.bytes_body(header).map(|_| ()),
        Kind::Text => reader.text_body(header).map(|_| ()),
        Kind::Array | Kind::Map if depth >= DEPTH_MAX => Err(CborError::new(CborReason::TooDeep, header.at)),
        Kind::Array => {
            let count = reader.count(header)?;
            (0..count).try_for_each(|_| check_item(reader, depth + 1))
        }
        Kind::Map => {
            let count = reader.count(header)?;
            check_pairs(reader, count, depth + 1)
        }
    }
}

/// Keys are all texts or all unsigned integers, strictly ascending. Shortest forms make ascending encodings the
/// same order as (length, bytes) of texts and as the order of integers.
fn check_pairs(reader: &mut Reader<'_>, count: usize, depth: usize) -> Result<(), CborError> {
    let mut former: Option<(Kind, &[u8])> = None;
    for _ in 0..count {
        let at = reader.position();
        let kind = reader.peek()?;
        if !matches!(kind, Kind::Text | Kind::Uint) || former.is_some_and(|(former, _)| former != kind) {
            return Err(CborError::new(CborReason::KeyType, at));
        }
        let key = reader.skip(depth)?;
        match former.map_or(Ordering::Less, |(_, former)| former.cmp(key)) {
            Ordering::Less => former = Some((kind, key)),
            Ordering::Equal => return Err(CborError::new(CborReason::DuplicateKey, at)),
            Ordering::Greater => return Err(CborError::new(CborReason::KeyOrder, at)),
        }
        check_item(reader, depth)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_ends_at_eight() {
        let nested = |levels: usize| [vec![0x81; levels], vec![0]].concat();
        assert!(check_profile(&nested(DEPTH_MAX), 100).is_ok());
        assert_eq!(check_profile(&nested(DEPTH_MAX + 1), 100).unwrap_err().reason, CborReason::TooDeep);
        let bomb = vec![0x81; 1 << 20];
        assert_eq!(check_profile(&bomb, 1 << 20).unwrap_err().reason, CborReason::TooDeep);
    }

    #[test]
    fn lengths_are_not_believed() {
        for huge in [
            &b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\x9a\x00\x01\x00\x00",
        ] {
            assert_eq!(check_profile(huge, 100).unwrap_err().reason, CborReason::Truncated);
        }
    }

    #[test]
    fn keys_ascend_by_length_then_bytes() {
        assert!(check_profile(b"\xa2\x61b\x01\x62aa\x02", 100).is_ok());
        assert_eq!(check_profile(b"\xa2\x62aa\x01\x61b\x02", 100).unwrap_err().reason, CborReason::KeyOrder);
        assert_eq!(
            check_profile(b"\xa2\x61b\x01\x61b\x02", 100).unwrap_err().reason,
            CborReason::DuplicateKey
        );
        assert_eq!(check_profile(b"\xa2\x01\x01\x61b\x02", 100).unwrap_err().reason, CborReason::KeyType);
        assert_eq!(check_profile(b"\xa1\x20\x01", 100).unwrap_err().reason, CborReason::KeyType);
    }
}
