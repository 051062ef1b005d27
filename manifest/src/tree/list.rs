//! The direct children of a folder, page by page. A folder inside counts as one child, and its subtree is skipped, so
//! that a page costs what it shows and not what lies below.

use super::nodes::Nodes;
use super::walk::Walk;
use super::{NodesError, Tree};
use crate::Entry;

/// One child of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Child {
    /// A folder.
    Folder {
        /// Its last segment.
        name: String,
    },
    /// An artifact.
    Artifact {
        /// Its last segment.
        name: String,
        /// What the manifest says of it.
        entry: Entry,
    },
}

impl Child {
    /// The last segment of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Folder { name } | Self::Artifact { name, .. } => name,
        }
    }

    /// Where the next page begins, if this child ends one: the name, and a slash after a folder's.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Folder { name } => format!("{name}/"),
            Self::Artifact { name, .. } => name.clone(),
        }
    }
}

/// A page of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The children in the order of their keys.
    pub children: Vec<Child>,
    /// The `after` of the next page, if there is one.
    pub next: Option<String>,
}

/// Lists `folder`, which is empty for the top and has no slash at the end, from behind the key `after`.
pub(super) fn list(
    tree: &Tree,
    nodes: &dyn Nodes,
    folder: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, NodesError> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut walk = Walk::seek(tree, nodes, &start_of_page(&prefix, after))?;
    let mut listing = Listing { children: Vec::new(), next: None };
    loop {
        let Some((name, entry)) =
            walk.current().and_then(|(path, entry)| Some((path.strip_prefix(&prefix)?, entry)))
        else {
            return Ok(listing);
        };
        if listing.children.len() >= limit {
            listing.next = listing.children.last().map(Child::key);
            return Ok(listing);
        }
        if let Some((name, _)) = name.split_once('/') {
            let behind = behind_folder(&prefix, name);
            listing.children.push(Child::Folder { name: name.to_owned() });
            walk.skip_to(&behind)?;
        } else {
            listing.children.push(Child::Artifact { name: name.to_owned(), entry: entry.clone() });
            walk.advance()?;
        }
    }
}

/// The least text that may follow the child of key `after`.
fn start_of_page(prefix: &str, after: Option<&str>) -> String {
    match after.map(|key| (key, key.strip_suffix('/'))) {
        None => prefix.to_owned(),
        Some((_, Some(name))) => behind_folder(prefix, name),
        // No path holds a NUL, so this is the least text that is greater than the artifact's.
        Some((name, None)) => format!("{prefix}{name}\0"),
    }
}

/// The least text that is greater than every path in a folder: `0` is the character after the slash.
fn behind_folder(prefix: &str, name: &str) -> String {
    format!("{prefix}{name}0")
}
