//! Walking the artifacts of a tree in order, from any path on.

use std::sync::Arc;

use super::node::Node;
use super::nodes::Nodes;
use super::place::load_branch;
use super::{NodesError, Tree};
use crate::{ArtifactPath, Entry, NodeId};

/// A node on the way down, and the row that the way takes.
struct Step {
    node: Arc<Node>,
    at: usize,
}

/// A position in a tree: between two artifacts, or at the end.
pub(super) struct Walk<'n> {
    nodes: &'n dyn Nodes,
    root: Arc<Node>,
    /// From the root's child or the root itself down to a leaf; empty at the end.
    steps: Vec<Step>,
}

impl<'n> Walk<'n> {
    /// At the first artifact whose path is not less than `path`.
    pub(super) fn seek(tree: &Tree, nodes: &'n dyn Nodes, path: &str) -> Result<Self, NodesError> {
        let root = tree.root_node(nodes)?;
        let mut walk = Self { nodes, root, steps: Vec::new() };
        walk.descend_to(path)?;
        Ok(walk)
    }

    /// Goes on to the first artifact whose path is not less than `path`, which must not lie behind. Stays in the
    /// present leaf if it can, else starts over at the root, so that whole subtrees are skipped.
    pub(super) fn skip_to(&mut self, path: &str) -> Result<(), NodesError> {
        match self.steps.last_mut() {
            Some(leaf) if leaf.node.last_path() >= path => {
                leaf.at = leaf.node.search(path).unwrap_or_else(|next| next);
                Ok(())
            }
            Some(_) => self.descend_to(path),
            None => Ok(()),
        }
    }

    fn descend_to(&mut self, path: &str) -> Result<(), NodesError> {
        self.steps.clear();
        let mut node = Arc::clone(&self.root);
        while node.level() > 0 {
            let at = node.search_branch(path);
            let child = load_branch(self.nodes, &node, at)?;
            self.steps.push(Step { node, at });
            let Some(child) = child else { return self.settle() };
            node = child;
        }
        let at = node.search(path).unwrap_or_else(|next| next);
        self.steps.push(Step { node, at });
        self.settle()
    }

    /// The artifact at this position.
    pub(super) fn current(&self) -> Option<(&str, &Entry)> {
        let leaf = self.steps.last()?;
        Some((leaf.node.path(leaf.at)?, leaf.node.entry(leaf.at)?))
    }

    /// Goes on by one artifact.
    pub(super) fn advance(&mut self) -> Result<(), NodesError> {
        if let Some(leaf) = self.steps.last_mut() {
            leaf.at += 1;
        }
        self.settle()
    }

    /// From the end of a leaf, moves to the beginning of the next one.
    fn settle(&mut self) -> Result<(), NodesError> {
        while let Some(step) = self.steps.last_mut() {
            if step.at >= step.node.len() {
                self.steps.pop();
                if let Some(parent) = self.steps.last_mut() {
                    parent.at += 1;
                }
                continue;
            }
            let Some(node) = load_branch(self.nodes, &step.node, step.at)? else { return Ok(()) };
            self.steps.push(Step { node, at: 0 });
        }
        Ok(())
    }
}

/// The artifacts of a tree, ascending. After an error it ends.
pub struct Entries<'n> {
    walk: Option<Walk<'n>>,
    failed: Option<NodesError>,
}

impl<'n> Entries<'n> {
    pub(super) fn after(tree: &Tree, nodes: &'n dyn Nodes, after: Option<&str>) -> Self {
        let start = || {
            let mut walk = Walk::seek(tree, nodes, after.unwrap_or_default())?;
            if after.is_some() && walk.current().map(|(path, _)| path) == after {
                walk.advance()?;
            }
            Ok(walk)
        };
        match start() {
            Ok(walk) => Self { walk: Some(walk), failed: None },
            Err(error) => Self { walk: None, failed: Some(error) },
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(ArtifactPath, Entry), NodesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let walk = self.walk.as_mut()?;
        let (path, entry) = walk.current()?;
        let found = (ArtifactPath::from_checked(path), entry.clone());
        if let Err(error) = walk.advance() {
            self.walk = None;
            self.failed = Some(error);
        }
        Some(Ok(found))
    }
}

/// The names of a tree's nodes, parents before children, left before right. After an error it ends.
pub struct NodeIds<'n> {
    nodes: &'n dyn Nodes,
    root: Option<NodeId>,
    /// Inner nodes on the way down.
    steps: Vec<Step>,
    failed: Option<NodesError>,
}

impl<'n> NodeIds<'n> {
    pub(super) const fn new(tree: &Tree, nodes: &'n dyn Nodes) -> Self {
        Self { nodes, root: Some(tree.root), steps: Vec::new(), failed: None }
    }

    fn enter(&mut self, node: Result<Option<Arc<Node>>, NodesError>) {
        match node {
            Ok(Some(node)) if node.level() > 0 => self.steps.push(Step { node, at: 0 }),
            Ok(_) => {}
            Err(error) => {
                self.steps.clear();
                self.failed = Some(error);
            }
        }
    }
}

impl Iterator for NodeIds<'_> {
    type Item = Result<NodeId, NodesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        if let Some(root) = self.root.take() {
            let node = super::load_root(self.nodes, &root);
            self.enter(node.map(Some));
            return Some(Ok(root));
        }
        loop {
            let step = self.steps.last_mut()?;
            let (parent, at) = (Arc::clone(&step.node), step.at);
            step.at += 1;
            let Some(child) = parent.branch(at) else {
                self.steps.pop();
                continue;
            };
            // Leaves have no children, so their bytes are not needed to name them.
            if parent.level() > 1 {
                let node = load_branch(self.nodes, &parent, at);
                self.enter(node);
            }
            return Some(Ok(child.node));
        }
    }
}
