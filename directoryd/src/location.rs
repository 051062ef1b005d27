//! The addresses that redirects name. They are built from registered base URLs and from paths of a manifest, never from
//! a request's headers or its own spelling of a path.

use std::fmt::Write;

/// The bytes of a path that stand for themselves in a URL (RFC 3986 `pchar`, and the slash between segments). `%`, `?`
/// and `#` are not among them, so a path cannot become a query.
const fn is_plain(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// An artifact's path, percent-encoded.
#[must_use]
pub fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
    }
    encoded
}

/// `{base}/{first}/{path}`, where `base` has no trailing slash and `first` is a pin or a name.
#[must_use]
pub fn under(base: &str, first: &str, path: &str) -> String {
    format!("{base}/{first}/{}", encode_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_urls_is_escaped() {
        assert_eq!(encode_path("pool/g++_4:12~rc1.deb"), "pool/g++_4:12~rc1.deb");
        assert_eq!(encode_path("a b?c#d%e/é\"<"), "a%20b%3Fc%23d%25e/%C3%A9%22%3C");
        assert_eq!(under("https://r.example", "@1-abc", "x/y"), "https://r.example/@1-abc/x/y");
    }

    #[test]
    fn no_path_leaves_the_host_or_the_header() {
        for path in ["//evil.example/x", "\r\nSet-Cookie: a", "..%2f", "@evil.example"] {
            let url: url::Url = under("https://r.example", "@1-abc", path).parse().unwrap();
            assert_eq!(url.host_str(), Some("r.example"));
            assert!(url.query().is_none() && !url.as_str().contains(['\r', '\n']));
        }
    }
}
