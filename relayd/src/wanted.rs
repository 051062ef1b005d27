//! Which catalogs of a directory this relay wants: patterns over names, and tags of signed heads.
//!
//! Pure. What matches nothing is never followed, whatever a directory assigns.

use odi_wire::message::CatalogPattern;

/// What one `[[directory]]` of the configuration asks for. With neither names nor tags, everything is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Patterns over the directory's catalog names.
    pub names: Vec<CatalogPattern>,
    /// Tags, whole, as a catalog's signed head carries them.
    pub tags: Vec<String>,
}

impl Wanted {
    /// Whether a catalog of this name, whose head carries these tags, is to be followed.
    #[must_use]
    pub fn wants(&self, name: &str, tags: &[String]) -> bool {
        (self.names.is_empty() && self.tags.is_empty())
            || self.names.iter().any(|pattern| pattern.matches(name))
            || tags.iter().any(|tag| self.tags.contains(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_or_tags_suffice_and_nothing_means_everything() {
        let tags = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let wanted = Wanted {
            names: vec![CatalogPattern::parse("jenkins-*").unwrap()],
            tags: tags(&["ecosystem:python"]),
        };
        assert!(wanted.wants("jenkins-war", &[]));
        assert!(wanted.wants("wheels", &tags(&["ecosystem:python", "small"])));
        assert!(!wanted.wants("debian", &tags(&["ecosystem:debian"])));
        assert!(Wanted::default().wants("debian", &[]));
    }
}
