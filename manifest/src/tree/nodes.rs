//! Where nodes come from and where they go: two traits, and the holder in memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{HotPaths, Node, NodeError, NodesError};
use crate::NodeId;

/// A source of decoded nodes. An implementation has compared each node's bytes with its name.
pub trait Nodes {
    /// The node of this name.
    ///
    /// # Errors
    /// It is missing or invalid, or the source failed.
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError>;

    /// What was looked up lately, where many look-ups are made through one source.
    fn hot_paths(&self) -> Option<&HotPaths> {
        None
    }
}

/// A taker of encoded nodes. Children always come before their parents.
pub trait NodeSink {
    /// Takes one node, whose name is known to be that of its bytes.
    ///
    /// # Errors
    /// The sink failed.
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
        (**self).node(id)
    }

    fn hot_paths(&self) -> Option<&HotPaths> {
        (**self).hot_paths()
    }
}

/// Gathers the nodes as they come.
impl NodeSink for Vec<(NodeId, Vec<u8>)> {
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError> {
        self.push((id, encoded));
        Ok(())
    }
}

/// A node's name is a digest already, so eight of its bytes are as good a hash as any.
#[derive(Clone, Copy, Debug, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// Decoded nodes in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryNodes {
    nodes: HashMap<NodeId, Arc<Node>, BuildHasherDefault<DigestHasher>>,
}

impl MemoryNodes {
    /// A holder of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many nodes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The bytes of a node.
    #[must_use]
    pub fn encoded(&self, id: &NodeId) -> Option<Vec<u8>> {
        self.nodes.get(id).map(|node| node.encode())
    }

    /// Takes bytes from anywhere, compares them with the name, and decodes them.
    ///
    /// # Errors
    /// The bytes are not that node, or no node at all.
    pub fn insert(&mut self, id: NodeId, encoded: &[u8]) -> Result<(), NodesError> {
        let got = NodeId::of(encoded);
        let decoded = if got == id { Node::decode(encoded) } else { Err(NodeError::OtherNode(got)) };
        let node = decoded.map_err(|reason| NodesError::Invalid { id, reason })?;
        self.nodes.insert(id, Arc::new(node));
        Ok(())
    }

    /// Takes over all nodes of another holder.
    pub fn absorb(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
    }
}

impl Nodes for MemoryNodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
        self.nodes.get(id).cloned().ok_or(NodesError::Missing(*id))
    }
}

impl NodeSink for MemoryNodes {
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError> {
        let node = Node::decode(&encoded).map_err(|reason| NodesError::Invalid { id, reason })?;
        self.nodes.insert(id, Arc::new(node));
        Ok(())
    }
}
