//! A whole manifest as it travels: its nodes in pre-order, each framed as a CBOR byte string. FORMAT.md § Full.
//!
//! The reader knows which node must come next and checks each on arrival: name, form, place, cuts, and across nodes
//! that no path is both a file and a folder. Nodes leave it children first, so a sink that holds a node holds all
//! that lies below it, even if the transfer broke off.

mod frames;

pub use frames::FullFrames;

use crate::cbor::{CborError, CborReason, Reader};
use crate::tree::{OrderFault, PathOrder, Place, check_in_place};
use crate::{NODE_BYTES_MAX, Node, NodeError, NodeId, NodeSink, Nodes, NodesError, Tree};

/// Bytes of the header that frames a node of the largest size.
const FRAME_BYTES_MAX: usize = 5;

/// A stream that is not the manifest it should be. The guilty party is whoever supplied it, unless the sink failed.
#[derive(Debug, thiserror::Error)]
pub enum FullError {
    /// Not a sequence of byte strings of a node's size.
    #[error("stream of nodes is malformed")]
    Cbor(#[from] CborError),
    /// A node that is not the one demanded, or not valid at its place.
    #[error("node {id} of the stream is invalid")]
    Node {
        /// The node that belongs there.
        id: NodeId,
        /// What is wrong with it.
        #[source]
        reason: NodeError,
    },
    /// Bytes after the last node.
    #[error("stream goes on after its last node")]
    TooLong,
    /// The stream ended early.
    #[error("stream ends before node {0}")]
    TooShort(NodeId),
    /// The sink, or the source of known nodes, failed.
    #[error("nodes cannot be kept")]
    Nodes(#[from] NodesError),
}

/// Encodes a whole manifest, node by node.
///
/// # Errors
/// A node is missing or invalid.
pub fn encode_full(tree: &Tree, nodes: &dyn Nodes, mut out: impl FnMut(&[u8])) -> Result<(), NodesError> {
    let mut frames = FullFrames::of(tree);
    while let Some(frame) = frames.next_frame(nodes)? {
        out(&frame);
    }
    Ok(())
}

/// An inner node whose children are on their way.
struct Open {
    id: NodeId,
    encoded: Vec<u8>,
    node: Node,
    /// The child that comes next.
    at: usize,
    /// The first path behind the node, if there is one.
    until: Option<String>,
}

/// Receives a whole manifest.
pub struct FullReader {
    root: NodeId,
    tree: Option<Tree>,
    open: Vec<Open>,
    order: PathOrder,
    /// The beginning of a frame whose end has not arrived.
    pending: Vec<u8>,
}

impl FullReader {
    /// A reader of the manifest under a root that is known from a verified head.
    #[must_use]
    pub fn new(root: NodeId) -> Self {
        Self { root, tree: None, open: Vec::new(), order: PathOrder::default(), pending: Vec::new() }
    }

    /// The node that must come next; none at the end.
    #[must_use]
    pub fn wanted(&self) -> Option<NodeId> {
        match (&self.tree, self.open.last()) {
            (None, _) => Some(self.root),
            (Some(_), Some(parent)) => parent.node.branch(parent.at).map(|branch| branch.node),
            (Some(_), None) => None,
        }
    }

    /// Takes the next bytes of a stream, in pieces of any length.
    ///
    /// # Errors
    /// The stream is not the manifest, or the sink fails. The reader is useless from then on.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn NodeSink) -> Result<(), FullError> {
        self.pending.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut self.pending);
        let mut reader = Reader::new(&pending);
        let mut taken = 0;
        while !reader.is_empty() {
            let node = match reader.bytes() {
                Ok(node) if node.len() <= NODE_BYTES_MAX => node,
                Err(CborError { reason: CborReason::Truncated, .. })
                    if pending.len() - taken < NODE_BYTES_MAX + FRAME_BYTES_MAX =>
                {
                    break;
                }
                Ok(_) => return Err(CborError::new(CborReason::TooLarge, taken).into()),
                Err(error) => return Err(error.into()),
            };
            self.push(node, sink)?;
            taken = reader.position();
        }
        // Nothing is copied while a frame trickles in byte by byte.
        pending.drain(..taken);
        self.pending = pending;
        Ok(())
    }

    /// Takes the node that is [wanted](Self::wanted).
    ///
    /// # Errors
    /// It is not that node, it is not valid at its place, none is wanted, or the sink fails.
    pub fn push(&mut self, encoded: &[u8], sink: &mut dyn NodeSink) -> Result<(), FullError> {
        let id = self.wanted().ok_or(FullError::TooLong)?;
        let node = self.judge(&id, encoded).map_err(|reason| FullError::Node { id, reason })?;
        let (level, entries, bytes) = (node.level(), node.entries(), node.bytes());
        self.tree = self.tree.or(Some(Tree { root: id, level, entries, bytes }));
        if node.level() == 0 {
            sink.put(id, encoded.to_vec())?;
            return self.close(sink);
        }
        let until = self.until().map(str::to_owned);
        self.open.push(Open { id, encoded: encoded.to_vec(), node, at: 0, until });
        Ok(())
    }

    /// Forgets what came behind the last whole leaf, and names the last path of that leaf: [`encode_full_after`] goes on
    /// from there. Nothing if no leaf has come yet; then the stream has to begin anew.
    pub fn resume_after(&mut self) -> Option<&str> {
        self.pending.clear();
        while self.open.pop_if(|open| open.at == 0).is_some() {}
        if self.order.last().is_empty() {
            self.tree = None;
            return None;
        }
        Some(self.order.last())
    }

    /// The manifest, now complete.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(self) -> Result<Tree, FullError> {
        match (self.wanted(), self.tree) {
            (None, Some(tree)) if self.pending.is_empty() => Ok(tree),
            (None, _) => Err(FullError::TooLong),
            (Some(id), _) => Err(FullError::TooShort(id)),
        }
    }

    /// The first path behind the wanted node.
    fn until(&self) -> Option<&str> {
        let parent = self.open.last()?;
        parent.node.path(parent.at + 1).or(parent.until.as_deref())
    }

    fn place(&self) -> Place<'_> {
        let parent = self.open.last().map(|open| (&open.node, open.at));
        Place { parent, until: self.until() }
    }

    fn judge(&mut self, id: &NodeId, encoded: &[u8]) -> Result<Node, NodeError> {
        let got = NodeId::of(encoded);
        if got != *id {
            return Err(NodeError::OtherNode(got));
        }
        let node = Node::decode(encoded)?;
        check_in_place(&node, &self.place())?;
        if node.level() == 0 {
            for (index, path) in node.paths().enumerate() {
                self.order.next(path).map_err(|fault| match fault {
                    OrderFault::Unsorted => NodeError::Order(index),
                    OrderFault::FileAndFolder(file) => NodeError::FileAndFolder(file),
                })?;
            }
        }
        Ok(node)
    }

    /// Goes on behind a complete subtree, and hands over every node whose subtrees are all complete.
    fn close(&mut self, sink: &mut dyn NodeSink) -> Result<(), FullError> {
        while let Some(parent) = self.open.last_mut() {
            parent.at += 1;
            if parent.at < parent.node.len() {
                return Ok(());
            }
            if let Some(done) = self.open.pop() {
                sink.put(done.id, done.encoded)?;
            }
        }
        Ok(())
    }
}
