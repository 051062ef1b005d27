//! Which paths a rule speaks of: one path, or all that begin and end in a certain way.

use odi_manifest::ArtifactPath;

/// A path in which one `*` may stand for any run of characters, slashes among them. Matching costs two comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// The whole path if there is no `*`.
    begins: String,
    ends: Option<String>,
}

impl PathPattern {
    /// Reads a pattern; nothing if no path of a catalog could match it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (begins, ends) = match text.split_once('*') {
            Some((begins, ends)) => (begins, Some(ends)),
            None => (text, None),
        };
        // Something must be able to stand there.
        let example =
            format!("{begins}{}{}", if ends.is_some() { "x" } else { "" }, ends.unwrap_or_default());
        let sound = ArtifactPath::parse(&example).is_ok() && !ends.is_some_and(|ends| ends.contains('*'));
        sound.then(|| Self { begins: begins.to_owned(), ends: ends.map(str::to_owned) })
    }

    /// Whether it speaks of a path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.ends {
            None => path == self.begins,
            Some(ends) => {
                path.strip_prefix(self.begins.as_str()).is_some_and(|rest| rest.ends_with(ends.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stands_for_any_run() {
        for (pattern, path, matches) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("*", "a/b", true),
            ("pool/*", "pool/a/b.deb", true),
            ("pool/*", "pools/a", false),
            ("*.json", "a/b.json", true),
            ("simple/*.html", "simple/.html", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
        for pattern in ["", "/a", "a//*", "a/**", "*/*", "../*", "a/", ".odi/*", "a\\b"] {
            assert_eq!(PathPattern::parse(pattern), None, "{pattern}");
        }
    }
}
