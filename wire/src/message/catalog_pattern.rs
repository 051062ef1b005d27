//! Which catalogs a relay wants, by the name that its directory gives them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest pattern in bytes, as long as the longest name.
pub const CATALOG_PATTERN_BYTES_MAX: usize = 63;

/// A catalog name in which `*` stands for any run of characters: `debian`, `jenkins-*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CatalogPattern(String);

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no catalog pattern: 1 to {CATALOG_PATTERN_BYTES_MAX} of a-z, 0-9, `.`, `-` and `*`")]
pub struct CatalogPatternError {
    /// The text, cut to 80 characters.
    pub text: String,
}

impl CatalogPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is empty, too long, or has a character that no catalog name has.
    pub fn parse(text: &str) -> Result<Self, CatalogPatternError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'*');
        if (1..=CATALOG_PATTERN_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CatalogPatternError { text: text.chars().take(80).collect() })
        }
    }

    /// Whether a catalog's name matches, in time proportional to both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        for piece in pieces {
            // The leftmost place for each piece leaves the most room for those after it.
            match rest.split_once(piece) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CatalogPattern {
    type Error = CatalogPatternError;

    fn try_from(text: String) -> Result<Self, CatalogPatternError> {
        Self::parse(&text)
    }
}

impl From<CatalogPattern> for String {
    fn from(pattern: CatalogPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for CatalogPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let pattern = CatalogPattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|name| pattern.matches(name)), "{pattern} should match {yes:?}");
            assert!(!no.iter().any(|name| pattern.matches(name)), "{pattern} should not match {no:?}");
        };
        check("debian", &["debian"], &["debian-security", "xdebian", ""]);
        check("*", &["debian", ""], &[]);
        check("jenkins-*", &["jenkins-", "jenkins-war"], &["jenkins", "xjenkins-war"]);
        check("*-stable", &["a-stable", "-stable"], &["a-stable-x"]);
        check("a*b*c", &["abc", "axbxc", "abbcc"], &["ab", "acb", "abcx"]);
        check("ab*ba", &["abba", "abxba"], &["aba"]);
        check("a**b", &["ab", "axb"], &["a"]);
    }

    #[test]
    fn odd_patterns_are_refused() {
        for text in ["", "Debian", "a b", "a/b", "a?b", &"a".repeat(64)] {
            assert!(CatalogPattern::parse(text).is_err(), "{text}");
        }
    }
}
