//! What is here of trees that were whole once: a disk loses nodes, and what is left is still of use.

use std::collections::HashMap;

use odi_manifest::{NodeId, Nodes, NodesError, Tree};
use odi_store::{Store, StoreNodes};

/// A walk over any number of trees that visits what they share once. Blocking.
pub(super) struct TreeWalk<'s> {
    store: &'s Store,
    nodes: StoreNodes,
    /// Nodes that were visited, and whether everything from there down is in the store.
    seen: HashMap<NodeId, bool>,
}

impl<'s> TreeWalk<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store, nodes: store.nodes(), seen: HashMap::new() }
    }

    /// Whether every node of a tree is in the store. Names each that was not visited before, whether it is there or
    /// not; only what lies below a missing one cannot be named.
    ///
    /// # Errors
    /// The store fails. A missing node is no error.
    pub(super) fn is_intact(
        &mut self,
        tree: &Tree,
        mark: &mut dyn FnMut(&NodeId),
    ) -> Result<bool, NodesError> {
        if tree.root == Tree::empty().root {
            return Ok(true);
        }
        self.visit(&tree.root, None, mark)
    }

    /// `level` is what the parent makes of the node's; it falls on the way down, so the recursion ends.
    fn visit(
        &mut self,
        id: &NodeId,
        level: Option<u8>,
        mark: &mut dyn FnMut(&NodeId),
    ) -> Result<bool, NodesError> {
        if let Some(intact) = self.seen.get(id) {
            return Ok(*intact);
        }
        mark(id);
        let here = self.store.has_node(id);
        let mut intact = here.map_err(|error| NodesError::Backend { id: *id, source: error.into() })?;
        // Leaves have no children. An inner node that is lost may still be remembered.
        if level != Some(0) {
            match self.nodes.node(id) {
                Ok(node) => {
                    let below = level.unwrap_or_else(|| node.level()).saturating_sub(1);
                    for branch in (0..node.len()).filter_map(|index| node.branch(index)) {
                        intact &= self.visit(&branch.node, Some(below), mark)?;
                    }
                }
                Err(NodesError::Missing(_) | NodesError::Invalid { .. }) => intact = false,
                Err(error) => return Err(error),
            }
        }
        self.seen.insert(*id, intact);
        Ok(intact)
    }
}
