//! What heads say about their catalog: origins, tags, a title and a page. Given once, it holds until given anew.
//!
//! Before there is a head, `init` leaves it in `.odi/draft`, a small TOML file that the first publish uses and removes.
//! From then on the newest head is the only source.

use odi_manifest::{Head, HeadMeta};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::odi_folder::{OdiFolder, read_bounded};
use super::tree_disk::{TreeDisk, replace};

/// A draft holds a handful of URLs and tags.
const DRAFT_BYTES_MAX: u64 = 64 * 1024;

/// What a head says beside what it lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Description {
    /// Where the tree is served.
    pub origins: Vec<String>,
    /// By what relays choose it.
    pub tags: Vec<String>,
    /// A title for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A page for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

impl Description {
    /// What a head says.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        let HeadMeta { home, tags, title } = head.meta.clone();
        Self { origins: head.origins.clone(), tags, title, home }
    }

    /// This one, with whatever `newer` says in its place: a list that is given replaces the former list.
    #[must_use]
    pub fn overridden_by(mut self, newer: &Self) -> Self {
        if !newer.origins.is_empty() {
            self.origins.clone_from(&newer.origins);
        }
        if !newer.tags.is_empty() {
            self.tags.clone_from(&newer.tags);
        }
        self.tags.sort();
        self.tags.dedup();
        self.title = newer.title.clone().or(self.title);
        self.home = newer.home.clone().or(self.home);
        self
    }

    /// Leaves it for the first publish.
    ///
    /// # Errors
    /// When the draft cannot be written.
    pub fn write_draft(&self, disk: &dyn TreeDisk, odi: &OdiFolder) -> Result<(), Failure> {
        let text = toml::to_string(self).expect("four plain fields have a TOML form");
        let note = "# What the first head will say. The first publish uses and removes this file.\n";
        Ok(replace(disk, odi.draft(), format!("{note}{text}").as_bytes())?)
    }

    /// Reads what `init` left; nothing if there is no draft.
    ///
    /// # Errors
    /// When the draft is there and makes no sense.
    pub fn read_draft(odi: &OdiFolder) -> Result<Self, Failure> {
        let Some(bytes) = read_bounded(&odi.draft(), DRAFT_BYTES_MAX)? else { return Ok(Self::default()) };
        let text = String::from_utf8_lossy(&bytes);
        toml::from_str(&text).map_err(|error| Failure::Draft { path: odi.draft(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let former = Description {
            origins: vec!["https://a.example/".into()],
            tags: vec!["x".into()],
            title: Some("T".into()),
            home: None,
        };
        let newer = Description { tags: vec!["z".into(), "y".into(), "z".into()], ..Description::default() };
        let merged = former.clone().overridden_by(&newer);
        assert_eq!(merged.tags, ["y", "z"]);
        assert_eq!(merged.origins, former.origins);
        assert_eq!(merged.title, former.title);
    }
}
