//! `Range: bytes=...` against a known size (RFC 9110 § 14.1-14.2).
//!
//! A set that is malformed, too long, overlapping or not ascending is ignored, which the RFC permits and every
//! client must expect: it gets the whole representation. So no request makes us send a byte twice.

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

use crate::limits::RANGES_MAX;

/// What a request asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All of it: no range was named, or none that we honour.
    Whole,
    /// These parts: at least one, none empty, ascending, disjoint, all within the size.
    Parts(Vec<Range<u64>>),
    /// Only parts that do not exist: 416.
    Unsatisfiable,
}

/// Reads the `Range` header of a request for a representation of `size` bytes.
#[must_use]
pub fn parse(headers: &HeaderMap, size: u64) -> Ranges {
    let mut values = headers.get_all(RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_value(value.as_bytes(), size).unwrap_or(Ranges::Whole),
        _ => Ranges::Whole,
    }
}

/// Whether a request for a representation of `size` bytes wants its first one: if it does not, it is a piece of a download that began
/// elsewhere.
#[must_use]
pub fn wants_first_byte(headers: &HeaderMap, size: u64) -> bool {
    match parse(headers, size) {
        Ranges::Whole => true,
        Ranges::Parts(parts) => parts.first().is_some_and(|part| part.start == 0),
        Ranges::Unsatisfiable => false,
    }
}

/// How many bytes of a representation of `size` a request asks for.
#[must_use]
pub fn wanted_bytes(headers: &HeaderMap, size: u64) -> u64 {
    match parse(headers, size) {
        Ranges::Whole => size,
        Ranges::Parts(parts) => parts.iter().map(|part| part.end.saturating_sub(part.start)).sum(),
        Ranges::Unsatisfiable => 0,
    }
}

/// `None` when the set is malformed or not honoured.
fn parse_value(value: &[u8], size: u64) -> Option<Ranges> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut seen = 0_usize;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        seen += 1;
        if seen > RANGES_MAX {
            return None;
        }
        let Some(part) = parse_spec(spec, size)? else { continue };
        if parts.last().is_some_and(|last| part.start < last.end) {
            return None;
        }
        parts.push(part);
    }
    match (seen, parts.is_empty()) {
        (0, _) => None,
        (_, true) => Some(Ranges::Unsatisfiable),
        (_, false) => Some(Ranges::Parts(parts)),
    }
}

/// Outer `None`: malformed. Inner `None`: well formed, but nothing of it exists.
fn parse_spec(spec: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = digits(last)?;
        if size == 0 && suffix > 0 {
            // Satisfiable in the RFC's words, and impossible to write as a Content-Range: send the empty whole.
            return None;
        }
        let start = size.saturating_sub(suffix);
        return Some((start < size).then_some(start..size));
    }
    let first = digits(first)?;
    let end = if last.is_empty() {
        size
    } else {
        let last = digits(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(size)
    };
    Some((first < size).then_some(first..end))
}

/// Decimal digits only. A number beyond 64 bits is as good as the largest: no blob reaches either.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &str, size: u64, expected: &str) {
        let got = match parse_value(value.as_bytes(), size).unwrap_or(Ranges::Whole) {
            Ranges::Whole => "whole".to_owned(),
            Ranges::Unsatisfiable => "416".to_owned(),
            Ranges::Parts(parts) => {
                let parts: Vec<String> =
                    parts.iter().map(|part| format!("{}..{}", part.start, part.end)).collect();
                parts.join(" ")
            }
        };
        assert_eq!(got, expected, "{value} of {size}");
    }

    #[test]
    fn table() {
        for (value, size, expected) in [
            ("bytes=0-0", 10, "0..1"),
            ("bytes=0-", 10, "0..10"),
            ("bytes=9-", 10, "9..10"),
            ("bytes=10-", 10, "416"),
            ("bytes=0-99999999999999999999999", 10, "0..10"),
            ("bytes=18446744073709551615-", 10, "416"),
            ("bytes=99999999999999999999999-", 10, "416"),
            ("bytes=-3", 10, "7..10"),
            ("bytes=-30", 10, "0..10"),
            ("bytes=-0", 10, "416"),
            ("bytes=-1", 0, "whole"),
            ("bytes=0-", 0, "416"),
            ("bytes=5-4", 10, "whole"),
            ("bytes=a-b", 10, "whole"),
            ("bytes=+1-2", 10, "whole"),
            ("bytes=1", 10, "whole"),
            ("bytes=", 10, "whole"),
            ("bytes=,", 10, "whole"),
            ("bytes 0-1", 10, "whole"),
            ("items=0-1", 10, "whole"),
            ("BYTES=0-1", 10, "0..2"),
            ("bytes=0-1, 4-5 ,,8-", 10, "0..2 4..6 8..10"),
            ("bytes=0-1,20-30", 10, "0..2"),
            ("bytes=20-30,40-", 10, "416"),
            ("bytes=0-4,4-6", 10, "whole"),
            ("bytes=4-6,0-1", 10, "whole"),
            ("bytes=0-,0-,0-,0-", 10, "whole"),
        ] {
            check(value, size, expected);
        }
    }

    #[test]
    fn as_many_ranges_as_dnf_asks_for_and_no_more() {
        let set = |count: usize| -> String {
            let specs: Vec<String> = (0..count).map(|i| format!("{}-{}", i * 10, i * 10 + 1)).collect();
            format!("bytes={}", specs.join(","))
        };
        let Some(Ranges::Parts(parts)) = parse_value(set(RANGES_MAX).as_bytes(), u64::MAX) else {
            panic!("refused as many as allowed")
        };
        assert_eq!(parts.len(), RANGES_MAX);
        assert_eq!(parse_value(set(RANGES_MAX + 1).as_bytes(), u64::MAX), None);
    }

    #[test]
    fn two_range_headers_count_as_none() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, "bytes=0-1".parse().unwrap());
        assert_eq!(parse(&headers, 10), Ranges::Parts(std::iter::once(0..2).collect()));
        headers.append(RANGE, "bytes=0-1".parse().unwrap());
        assert_eq!(parse(&headers, 10), Ranges::Whole);
    }

    proptest! {
        #[test]
        fn parts_keep_their_promise(value in "(bytes=)?[-0-9, a]{0,60}", size: u64) {
            if let Some(Ranges::Parts(parts)) = parse_value(value.as_bytes(), size) {
                let mut end = 0;
                prop_assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
                for part in parts {
                    prop_assert!(part.start >= end && part.start < part.end && part.end <= size);
                    end = part.end;
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(value: Vec<u8>, size: u64) {
            let _ = parse_value(&value, size);
        }
    }

    #[test]
    fn a_download_begins_with_its_first_byte_and_a_piece_is_no_more_than_it_asks_for() {
        for (value, wants, bytes) in [
            ("bytes=0-", true, 1000),
            ("bytes=0-99", true, 100),
            ("bytes=100-", false, 900),
            ("bytes=100-199,300-349", false, 150),
            ("bytes=-5", false, 5),
            ("bytes=2000-", false, 0),
            ("bytes=nonsense", true, 1000),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, http::HeaderValue::from_static(value))]);
            assert_eq!(wants_first_byte(&headers, 1000), wants, "{value}");
            assert_eq!(wanted_bytes(&headers, 1000), bytes, "{value}");
        }
        assert!(wants_first_byte(&HeaderMap::new(), 1000));
    }
}
