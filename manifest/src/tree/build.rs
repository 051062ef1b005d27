//! Building a tree from scratch, in one pass over sorted artifacts. Memory holds one open leaf and a line per
//! finished one.

use super::Tree;
use super::error::TreeError;
use super::level::{LevelWriter, stack_levels};
use super::nodes::NodeSink;
use super::order::{OrderFault, PathOrder};
use crate::{ArtifactPath, Entry};

/// Builds the tree of artifacts that are given in ascending order of their paths.
pub struct TreeBuilder<'s> {
    leaves: LevelWriter<'s>,
    order: PathOrder,
}

impl<'s> TreeBuilder<'s> {
    /// A builder whose nodes go to `sink`, children before parents.
    pub fn new(sink: &'s mut dyn NodeSink) -> Self {
        Self { leaves: LevelWriter::new(0, sink), order: PathOrder::default() }
    }

    /// Adds the next artifact.
    ///
    /// # Errors
    /// It is out of order or out of bounds, makes a former file a folder, or the sink fails.
    pub fn push(&mut self, path: &ArtifactPath, entry: &Entry) -> Result<(), TreeError> {
        entry.check().map_err(|source| TreeError::Entry { path: path.to_string(), source })?;
        self.order.next(path.as_str()).map_err(|fault| match fault {
            OrderFault::Unsorted => TreeError::Unsorted(path.to_string()),
            OrderFault::FileAndFolder(file) => TreeError::FileAndFolder { file, path: path.to_string() },
        })?;
        self.leaves.push(path.as_str(), entry)
    }

    /// Ends the tree.
    ///
    /// # Errors
    /// The tree grew too deep, or the sink fails.
    pub fn finish(mut self) -> Result<Tree, TreeError> {
        if self.leaves.finished_count() == 0 && self.leaves.open_count() == 0 {
            self.leaves.cut()?;
        }
        let (leaves, sink) = self.leaves.finish()?;
        let (level, root) = stack_levels(0, leaves, sink)?;
        Ok(Tree { root: root.node, level, entries: root.entries, bytes: root.bytes })
    }
}
