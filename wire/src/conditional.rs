//! Preconditions (RFC 9110 § 13), judged in the order of § 13.2.2 against a strong entity tag and a date.
//!
//! `If-Modified-Since` and `If-Range` compare dates for equality, not order: a catalog gives changed bytes another
//! `mtime` (manifest/FORMAT.md), which may lie before the former one after a roll-back, so only the very date is proof.

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, Method};

use crate::http_date;
use crate::limits::ENTITY_TAGS_MAX;

/// What identifies the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The opaque tag, without its quotes. It is strong.
    pub tag: &'a str,
    /// `Last-Modified`, in seconds since 1970.
    pub modified: u64,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it. Without `ranges`, a `Range` header is to be ignored: it is for another representation.
    Proceed {
        /// Whether a `Range` header counts.
        ranges: bool,
    },
    /// 304: the caller has it.
    NotModified,
    /// 412: it is not what the caller wants.
    Failed,
}

/// Whether a request names a precondition; [`evaluate`] says to proceed with all others.
#[must_use]
pub fn is_conditional(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// Judges every precondition of a request.
#[must_use]
pub fn evaluate(method: &Method, headers: &HeaderMap, have: Validators<'_>) -> Verdict {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if headers.contains_key(IF_MATCH) {
        if !any_tag(headers, IF_MATCH, |tag| tag.matches_strongly(have.tag)) {
            return Verdict::Failed;
        }
    } else if let Some(date) = one_date(headers, IF_UNMODIFIED_SINCE)
        && have.modified > date
    {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if any_tag(headers, IF_NONE_MATCH, |tag| tag.matches_weakly(have.tag)) {
            return if reads { Verdict::NotModified } else { Verdict::Failed };
        }
    } else if reads && one_date(headers, IF_MODIFIED_SINCE) == Some(have.modified) {
        return Verdict::NotModified;
    }
    Verdict::Proceed { ranges: *method == Method::GET && range_applies(headers, have) }
}

/// `If-Range`: absent, the strong tag, or exactly the date.
fn range_applies(headers: &HeaderMap, have: Validators<'_>) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return true,
        (Some(value), None) => value.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => return false,
    };
    if value.starts_with('"') || value.starts_with("W/") {
        return Tags::new(value).next().is_some_and(|tag| tag.matches_strongly(have.tag));
    }
    http_date::parse(value) == Some(have.modified)
}

fn one_date(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => http_date::parse(value.to_str().ok()?.trim()),
        _ => None,
    }
}

fn any_tag(headers: &HeaderMap, name: HeaderName, accepts: impl Fn(Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Tags::new)
        .take(ENTITY_TAGS_MAX)
        .any(accepts)
}

/// One member of a list of entity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag<'a> {
    Any,
    Strong(&'a str),
    Weak(&'a str),
}

impl Tag<'_> {
    fn matches_strongly(self, tag: &str) -> bool {
        self == Tag::Any || self == Tag::Strong(tag)
    }

    fn matches_weakly(self, tag: &str) -> bool {
        self.matches_strongly(tag) || self == Tag::Weak(tag)
    }
}

/// Walks a list of entity tags; stops for good at the first malformed member.
struct Tags<'a> {
    rest: &'a str,
}

impl<'a> Tags<'a> {
    const fn new(rest: &'a str) -> Self {
        Self { rest }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let text = std::mem::take(&mut self.rest).trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = text.strip_prefix('*') {
            self.rest = rest;
            return Some(Tag::Any);
        }
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let (tag, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        self.rest = rest;
        Some(if weak { Tag::Weak(tag) } else { Tag::Strong(tag) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const HAVE: Validators<'_> = Validators { tag: "abc", modified: 784_111_777 };
    const WHOLE: Verdict = Verdict::Proceed { ranges: false };
    const RANGES: Verdict = Verdict::Proceed { ranges: true };

    fn verdict(fields: &[(&'static str, &str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        evaluate(&Method::GET, &headers, HAVE)
    }

    #[test]
    fn table() {
        let cases: &[(&[(&'static str, &str)], Verdict)] = &[
            (&[], RANGES),
            (&[("if-none-match", "\"abc\"")], Verdict::NotModified),
            (&[("if-none-match", "W/\"abc\"")], Verdict::NotModified),
            (&[("if-none-match", "\"x\", \"abc\"")], Verdict::NotModified),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "abc")], RANGES),
            (&[("if-none-match", "\"x\" garbage \"abc\"")], RANGES),
            (&[("if-none-match", "\"x\""), ("if-modified-since", MODIFIED)], RANGES),
            (&[("if-modified-since", MODIFIED)], Verdict::NotModified),
            (&[("if-modified-since", LATER)], RANGES),
            (&[("if-modified-since", "tomorrow")], RANGES),
            (&[("if-match", "\"abc\"")], RANGES),
            (&[("if-match", "W/\"abc\"")], Verdict::Failed),
            (&[("if-match", "\"x\"")], Verdict::Failed),
            (&[("if-match", "*")], RANGES),
            (&[("if-match", "\"abc\""), ("if-unmodified-since", EARLIER)], RANGES),
            (&[("if-unmodified-since", EARLIER)], Verdict::Failed),
            (&[("if-unmodified-since", MODIFIED)], RANGES),
            (&[("if-range", "\"abc\"")], RANGES),
            (&[("if-range", "W/\"abc\"")], WHOLE),
            (&[("if-range", "\"x\"")], WHOLE),
            (&[("if-range", MODIFIED)], RANGES),
            (&[("if-range", EARLIER)], WHOLE),
            (&[("if-range", LATER)], WHOLE),
            (&[("if-range", "abc")], WHOLE),
            (&[("if-range", "\"abc\""), ("if-range", "\"abc\"")], WHOLE),
        ];
        for (fields, expected) in cases {
            assert_eq!(verdict(fields), *expected, "{fields:?}");
        }
    }

    #[test]
    fn head_never_gets_ranges_and_a_write_fails_where_a_read_is_told_it_has_it() {
        let mut headers = HeaderMap::new();
        assert_eq!(evaluate(&Method::HEAD, &headers, HAVE), WHOLE);
        headers.insert(IF_NONE_MATCH, "*".parse().unwrap());
        assert_eq!(evaluate(&Method::POST, &headers, HAVE), Verdict::Failed);
    }

    proptest! {
        #[test]
        fn lists_end(text in "[\"W/*, a]{0,80}") {
            prop_assert!(Tags::new(&text).count() <= text.len());
        }
    }
}
