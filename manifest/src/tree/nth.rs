//! The artifact at a position. Inner nodes count what lies below them, so that any one costs a node per level.

use super::nodes::Nodes;
use super::place::load_branch;
use super::{NodesError, Tree};
use crate::{ArtifactPath, Entry};

pub(super) fn nth(
    tree: &Tree,
    nodes: &dyn Nodes,
    index: u64,
) -> Result<Option<(ArtifactPath, Entry)>, NodesError> {
    let mut node = tree.root_node(nodes)?;
    let mut left = index;
    while node.level() > 0 {
        let mut at = 0;
        while let Some(passed) = node.branch(at).filter(|branch| branch.entries <= left) {
            left -= passed.entries;
            at += 1;
        }
        let Some(child) = load_branch(nodes, &node, at)? else { return Ok(None) };
        node = child;
    }
    let at = usize::try_from(left).unwrap_or(usize::MAX);
    let found = node.path(at).zip(node.entry(at));
    Ok(found.map(|(path, entry)| (ArtifactPath::from_checked(path), entry.clone())))
}
