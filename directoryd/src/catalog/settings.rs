//! A catalog's own settings, `odi-catalog.toml` at the top of its tree: an ordinary signed artifact.
//!
//! Only what a directory acts on is read. Keys of later versions and settings that make no sense are passed over: whoever
//! signs a catalog cannot break a directory with it.

use serde::Deserialize;

/// Where the settings lie in a tree.
pub(crate) const PATH: &str = "odi-catalog.toml";

/// The most index names that are tried for one folder.
const INDEX_NAMES_MAX: usize = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    index: Vec<String>,
}

/// Names under which a folder's own page may lie, best first. `index.html` where the catalog says nothing.
pub(crate) fn index_names(settings: Option<&[u8]>) -> Vec<String> {
    let text = settings.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let raw: Option<Raw> = text.and_then(|text| toml::from_str(text).ok());
    let is_name = |name: &String| !name.is_empty() && name.len() <= 255 && !name.contains('/');
    match raw {
        Some(raw) if !raw.index.is_empty() => {
            raw.index.into_iter().filter(is_name).take(INDEX_NAMES_MAX).collect()
        }
        _ => vec!["index.html".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let names = |text: &str| index_names(Some(text.as_bytes()));
        assert_eq!(index_names(None), ["index.html"]);
        assert_eq!(names("index = [\"home.html\", \"a/b\", \"\"]\nlater = 1"), ["home.html"]);
        assert_eq!(names("index = 5"), ["index.html"]);
        assert_eq!(names("not toml"), ["index.html"]);
        assert_eq!(names(&format!("index = {:?}", vec!["x"; 100])).len(), 4);
    }
}
