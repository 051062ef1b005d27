//! Walking the nodes of one level, left to right, without touching what lies below them.

use std::sync::Arc;

use super::node::Node;
use super::nodes::Nodes;
use super::place::load_branch;
use super::{NodesError, cut};
use crate::NodeId;

/// A position at one node of a level that the tree has.
pub(super) struct LevelWalk<'n> {
    nodes: &'n dyn Nodes,
    level: u8,
    /// From the root down to the level above, with the branch taken; empty if the root is at this level.
    steps: Vec<(Arc<Node>, usize)>,
    root: (NodeId, Arc<Node>),
    node: Arc<Node>,
}

impl<'n> LevelWalk<'n> {
    /// At the node of `level` in whose range `path` lies.
    pub(super) fn seek(
        nodes: &'n dyn Nodes,
        root: (NodeId, Arc<Node>),
        level: u8,
        path: &str,
    ) -> Result<Self, NodesError> {
        let node = Arc::clone(&root.1);
        let mut walk = Self { nodes, level, steps: Vec::new(), root, node };
        walk.go_to(path)?;
        Ok(walk)
    }

    pub(super) fn go_to(&mut self, path: &str) -> Result<(), NodesError> {
        self.steps.clear();
        self.node = Arc::clone(&self.root.1);
        self.descend(|node| node.search_branch(path))
    }

    fn descend(&mut self, choose: impl Fn(&Node) -> usize) -> Result<(), NodesError> {
        while self.node.level() > self.level {
            let at = choose(&self.node);
            let Some(below) = load_branch(self.nodes, &self.node, at)? else { return Ok(()) };
            self.steps.push((std::mem::replace(&mut self.node, below), at));
        }
        Ok(())
    }

    pub(super) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The node's name.
    pub(super) fn id(&self) -> NodeId {
        let branch = self.steps.last().and_then(|(parent, at)| parent.branch(*at));
        branch.map_or(self.root.0, |branch| branch.node)
    }

    pub(super) fn has_former(&self) -> bool {
        self.steps.iter().any(|(_, at)| *at > 0)
    }

    /// The first path of the next node, which need not be loaded for it.
    pub(super) fn next_first_path(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|(parent, at)| parent.path(at + 1))
    }

    /// Goes to the next node; false, and no move, at the last.
    pub(super) fn advance(&mut self) -> Result<bool, NodesError> {
        let Some(turn) = self.steps.iter().rposition(|(parent, at)| at + 1 < parent.len()) else {
            return Ok(false);
        };
        self.turn(turn, |at| at + 1, |_| 0)
    }

    /// Goes to the former node; false, and no move, at the first.
    pub(super) fn retreat(&mut self) -> Result<bool, NodesError> {
        let Some(turn) = self.steps.iter().rposition(|(_, at)| *at > 0) else { return Ok(false) };
        self.turn(turn, |at| at.saturating_sub(1), |node| node.len().saturating_sub(1))
    }

    fn turn(
        &mut self,
        depth: usize,
        step: impl Fn(usize) -> usize,
        choose: impl Fn(&Node) -> usize,
    ) -> Result<bool, NodesError> {
        self.steps.truncate(depth + 1);
        let Some((parent, at)) = self.steps.pop() else { return Ok(false) };
        let at = step(at);
        let Some(below) = load_branch(self.nodes, &parent, at)? else { return Ok(false) };
        self.steps.push((parent, at));
        self.node = below;
        self.descend(choose)?;
        Ok(true)
    }

    /// Whether the node ends where it does because of its own last path, whatever follows it.
    pub(super) fn ends_by_itself(&self) -> bool {
        let weight = self.node.paths().map(cut::weight).sum();
        cut::ends_after(self.level, weight, self.node.last_path())
    }
}
