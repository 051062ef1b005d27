//! A node's place in a tree: what its parent, its neighbours and the cut rule demand of it. One map has one root only
//! because every node that arrives from outside is judged here (FORMAT.md § Validity).

use std::sync::Arc;

use super::node::{Branch, Node};
use super::nodes::Nodes;
use super::{NodeError, NodesError, cut};

/// Loads a child of an inner node and checks what the two of them show; what was loaded and checked before, and is in
/// memory still, is at hand. Every walk goes through here, so that levels fall with every step and a walk ends, whatever
/// the source of nodes says.
pub(crate) fn load_branch(
    nodes: &dyn Nodes,
    parent: &Node,
    at: usize,
) -> Result<Option<Arc<Node>>, NodesError> {
    if let Some(node) = parent.links().follow(at) {
        return Ok(Some(node));
    }
    let (Some(child), Some(first)) = (parent.branch(at), parent.path(at)) else { return Ok(None) };
    let node = nodes.node(&child.node)?;
    check_branch(&node, parent.level(), first, child, parent.path(at + 1))
        .map_err(|reason| NodesError::Invalid { id: child.node, reason })?;
    parent.links().remember(at, &node);
    Ok(Some(node))
}

/// Where a node was found.
pub(crate) struct Place<'p> {
    /// The node above and the row that names this one; none for a root.
    pub(crate) parent: Option<(&'p Node, usize)>,
    /// The first path of the next node on the same level; none for the last.
    pub(crate) until: Option<&'p str>,
}

/// Checks everything that a node's place demands of it.
pub(crate) fn check_in_place(node: &Node, place: &Place<'_>) -> Result<(), NodeError> {
    match place.parent {
        None => check_root(node)?,
        Some((parent, at)) => {
            let (Some(branch), Some(first)) = (parent.branch(at), parent.path(at)) else {
                return Err(NodeError::Empty);
            };
            check_branch(node, parent.level(), first, branch, place.until)?;
        }
    }
    check_cuts(node, place.until)
}

/// Checks a node against its parent's row, and against the first path of the node after it, if that is known.
fn check_branch(
    node: &Node,
    parent_level: u8,
    first: &str,
    child: &Branch,
    until: Option<&str>,
) -> Result<(), NodeError> {
    let expected = parent_level.saturating_sub(1);
    if node.level() != expected {
        return Err(NodeError::PlaceLevel { expected, got: node.level() });
    }
    if node.first_path() != first {
        return Err(NodeError::PlaceFirst);
    }
    if (node.entries(), node.bytes()) != (child.entries, child.bytes) {
        return Err(NodeError::PlaceSums);
    }
    if until.is_some_and(|until| node.last_path() >= until) {
        return Err(NodeError::PlaceRange);
    }
    Ok(())
}

/// Checks a root, which has no parent: an inner one has at least two children.
pub(super) fn check_root(node: &Node) -> Result<(), NodeError> {
    if node.level() > 0 && node.len() < 2 { Err(NodeError::LoneChild) } else { Ok(()) }
}

/// Checks that the cut rule ends the node where it ends and nowhere earlier. `until` is the first path of the node
/// after it on its level; the last one of a level has none, and may end anywhere.
fn check_cuts(node: &Node, until: Option<&str>) -> Result<(), NodeError> {
    let mut weight = 0;
    let last = node.len().saturating_sub(1);
    for (index, path) in node.paths().enumerate() {
        if cut::ends_before(weight, path) {
            return Err(NodeError::CutInside(index.saturating_sub(1)));
        }
        weight += cut::weight(path);
        let ends = cut::ends_after(node.level(), weight, path);
        if ends && index < last {
            return Err(NodeError::CutInside(index));
        }
        if index == last && !ends && until.is_some_and(|until| !cut::ends_before(weight, until)) {
            return Err(NodeError::CutMissing);
        }
    }
    Ok(())
}
