//! Which blobs a catalog has taken back by path: what `/blake3/` must not give out although no entry leads there any more.
//!
//! Revocations of content name their blobs themselves; those of paths are looked up in the states that are known. A blob
//! that another path of the catalog still names counts as taken back too: by content it is refused, by that path it is
//! served. A revocation acts in its own catalog: what another catalog still names and has not taken back is given out.

use std::collections::HashSet;
use std::sync::Arc;

use odi_manifest::{
    ArtifactPath, BlobId, HashedBlobId, Nodes, NodesError, Op, RevocationList, Revoked, Tree,
};

use super::view::State;

/// The most blobs of one catalog that are remembered as withdrawn by path.
pub(crate) const WITHDRAWN_MAX: usize = 100_000;

/// What catalogs have taken back, to be looked for in others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    blobs: HashSet<BlobId>,
    hashed: HashSet<HashedBlobId>,
}

impl Taken {
    /// Adds what a list takes back by content.
    pub(crate) fn add_list(&mut self, list: &RevocationList) {
        for revocation in list.iter() {
            match &revocation.what {
                Revoked::Blob(blob) => drop(self.blobs.insert(*blob)),
                Revoked::HashedBlob(hashed) => drop(self.hashed.insert(*hashed)),
                Revoked::Path(_) | Revoked::Heads { .. } => {}
            }
        }
    }

    /// Adds what was taken back by path.
    pub(crate) fn add_blobs(&mut self, blobs: &HashSet<BlobId>) {
        self.blobs.extend(blobs);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.hashed.is_empty()
    }

    fn contains(&self, blob: &BlobId) -> bool {
        self.blobs.contains(blob) || !self.hashed.is_empty() && self.hashed.contains(&HashedBlobId::of(blob))
    }
}

/// What a catalog was found to name of that which others have taken back.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// What the others have taken back.
    pub(crate) taken: Taken,
    /// The tree that was looked through.
    pub(crate) tree: Option<Tree>,
    /// Those of `taken` that are named there, or were at a tree from which this one was reached step by step.
    pub(crate) blobs: HashSet<BlobId>,
}

impl Named {
    /// Looks through a tree, or only through what is new in it if `self` is about the same blobs. Reads nodes, and so
    /// may block.
    pub(crate) fn look(&self, taken: Taken, tree: Tree, nodes: &dyn Nodes) -> Result<Self, NodesError> {
        let mut blobs = HashSet::new();
        match &self.tree {
            _ if taken.is_empty() => {}
            Some(former) if self.taken == taken => {
                blobs.clone_from(&self.blobs);
                for op in Tree::diff(nodes, former, &tree) {
                    let Op::Put(_, entry) = op? else { continue };
                    blobs.extend(Some(entry.blob).filter(|blob| taken.contains(blob)));
                }
            }
            _ => {
                for artifact in tree.iter(nodes, None) {
                    blobs.extend(Some(artifact?.1.blob).filter(|blob| taken.contains(blob)));
                }
            }
        }
        Ok(Self { taken, tree: Some(tree), blobs })
    }
}

/// The blobs that revoked paths named in these states. Reads nodes, and so may block.
pub(crate) fn by_path(
    list: &RevocationList,
    states: &[Arc<State>],
    nodes: &dyn Nodes,
) -> Result<HashSet<BlobId>, NodesError> {
    let mut withdrawn = HashSet::new();
    for revocation in list.iter() {
        let Revoked::Path(path) = &revocation.what else { continue };
        for state in states {
            named_below(path, state, nodes, &mut withdrawn)?;
        }
    }
    Ok(withdrawn)
}

/// The blobs of a path and of everything below it.
fn named_below(
    path: &ArtifactPath,
    state: &State,
    nodes: &dyn Nodes,
    withdrawn: &mut HashSet<BlobId>,
) -> Result<(), NodesError> {
    withdrawn.extend(state.tree.get(nodes, path.as_str())?.map(|entry| entry.blob));
    let folder = format!("{path}/");
    for artifact in state.tree.iter(nodes, Some(&folder)) {
        let (below, entry) = artifact?;
        if !below.as_str().starts_with(&folder) || withdrawn.len() >= WITHDRAWN_MAX {
            break;
        }
        withdrawn.insert(entry.blob);
    }
    Ok(())
}
