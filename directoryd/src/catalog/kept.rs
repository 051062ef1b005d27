//! What a directory needs of a catalog's trees: every state that it may still answer from, and the entries in them.
//!
//! Two lists are kept of states: the sync client's, by adoption, and the view's, by when a state was served. A state is
//! needed as long as either has it.

use odi_manifest::{ArtifactPath, Entry, HeadId, NodeId, Nodes, NodesError, Op, RevocationList, Tree};

use super::Catalog;

/// A state whose tree is needed here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptState {
    pub(crate) id: HeadId,
    seq: u64,
    tree: Tree,
}

/// Every state of a catalog that is needed, the newest first.
pub(crate) fn kept(catalog: &Catalog) -> Vec<KeptState> {
    let view = catalog.view();
    let followed = catalog.believed();
    let viewed = view.known().map(|state| KeptState { id: state.id, seq: state.head.seq, tree: state.tree });
    let retained =
        followed.retained().iter().map(|head| KeptState { id: head.id, seq: head.seq(), tree: head.tree });
    let mut states: Vec<KeptState> = viewed.chain(retained).collect();
    states.sort_by(|a, b| b.seq.cmp(&a.seq).then_with(|| a.id.cmp(&b.id)));
    states.dedup_by_key(|state| state.id);
    states
}

/// Sees every entry of these states, and whether the list takes it back there. An entry that several states share is
/// seen once at least: the first tree is walked as a whole, and of each other one only what differs.
///
/// # Errors
/// A node cannot be read; not everything was seen then.
pub(crate) fn each_entry(
    states: &[KeptState],
    list: Option<&RevocationList>,
    nodes: &dyn Nodes,
    see: &mut dyn FnMut(&Entry, bool),
) -> Result<(), NodesError> {
    let is_void = |state: &&KeptState| list.is_some_and(|list| list.revokes_head(state.seq).is_some());
    let (void, valid): (Vec<&KeptState>, Vec<&KeptState>) = states.iter().partition(is_void);
    for (group, is_void) in [(valid, false), (void, true)] {
        let mut newer = Tree::empty();
        for state in group {
            for op in Tree::diff(nodes, &newer, &state.tree) {
                let Op::Put(path, entry) = op? else { continue };
                let revokes = |list: &RevocationList| {
                    list.revokes_blob(&entry.blob).is_some() || list.revokes_path(path.as_str()).is_some()
                };
                see(&entry, is_void || list.is_some_and(revokes));
            }
            newer = state.tree;
        }
    }
    Ok(())
}

/// Sees every entry of these states, with its path, but for those that one which was seen before has at the same path. Whether it was
/// all of them: it ends where it is once `has_ended` says so.
///
/// # Errors
/// A node cannot be read; not everything was seen then.
pub(crate) fn each_beside<'s>(
    seen: Option<&KeptState>,
    states: impl Iterator<Item = &'s KeptState>,
    nodes: &dyn Nodes,
    has_ended: &dyn Fn() -> bool,
    see: &mut dyn FnMut(&ArtifactPath, &Entry),
) -> Result<bool, NodesError> {
    let mut former = seen.map_or_else(Tree::empty, |state| state.tree);
    for state in states {
        for op in Tree::diff(nodes, &former, &state.tree) {
            if has_ended() {
                return Ok(false);
            }
            if let Op::Put(path, entry) = op? {
                see(&path, &entry);
            }
        }
        former = state.tree;
    }
    Ok(true)
}

/// Names every node of these states. A leaf is named without being read.
///
/// # Errors
/// A node cannot be read; what lies below it was not named then.
pub(crate) fn each_node(
    states: &[KeptState],
    nodes: &dyn Nodes,
    mark: &mut dyn FnMut(&NodeId),
) -> Result<(), NodesError> {
    for state in states {
        mark(&state.tree.root);
        for id in state.tree.node_ids(nodes) {
            mark(&id?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use odi_manifest::{BlobId, MemoryNodes, Sha256};

    use super::*;

    #[test]
    fn a_walk_ends_where_it_is() {
        let entry = |n: u32| {
            let path = ArtifactPath::parse(&format!("folder/{n:04}")).unwrap();
            let (blob, sha256) = (BlobId::of(&n.to_be_bytes()), Sha256::from_bytes([0; 32]));
            (path, Entry { size: 4, blob, sha256, mtime: 0, ext: None })
        };
        let mut nodes = MemoryNodes::new();
        let trees = [300, 500].map(|count| Tree::build((0..count).map(entry), &mut nodes).unwrap());
        let state = |(seq, tree): (u8, &Tree)| KeptState {
            id: HeadId::from_bytes([seq; 32]),
            seq: u64::from(seq),
            tree: *tree,
        };
        let states: Vec<KeptState> = (1..).zip(&trees).map(state).collect();
        for (most, is_whole) in [(1000, true), (500, true), (499, false), (100, false), (0, false)] {
            let seen = Cell::new(0);
            let walked = each_beside(None, states.iter(), &nodes, &|| seen.get() >= most, &mut |_, _| {
                seen.set(seen.get() + 1);
            });
            assert_eq!((walked.unwrap(), seen.get()), (is_whole, most.min(500)), "after {most}");
        }
    }
}
