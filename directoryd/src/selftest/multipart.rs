//! Reads `multipart/byteranges` (RFC 9110 § 14.6) as far as a self-test needs: a few small parts in memory.

use std::ops::Range;

/// The most parts that are read.
const PARTS_MAX: usize = 16;

/// One part: which bytes it says that it is, and the bytes.
pub(super) type Part<'b> = (Range<u64>, &'b [u8]);

/// The parts of a body; `None` if it is anything else than a well-formed one of a file of `size` bytes.
pub(super) fn parts<'b>(content_type: &str, body: &'b [u8], size: u64) -> Option<Vec<Part<'b>>> {
    let boundary =
        content_type.strip_prefix("multipart/byteranges;")?.trim_start().strip_prefix("boundary=")?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut parts = Vec::new();
    let mut rest = after(body, delimiter.as_bytes())?;
    while !rest.starts_with(b"--") {
        if parts.len() >= PARTS_MAX {
            return None;
        }
        let (head, body) = split(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
        let range = content_range(std::str::from_utf8(head).ok()?, size)?;
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let (bytes, end) = body.split_at_checked(length)?;
        parts.push((range, bytes));
        rest = end.strip_prefix(b"\r\n")?.strip_prefix(delimiter.as_bytes())?;
    }
    Some(parts)
}

fn content_range(head: &str, size: u64) -> Option<Range<u64>> {
    let named = |line: &'_ str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-range").then(|| value.trim().to_owned())
    };
    let value = head.split("\r\n").find_map(named)?;
    let (range, of) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (of.parse() == Ok(size) && first <= last && last < size).then(|| first..last + 1)
}

fn after<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<&'b [u8]> {
    split(bytes, mark).map(|(_, rest)| rest)
}

fn split<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(mark.len()..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/byteranges; boundary=b";
    const TWO: &[u8] = b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\nab\
        \r\n--b\r\ncontent-range: bytes 4-6/9\r\n\r\n\r\n-\r\n--b--\r\n";

    #[test]
    fn parts_are_read_by_their_lengths() {
        assert_eq!(parts(TYPE, TWO, 9), Some(vec![(0..2, &b"ab"[..]), (4..7, &b"\r\n-"[..])]));
        assert_eq!(parts(TYPE, TWO, 10), None, "of another file");
        assert_eq!(parts("text/plain", TWO, 9), None);
        for cut in 0..TWO.len() - 4 {
            assert_eq!(parts(TYPE, &TWO[..cut], 9), None, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), at in 0..TWO.len(), byte: u8) {
            let _ = parts(TYPE, &body, 9);
            let mut other = TWO.to_vec();
            other[at] = byte;
            for (range, bytes) in parts(TYPE, &other, 9).unwrap_or_default() {
                prop_assert_eq!(bytes.len() as u64, range.end - range.start);
            }
        }
    }
}
