//! Proofs that a path has an entry, or has none: the nodes from the root down to where the path is or would be.
//! FORMAT.md § Proofs.

use super::node::Node;
use super::nodes::Nodes;
use super::place::Place;
use super::{NodeError, NodesError, Tree, place};
use crate::cbor::{CborError, CborReason, Reader, Writer};
use crate::{Entry, NODE_BYTES_MAX, NodeId, PROOF_BYTES_MAX, TREE_LEVELS_MAX};

/// The encoded nodes on the way to a path. Untrusted until verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    nodes: Vec<Vec<u8>>,
}

/// A proof that proves nothing. The guilty party is whoever supplied it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not an encoded proof.
    #[error("proof is malformed")]
    Cbor(#[from] CborError),
    /// A node that is not the one demanded, or not valid at its place.
    #[error("node {id} of the proof is invalid")]
    Node {
        /// The node that belongs there.
        id: NodeId,
        /// What is wrong with it.
        #[source]
        reason: NodeError,
    },
    /// The way ends above a leaf.
    #[error("proof ends before node {0}")]
    TooShort(NodeId),
    /// Nodes below the leaf.
    #[error("proof goes on after its leaf")]
    TooLong,
}

impl ProofError {
    /// The reason's name in published vectors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.reason.name(),
            Self::Node { reason, .. } => reason.name(),
            Self::TooShort(_) => "too-short",
            Self::TooLong => "too-long",
        }
    }
}

impl Proof {
    pub(super) fn find(tree: &Tree, nodes: &dyn Nodes, path: &str) -> Result<Self, NodesError> {
        let mut node = tree.root_node(nodes)?;
        let mut way = vec![node.encode()];
        while let Some(below) = place::load_branch(nodes, &node, node.search_branch(path))? {
            way.push(below.encode());
            node = below;
        }
        Ok(Self { nodes: way })
    }

    /// What the manifest under `root` says of a path: its entry, or that it has none.
    ///
    /// # Errors
    /// The proof is not one for this root and path.
    pub fn verify(&self, root: &NodeId, path: &str) -> Result<Option<Entry>, ProofError> {
        let mut expected = *root;
        let mut parent: Option<(Node, usize)> = None;
        let mut until: Option<String> = None;
        let mut way = self.nodes.iter();
        loop {
            let id = expected;
            let encoded = way.next().ok_or(ProofError::TooShort(id))?;
            let node = check_node(&id, encoded, parent.as_ref(), until.as_deref())
                .map_err(|reason| ProofError::Node { id, reason })?;
            if node.level() == 0 {
                let found = node.search(path).ok().and_then(|at| node.entry(at)).cloned();
                return if way.next().is_none() { Ok(found) } else { Err(ProofError::TooLong) };
            }
            let at = node.search_branch(path);
            let branch = node.branch(at).ok_or(ProofError::TooShort(id))?;
            expected = branch.node;
            until = node.path(at + 1).map(str::to_owned).or(until);
            parent = Some((node, at));
        }
    }

    /// The proof as sent: an array of the nodes' byte strings, root first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer =
            Writer::with_capacity(self.nodes.iter().map(|node| node.len() + 5).sum::<usize>() + 1);
        writer.array(self.nodes.len());
        for node in &self.nodes {
            writer.bytes(node);
        }
        writer.into_bytes()
    }

    /// Takes a proof as sent. Its nodes are judged when it is verified.
    ///
    /// # Errors
    /// Not a proof, or larger than any.
    pub fn decode(encoded: &[u8]) -> Result<Self, ProofError> {
        let too_large = |at| ProofError::Cbor(CborError::new(CborReason::TooLarge, at));
        if encoded.len() > PROOF_BYTES_MAX {
            return Err(too_large(PROOF_BYTES_MAX));
        }
        let mut reader = Reader::new(encoded);
        let count = reader.array()?;
        if count == 0 || count > usize::from(TREE_LEVELS_MAX) {
            return Err(reader.expected("one to eight nodes").into());
        }
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            let at = reader.position();
            let node = reader.bytes()?;
            if node.len() > NODE_BYTES_MAX {
                return Err(too_large(at));
            }
            nodes.push(node.to_vec());
        }
        reader.end()?;
        Ok(Self { nodes })
    }
}

/// Judges one node of the way: its name, itself, its place and its cuts.
fn check_node(
    id: &NodeId,
    encoded: &[u8],
    parent: Option<&(Node, usize)>,
    until: Option<&str>,
) -> Result<Node, NodeError> {
    let got = NodeId::of(encoded);
    if got != *id {
        return Err(NodeError::OtherNode(got));
    }
    let node = Node::decode(encoded)?;
    place::check_in_place(&node, &Place { parent: parent.map(|(node, at)| (node, *at)), until })?;
    Ok(node)
}
