//! What the short texts of signed records may look like: names, labels, tags, titles, addresses.
//!
//! They end up in URLs, terminals and pages, so each is a small closed alphabet, or printable text without controls.

use crate::record::BrokenRule;

/// Longest name, label or tag, in bytes.
const WORD_BYTES_MAX: usize = 63;
/// Longest title, in bytes.
const TITLE_BYTES_MAX: usize = 256;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 1024;

/// A catalog's name: `[a-z0-9][a-z0-9.-]{0,62}`, and nothing that a route of either daemon means otherwise.
///
/// # Errors
/// Another form, or one of `odi`, `blake3` and `odi1...`.
pub fn check_catalog_name(name: &str) -> Result<(), BrokenRule> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    let is_word = first && rest && name.len() <= WORD_BYTES_MAX;
    BrokenRule::unless(is_word, "a catalog name is not of the form [a-z0-9][a-z0-9.-]{0,62}")?;
    let reserved = name == "odi" || name == "blake3" || name.starts_with("odi1");
    BrokenRule::unless(!reserved, "a catalog name is `odi`, `blake3` or begins with `odi1`")
}

/// A label: `[A-Za-z][A-Za-z0-9._-]{0,62}`. It begins with a letter, so that no label looks like a sequence number.
pub(crate) fn check_label(label: &str) -> Result<(), BrokenRule> {
    let first = label.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let is_word = first && rest && label.len() <= WORD_BYTES_MAX;
    BrokenRule::unless(is_word, "a label is not of the form [A-Za-z][A-Za-z0-9._-]{0,62}")
}

/// A tag: `[a-z0-9][a-z0-9:._-]{0,62}`, such as `ecosystem:python`.
pub(crate) fn check_tag(tag: &str) -> Result<(), BrokenRule> {
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = tag.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b':' | b'.' | b'_' | b'-'));
    let is_word = first && rest && tag.len() <= WORD_BYTES_MAX;
    BrokenRule::unless(is_word, "a tag is not of the form [a-z0-9][a-z0-9:._-]{0,62}")
}

/// Text for people on one line: 1 to 256 bytes, no control characters, no bidirectional overrides.
pub(crate) fn check_title(title: &str) -> Result<(), BrokenRule> {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let fits = (1..=TITLE_BYTES_MAX).contains(&title.len()) && !title.contains(steers);
    BrokenRule::unless(fits, "a title or name is empty, over 256 bytes, or has control characters")
}

/// An address that people and daemons may follow: `http` or `https`, printable ASCII, at most 1024 bytes. Whether it
/// may be connected to is the vetted client's decision.
pub(crate) fn check_url(url: &str) -> Result<(), BrokenRule> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| rest.bytes().next().is_some_and(|byte| byte != b'/'));
    let plain = url.bytes().all(|byte| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    });
    let fits = has_host && plain && url.len() <= URL_BYTES_MAX;
    BrokenRule::unless(fits, "an address is not an http or https URL of printable ASCII, at most 1024 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_tags_are_words() {
        for good in ["debian", "0ad", "jenkins-2.4", "a"] {
            assert!(check_catalog_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "Debian", "-a", ".a", "a/b", "odi", "blake3", "odi1abc", "a b", &long] {
            assert!(check_catalog_name(bad).is_err(), "{bad}");
        }
        assert!(check_label("v1.2_rc-3").is_ok());
        for bad in ["", "1", "12-aaaa", "a/b", "a@b", &long] {
            assert!(check_label(bad).is_err(), "{bad}");
        }
        assert!(check_tag("ecosystem:python").is_ok());
        assert!(check_tag("Ecosystem").is_err());
    }

    #[test]
    fn titles_and_addresses_steer_nothing() {
        assert!(check_title("Débian, the universal \"OS\"").is_ok());
        for bad in ["", "a\nb", "a\u{202e}b", "\u{1b}[31m"] {
            assert!(check_title(bad).is_err(), "{bad:?}");
        }
        assert!(check_url("https://ftp.example.org/debian/").is_ok());
        for bad in
            ["ftp://a/", "https://", "https:///x", "http://a b/", "javascript:alert(1)", "http://a/\r\n"]
        {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
    }
}
