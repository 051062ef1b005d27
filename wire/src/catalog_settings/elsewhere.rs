//! Where artifacts lie that are not in the maintainers' tree: by folder, or one by one.

use std::collections::BTreeMap;

use odi_manifest::ArtifactPath;
use url::Url;

use crate::fetch::Source;

/// One rule, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ElsewhereRule {
    /// What lies below a folder, empty for the whole tree, lies below this URL.
    Folder(String, Url),
    /// One artifact.
    Path(String, Url),
}

/// The rules by what they speak of. The longest folder that holds a path has it, unless it has a rule of its own: a
/// look-up per folder of the path, however many rules there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    folders: BTreeMap<String, Url>,
    paths: BTreeMap<String, Url>,
}

impl Elsewhere {
    /// Where the artifact at a path lies.
    #[must_use]
    pub fn url(&self, path: &ArtifactPath) -> Option<Url> {
        if let Some(url) = self.paths.get(path.as_str()) {
            return Some(url.clone());
        }
        let mut folder = path.as_str();
        loop {
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            if let Some(base) = self.folders.get(folder) {
                let below = path.as_str().strip_prefix(folder)?.trim_start_matches('/');
                return Some(Source::artifact(base, &ArtifactPath::parse(below).ok()?).url);
            }
            if folder.is_empty() {
                return None;
            }
        }
    }

    /// The folders that have a rule, and the URLs below which they lie.
    pub fn folders(&self) -> impl Iterator<Item = (&str, &Url)> {
        self.folders.iter().map(|(folder, base)| (folder.as_str(), base))
    }

    /// The paths that have a rule, and where they lie.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &Url)> {
        self.paths.iter().map(|(path, url)| (path.as_str(), url))
    }

    /// Says where a folder lies, empty for the whole tree, unless something else was said before. Returns whether it lies there now.
    pub fn add_folder(&mut self, folder: &str, base: &Url) -> bool {
        self.folders.entry(folder.to_owned()).or_insert_with(|| base.clone()) == base
    }

    /// The same for one artifact.
    pub fn add_path(&mut self, path: &str, url: &Url) -> bool {
        self.paths.entry(path.to_owned()).or_insert_with(|| url.clone()) == url
    }

    /// The first of two rules of one thing counts, as everywhere in the file.
    pub(super) fn of(rules: Vec<ElsewhereRule>) -> Self {
        let mut elsewhere = Self::default();
        for rule in rules {
            match rule {
                ElsewhereRule::Folder(folder, base) => elsewhere.add_folder(&folder, &base),
                ElsewhereRule::Path(path, url) => elsewhere.add_path(&path, &url),
            };
        }
        elsewhere
    }
}
