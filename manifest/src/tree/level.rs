//! One level in the making: rows go in, in order, and are cut into nodes.

use super::error::TreeError;
use super::node::Branch;
use super::nodes::NodeSink;
use super::row::Row;
use super::writer::NodeWriter;
use crate::TREE_LEVELS_MAX;

/// What the level above needs to know of a node: the first path below it, and its row.
pub(super) type Summary = (String, Branch);

/// Cuts the rows of one level into nodes, which go to a sink at once.
pub(super) struct LevelWriter<'s> {
    sink: &'s mut dyn NodeSink,
    open: NodeWriter,
    finished: Vec<Summary>,
}

impl<'s> LevelWriter<'s> {
    pub(super) const fn new(level: u8, sink: &'s mut dyn NodeSink) -> Self {
        Self { sink, open: NodeWriter::new(level), finished: Vec::new() }
    }

    /// How many rows the open node has.
    pub(super) const fn open_count(&self) -> usize {
        self.open.count()
    }

    /// How many nodes are finished.
    pub(super) const fn finished_count(&self) -> usize {
        self.finished.len()
    }

    /// Whether a row of this path would begin a node.
    pub(super) const fn cuts_before(&self, path: &str) -> bool {
        self.open.count() == 0 || self.open.ends_before(path)
    }

    /// Adds the next row, and cuts before and after it as the rule says.
    pub(super) fn push<R: Row>(&mut self, path: &str, row: &R) -> Result<(), TreeError> {
        if self.open.ends_before(path) {
            self.cut()?;
        }
        if self.open.overflows(row) {
            return Err(TreeError::Overflow);
        }
        self.open.push(path, row);
        if self.open.ends_here() { self.cut() } else { Ok(()) }
    }

    /// Ends the open node. Only the empty manifest has one without rows.
    pub(super) fn cut(&mut self) -> Result<(), TreeError> {
        let node = self.open.finish();
        self.sink.put(node.child.node, node.encoded)?;
        self.finished.push((node.first_path, node.child));
        Ok(())
    }

    /// Ends the level, whose last node needs no cut: all its finished nodes, and the sink.
    pub(super) fn finish(mut self) -> Result<(Vec<Summary>, &'s mut dyn NodeSink), TreeError> {
        if self.open.count() > 0 {
            self.cut()?;
        }
        Ok((self.finished, self.sink))
    }
}

/// Stacks levels on the nodes of `level` until one has a single node: that level, and the node's row.
pub(super) fn stack_levels(
    mut level: u8,
    mut nodes: Vec<Summary>,
    sink: &mut dyn NodeSink,
) -> Result<(u8, Branch), TreeError> {
    loop {
        if let [(_, root)] = nodes.as_slice() {
            return Ok((level, *root));
        }
        level += 1;
        if level >= TREE_LEVELS_MAX {
            return Err(TreeError::TooDeep);
        }
        let mut writer = LevelWriter::new(level, sink);
        for (first_path, child) in &nodes {
            writer.push(first_path, child)?;
        }
        nodes = writer.finish()?.0;
    }
}
