//! Which catalogs of a directory this relay wants: globs over names, and globs over the tags of a signed head.
//!
//! Pure. What matches nothing is never followed, whatever a directory assigns.

use std::fmt;

/// The longest pattern, in bytes; a catalog name has at most 63.
pub const PATTERN_BYTES_MAX: usize = 128;

/// A text with `*` for any run of characters; everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

/// A text that cannot be a pattern for names or tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has 1 to {PATTERN_BYTES_MAX} printable ASCII characters")]
pub struct GlobError;

impl Glob {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let fits = (1..=PATTERN_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(GlobError)
        }
    }

    /// Whether the whole of `text` matches. Linear in the pattern times the text, whatever the pattern: the parts
    /// between stars are searched left to right, each at its first place.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one `[[directory]]` of the configuration asks for. With neither names nor tags, everything is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Patterns over the directory's catalog names.
    pub names: Vec<Glob>,
    /// Patterns over the tags in a catalog's signed head.
    pub tags: Vec<Glob>,
}

impl Wanted {
    /// Whether a catalog of this name, whose head carries these tags, is to be followed.
    #[must_use]
    pub fn wants<'t>(&self, name: &str, tags: impl IntoIterator<Item = &'t str>) -> bool {
        if self.names.is_empty() && self.tags.is_empty() {
            return true;
        }
        self.names.iter().any(|glob| glob.matches(name))
            || tags.into_iter().any(|tag| self.tags.iter().any(|glob| glob.matches(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, matched) in [
            ("debian", "debian", true),
            ("debian", "debian-security", false),
            ("jenkins-*", "jenkins-", true),
            ("jenkins-*", "jenkins-war", true),
            ("jenkins-*", "jenkin", false),
            ("*-security", "debian-security", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ] {
            assert_eq!(glob(pattern).matches(text), matched, "{pattern} against {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_stays_linear() {
        let pattern = glob(&"a*".repeat(PATTERN_BYTES_MAX / 2));
        assert!(!pattern.matches(&"b".repeat(100_000)));
        assert!(pattern.matches(&"a".repeat(100_000)));
    }

    #[test]
    fn names_or_tags_suffice_and_nothing_means_everything() {
        let wanted = Wanted { names: vec![glob("jenkins-*")], tags: vec![glob("ecosystem:python")] };
        assert!(wanted.wants("jenkins-war", []));
        assert!(wanted.wants("wheels", ["ecosystem:python", "small"]));
        assert!(!wanted.wants("debian", ["ecosystem:debian"]));
        assert!(Wanted::default().wants("debian", []));
    }
}
