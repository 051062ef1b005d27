//! Which blobs a catalog has taken back by path: what `/blake3/` must not give out although no entry leads there any more.
//!
//! Revocations of content name their blobs themselves; those of paths are looked up in the states that are known. A blob
//! that another path still names counts as taken back too: by content it is refused, by that path it is served.

use std::collections::HashSet;
use std::sync::Arc;

use odi_manifest::{ArtifactPath, BlobId, HeadId, Nodes, NodesError, Op, RevocationList, Revoked, Tree};

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

/// Something that a catalog has taken back, where a state still has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) head: HeadId,
    pub(crate) path: String,
}

/// The most samples of one state, and the most entries that are looked at for all of them.
const SAMPLES_PER_STATE: usize = 16;
const LOOKED_AT_MAX: usize = 4_000_000;

/// A few entries of these states that a list takes back, for probes of who still gives them out. Reads nodes, and so may
/// block.
pub(crate) fn samples(
    list: &RevocationList,
    states: &[Arc<State>],
    nodes: &dyn Nodes,
) -> Result<Vec<Sample>, NodesError> {
    let (mut samples, mut looked_at) = (Vec::new(), 0);
    let mut newer = Tree::empty();
    for state in states {
        let mut of_state = 0;
        for op in Tree::diff(nodes, &newer, &state.tree) {
            looked_at += 1;
            if looked_at > LOOKED_AT_MAX {
                return Ok(samples);
            }
            let Op::Put(path, entry) = op? else { continue };
            let is_revoked = list.revokes(path.as_str(), &entry.blob, state.head.seq).is_some();
            if is_revoked && entry.size > 0 && of_state < SAMPLES_PER_STATE {
                of_state += 1;
                samples.push(Sample { head: state.id, path: path.as_str().to_owned() });
            }
        }
        newer = state.tree;
    }
    Ok(samples)
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
