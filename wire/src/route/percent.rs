//! Percent-escapes: once in, once out (RFC 3986 § 2).

use std::borrow::Cow;
use std::fmt::Write;

/// An escaped text that stands for no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// `%` without two hexadecimal digits after it.
    #[error("a percent sign without two hexadecimal digits")]
    Malformed,
    /// Bytes that are not UTF-8.
    #[error("escapes that are no UTF-8")]
    NotUtf8,
    /// A NUL, which no name may hold and some libraries end a text at.
    #[error("a NUL")]
    Nul,
}

/// Decodes every escape, once. What comes out may hold `%`, `/` and `?` as plain characters.
///
/// # Errors
/// The first reason why it is no text.
pub fn decode(text: &str) -> Result<Cow<'_, str>, PercentError> {
    if text.contains('\0') {
        return Err(PercentError::Nul);
    }
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next().and_then(hex), rest.next().and_then(hex));
        match (high, low) {
            (Some(0), Some(0)) => return Err(PercentError::Nul),
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return Err(PercentError::Malformed),
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| PercentError::NotUtf8)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Escapes a value of a query.
#[must_use]
pub fn encode_query(value: &str) -> String {
    encode_path(value).replace('&', "%26").replace('+', "%2B").replace('#', "%23")
}

/// Escapes a path for a URL: all but `/` and what RFC 3986 allows in a segment. `+`, `~` and `:` stay as they are,
/// so that what package managers send comes back to them unchanged.
#[must_use]
pub fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    push_encoded(&mut out, path);
    out
}

/// The same behind a text that is there already.
pub(super) fn push_encoded(out: &mut String, path: &str) {
    // Most paths have nothing to escape, and are copied as a whole.
    if path.bytes().all(is_plain) {
        out.push_str(path);
        return;
    }
    for byte in path.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes any text");
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(
        byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'('
            | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'/'
    )
}

/// Escapes a path for a URL that people copy, into a shell or out of a page's source: as [`encode_path`], and what a shell
/// or HTML acts on.
#[must_use]
pub fn encode_path_plainly(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    for character in encode_path(path).chars() {
        match character {
            '!' | '$' | '&' | '\'' | '(' | ')' | '*' | ';' => {
                write!(out, "%{:02X}", u32::from(character)).expect("a String takes any text");
            }
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_url_means_nothing_to_a_shell_or_to_html() {
        let path = "a'b$(touch x)&c;d*!/e+f~1:2@3=4,5";
        let plain = encode_path_plainly(path);
        assert_eq!(plain, "a%27b%24%28touch%20x%29%26c%3Bd%2A%21/e+f~1:2@3=4,5");
        assert_eq!(decode(&plain).unwrap(), path);
    }

    #[test]
    fn table() {
        for (text, expected) in [
            ("/a", Ok("/a")),
            ("/a%20b", Ok("/a b")),
            ("/%C3%A9", Ok("/é")),
            ("/%c3%a9", Ok("/é")),
            ("/@s%2fn", Ok("/@s/n")),
            ("/a+b", Ok("/a+b")),
            ("/%2525", Ok("/%25")),
            ("/%", Err(PercentError::Malformed)),
            ("/%4", Err(PercentError::Malformed)),
            ("/%zz", Err(PercentError::Malformed)),
            ("/%u0041", Err(PercentError::Malformed)),
            ("/%-1", Err(PercentError::Malformed)),
            ("/%C3", Err(PercentError::NotUtf8)),
            ("/%C0%AF", Err(PercentError::NotUtf8)),
            ("/%ED%A0%80", Err(PercentError::NotUtf8)),
            ("/a%00", Err(PercentError::Nul)),
            ("/a\0", Err(PercentError::Nul)),
        ] {
            assert_eq!(decode(text).as_deref(), expected.as_ref().map(|text| *text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_back(path in "[^\0]{0,60}") {
            let encoded = encode_path(&path);
            prop_assert!(encoded.is_ascii() && !encoded.contains(['?', '#', ' ', '"', '<', '>']));
            prop_assert_eq!(decode(&encoded).unwrap(), path);
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,60}") {
            let _ = decode(&text);
        }
    }
}
