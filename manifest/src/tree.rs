//! A manifest as a Merkle search tree: a pure function of its map from paths to entries. FORMAT.md § Tree.
//!
//! A [`Tree`] is a root's name and its sums; the nodes live behind [`Nodes`] and [`NodeSink`]. Every operation costs
//! what it touches: look-ups and proofs one node per level, updates and diffs the changed nodes and the way to them.

mod build;
mod changes;
mod conflict;
mod cut;
mod error;
mod hot_paths;
mod level;
mod level_walk;
mod links;
mod list;
mod node;
mod nodes;
mod nth;
mod order;
mod path_index;
mod place;
mod proof;
mod row;
mod update;
mod walk;
mod writer;

use std::sync::Arc;

pub use build::TreeBuilder;
pub use changes::Changes;
pub use error::{NodeError, NodesError, TreeError};
pub use hot_paths::{HOT_PATHS_MAX, HotPaths};
pub use list::{Child, Listing};
pub use node::{Branch, Node};
pub use nodes::{MemoryNodes, NodeSink, Nodes};
pub(crate) use order::{OrderFault, PathOrder};
pub(crate) use place::{Place, check_in_place, load_branch};
pub use proof::{Proof, ProofError};
pub(crate) use row::common_prefix;
pub use walk::{Entries, NodeIds};

use crate::{ArtifactPath, Entry, NodeId, Op};

/// One manifest: the name of its root node, and what the root says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    /// The root node, which a head names.
    pub root: NodeId,
    /// The root's level: 0 if it is a leaf.
    pub level: u8,
    /// How many artifacts there are.
    pub entries: u64,
    /// Their sizes, added up.
    pub bytes: u64,
}

impl Tree {
    /// The manifest without artifacts. Its one node is built in: no source of nodes needs to hold it.
    #[must_use]
    pub fn empty() -> Self {
        Self { root: *node::EMPTY_ID, level: 0, entries: 0, bytes: 0 }
    }

    /// Builds the tree of artifacts in ascending order of their paths.
    ///
    /// # Errors
    /// They are out of order or out of bounds, a file is also a folder, or the sink fails.
    pub fn build(
        artifacts: impl IntoIterator<Item = (ArtifactPath, Entry)>,
        sink: &mut dyn NodeSink,
    ) -> Result<Self, TreeError> {
        let mut builder = TreeBuilder::new(sink);
        for (path, entry) in artifacts {
            builder.push(&path, &entry)?;
        }
        builder.finish()
    }

    /// The tree under a root whose nodes are at hand.
    ///
    /// # Errors
    /// The root is missing, or is no root.
    pub fn open(nodes: &dyn Nodes, root: NodeId) -> Result<Self, NodesError> {
        let node = load_root(nodes, &root)?;
        Ok(Self { root, level: node.level(), entries: node.entries(), bytes: node.bytes() })
    }

    /// Changes the tree. Operations ascend strictly by path; those that change nothing are allowed. New nodes go to
    /// `sink`, children before parents; if the call fails, what it was given is of no tree and may be dropped.
    ///
    /// # Errors
    /// The operations are out of order or out of bounds, a file would also be a folder, or a node cannot be had.
    pub fn update(&self, nodes: &dyn Nodes, sink: &mut dyn NodeSink, ops: &[Op]) -> Result<Self, TreeError> {
        Ok(self.update_noting_idle(nodes, sink, ops)?.0)
    }

    /// Changes the tree, and tells the first operation that changes nothing.
    pub(crate) fn update_noting_idle(
        &self,
        nodes: &dyn Nodes,
        sink: &mut dyn NodeSink,
        ops: &[Op],
    ) -> Result<(Self, Option<usize>), TreeError> {
        check_ops(ops)?;
        let updated = update::update(self, nodes, sink, ops)?;
        conflict::check_fresh(self, nodes, ops, &updated.fresh)?;
        Ok((updated.tree, updated.idle))
    }

    /// What the manifest says of one path.
    ///
    /// # Errors
    /// A node on the way is missing or invalid.
    pub fn get(&self, nodes: &dyn Nodes, path: &str) -> Result<Option<Entry>, NodesError> {
        match nodes.hot_paths() {
            None => self.look_up(nodes, path),
            Some(hot) => hot.find_or(&self.root, path, || self.look_up(nodes, path)),
        }
    }

