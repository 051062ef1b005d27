//! Which blobs a catalog has taken back by path: what `/blake3/` must not give out although no entry leads there any more.
//!
//! Revocations of content name their blobs themselves; those of paths are looked up in the states that are known. A blob
//! that another path still names counts as taken back too: by content it is refused, by that path it is served.

use std::collections::HashSet;
use std::sync::Arc;

use odi_manifest::{ArtifactPath, BlobId, Nodes, NodesError, RevocationList, Revoked};

use super::view::State;

/// The most blobs of one catalog that are remembered as withdrawn by path.
pub(crate) const WITHDRAWN_MAX: usize = 100_000;

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
