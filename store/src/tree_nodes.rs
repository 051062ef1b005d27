//! The store as a source and a taker of tree nodes, for the manifest's functions. Decoded nodes are kept in memory.

use std::sync::Arc;

use odi_manifest::{HotPaths, Node, NodeId, NodeSink, Nodes, NodesError};

use crate::error::StoreError;
use crate::store::Store;

/// The nodes in a store. Clones share the store and its cache. What was put is readable at once, and durable after
/// [`flush`](Self::flush).
#[derive(Clone, Debug)]
pub struct StoreNodes {
    store: Store,
}

impl Store {
    /// The store's tree nodes.
    #[must_use]
    pub fn nodes(&self) -> StoreNodes {
        StoreNodes { store: self.clone() }
    }
}

impl StoreNodes {
    /// Only the nodes that are decoded in memory; others count as missing. Never waits for a disk.
    #[must_use]
    pub const fn in_memory(&self) -> NodesInMemory<'_> {
        NodesInMemory { store: &self.store }
    }

    /// Waits until everything put so far is durable.
    ///
    /// # Errors
    /// The store cannot write.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
}

/// See [`StoreNodes::in_memory`].
#[derive(Clone, Copy, Debug)]
pub struct NodesInMemory<'s> {
    store: &'s Store,
}

impl Nodes for NodesInMemory<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
        self.store.shared().decoded.get(id).ok_or(NodesError::Missing(*id))
    }

    fn hot_paths(&self) -> Option<&HotPaths> {
        Some(&self.store.shared().hot_paths)
    }
}

impl Nodes for StoreNodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
        let decoded = &self.store.shared().decoded;
        if let Some(node) = decoded.get(id) {
            return Ok(node);
        }
        let encoded =
            self.store.node(id).map_err(|error| NodesError::Backend { id: *id, source: error.into() })?;
        let encoded = encoded.ok_or(NodesError::Missing(*id))?;
        let node = Node::decode(&encoded).map_err(|reason| NodesError::Invalid { id: *id, reason })?;
        let node = Arc::new(node);
        decoded.insert(*id, Arc::clone(&node), node.memory_bytes());
        Ok(node)
    }

    fn hot_paths(&self) -> Option<&HotPaths> {
        Some(&self.store.shared().hot_paths)
    }
}

impl NodeSink for StoreNodes {
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError> {
        self.store.put_node(&id, &encoded).map_err(|error| NodesError::Backend { id, source: error.into() })
    }
}