    fn look_up(&self, nodes: &dyn Nodes, path: &str) -> Result<Option<Entry>, NodesError> {
        let root = self.root_node(nodes)?;
        // Most paths that are asked for exist, and the leaf alone settles that a guess was right.
        let guessed = entry_below(nodes, &root, path, Node::guess_branch)?;
        if guessed.is_some() { Ok(guessed) } else { entry_below(nodes, &root, path, Node::search_branch) }
    }

    /// The artifact at a position, from 0; `None` behind the last.
    ///
    /// # Errors
    /// A node on the way is missing or invalid.
    pub fn nth(&self, nodes: &dyn Nodes, index: u64) -> Result<Option<(ArtifactPath, Entry)>, NodesError> {
        nth::nth(self, nodes, index)
    }

    /// All artifacts ascending, or those behind `after`, which need not exist.
    #[must_use]
    pub fn iter<'n>(&self, nodes: &'n dyn Nodes, after: Option<&str>) -> Entries<'n> {
        Entries::after(self, nodes, after)
    }

    /// The direct children of `folder` (empty for the top, no slash at the end), at most `limit`, from behind the
    /// [key](Child::key) `after`. A folder that is not there has none.
    ///
    /// # Errors
    /// A node is missing or invalid.
    pub fn list(
        &self,
        nodes: &dyn Nodes,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing, NodesError> {
        list::list(self, nodes, folder, after, limit)
    }

    /// The operations that turn `from` into `to`, ascending by path. Reads only nodes that differ.
    #[must_use]
    pub fn diff<'n>(nodes: &'n dyn Nodes, from: &Self, to: &Self) -> Changes<'n> {
        Changes::new(from, to, nodes)
    }

    /// The nodes that prove what the manifest says of a path, whether or not it has an entry.
    ///
    /// # Errors
    /// A node is missing or invalid.
    pub fn prove(&self, nodes: &dyn Nodes, path: &str) -> Result<Proof, NodesError> {
        Proof::find(self, nodes, path)
    }

    /// The names of all nodes, parents before children, left before right. Leaves are named without being loaded.
    #[must_use]
    pub const fn node_ids<'n>(&self, nodes: &'n dyn Nodes) -> NodeIds<'n> {
        NodeIds::new(self, nodes)
    }

    fn root_node(&self, nodes: &dyn Nodes) -> Result<Arc<Node>, NodesError> {
        load_root(nodes, &self.root)
    }
}

/// Loads a root; the empty manifest's needs nobody.
pub(crate) fn load_root(nodes: &dyn Nodes, root: &NodeId) -> Result<Arc<Node>, NodesError> {
    if *root == *node::EMPTY_ID {
        return Ok(Arc::new(Node::empty()));
    }
    let node = nodes.node(root)?;
    place::check_root(&node).map_err(|reason| NodesError::Invalid { id: *root, reason })?;
    Ok(node)
}

/// The entry of a path in the leaf to which `branch_of` leads.
fn entry_below(
    nodes: &dyn Nodes,
    root: &Arc<Node>,
    path: &str,
    branch_of: fn(&Node, &str) -> usize,
) -> Result<Option<Entry>, NodesError> {
    let mut node = Arc::clone(root);
    while let Some(below) = load_branch(nodes, &node, branch_of(&node, path))? {
        node = below;
    }
    Ok(node.find(path).and_then(|at| node.entry(at)).cloned())
}

/// Operations ascend strictly, and put only what a manifest may hold.
fn check_ops(ops: &[Op]) -> Result<(), TreeError> {
    if let Some((_, later)) = ops.iter().zip(ops.iter().skip(1)).find(|(a, b)| a.path() >= b.path()) {
        return Err(TreeError::Unsorted(later.path().to_string()));
    }
    ops.iter().try_for_each(|op| match op {
        Op::Put(path, entry) => {
            entry.check().map_err(|source| TreeError::Entry { path: path.to_string(), source })
        }
        Op::Remove(_) => Ok(()),
    })
}
