//! Changing a tree in place of building it again: O(changes x depth) nodes are read, cut anew and written.
//!
//! Level by level, upwards: the edits of a level are merged into the nodes that they fall into, and cutting goes on
//! from there until it meets a former boundary again, for the cut rule remembers nothing across a cut. What became of
//! the nodes is the list of edits for the level above. A level that ends up with one node has the root.

use std::sync::Arc;

use super::error::TreeError;
use super::level::{LevelWriter, Summary, stack_levels};
use super::level_walk::LevelWalk;
use super::node::{Branch, Node};
use super::nodes::{NodeSink, Nodes};
use super::row::Row;
use super::{NodesError, Tree, load_root};
use crate::{Entry, NodeId, Op};

/// One change to the rows of a level.
pub(super) trait Edit<R> {
    fn path(&self) -> &str;
    /// The row to put there; none removes what is there.
    fn row(&self) -> Option<&R>;
}

impl Edit<Entry> for Op {
    fn path(&self) -> &str {
        Self::path(self).as_str()
    }

    fn row(&self) -> Option<&Entry> {
        match self {
            Self::Put(_, entry) => Some(entry),
            Self::Remove(_) => None,
        }
    }
}

struct BranchEdit {
    path: String,
    row: Option<Branch>,
}

impl Edit<Branch> for BranchEdit {
    fn path(&self) -> &str {
        &self.path
    }

    fn row(&self) -> Option<&Branch> {
        self.row.as_ref()
    }
}

/// An updated tree, and what the operations turned out to be.
pub(super) struct Updated {
    pub(super) tree: Tree,
    /// Indices of the operations that put a path which was not there.
    pub(super) fresh: Vec<usize>,
    /// The first operation that changes nothing.
    pub(super) idle: Option<usize>,
}

/// Applies operations that are strictly ascending by path. Files that are also folders are the caller's to refuse.
pub(super) fn update(
    tree: &Tree,
    nodes: &dyn Nodes,
    sink: &mut dyn NodeSink,
    ops: &[Op],
) -> Result<Updated, TreeError> {
    let root = (tree.root, load_root(nodes, &tree.root)?);
    let merged = merge_level::<Entry, Op>(nodes, &root, 0, ops, sink)?;
    let (fresh, idle) = (merged.fresh.clone(), merged.idle);
    let tree = raise(tree, nodes, &root, merged, sink)?;
    Ok(Updated { tree, fresh, idle })
}

/// Carries a change of the leaves up to the root.
fn raise(
    tree: &Tree,
    nodes: &dyn Nodes,
    root: &(NodeId, Arc<Node>),
    mut merged: Merged,
    sink: &mut dyn NodeSink,
) -> Result<Tree, TreeError> {
    let mut level = 0;
    loop {
        if let Some(branch) = merged.sole {
            return Ok(skip_lone_branches(nodes, &branch)?);
        }
        if !merged.kept && (merged.created.len() <= 1 || level >= root.1.level()) {
            if merged.created.is_empty() {
                let empty = Node::empty().encode();
                sink.put(NodeId::of(&empty), empty)?;
                return Ok(Tree::empty());
            }
            let (level, root) = stack_levels(level, merged.created, sink)?;
            return Ok(Tree { root: root.node, level, entries: root.entries, bytes: root.bytes });
        }
        let edits = branch_edits(merged.consumed, merged.created);
        if edits.is_empty() {
            return Ok(*tree);
        }
        level += 1;
        merged = merge_level::<Branch, BranchEdit>(nodes, root, level, &edits, sink)?;
    }
}

/// The root below a chain of single branches: the first level with one node has it.
fn skip_lone_branches(nodes: &dyn Nodes, branch: &Branch) -> Result<Tree, NodesError> {
    let mut branch = *branch;
    loop {
        let node = nodes.node(&branch.node)?;
        match node.branch(0) {
            Some(below) if node.len() == 1 => branch = *below,
            _ => return Tree::open(nodes, branch.node),
        }
    }
}

/// What became of a level.
#[derive(Default)]
struct Merged {
    /// First path and name of each former node that was taken apart.
    consumed: Vec<(String, NodeId)>,
    /// The nodes in their stead.
    created: Vec<Summary>,
    /// Whether any former node stays as it was.
    kept: bool,
    /// The only row that is left on the level, if it is an inner one: no node is made for it.
    sole: Option<Branch>,
    fresh: Vec<usize>,
    idle: Option<usize>,
}

/// The changes of a level's nodes as the level above sees them.
fn branch_edits(consumed: Vec<(String, NodeId)>, created: Vec<Summary>) -> Vec<BranchEdit> {
    let mut edits = Vec::new();
    let mut created = created.into_iter().peekable();
    for (path, node) in consumed {
        while let Some((path, branch)) = created.next_if(|(first, _)| *first < path) {
            edits.push(BranchEdit { path, row: Some(branch) });
        }
        match created.next_if(|(first, _)| *first == path) {
            Some((_, branch)) if branch.node == node => {}
            Some((path, branch)) => edits.push(BranchEdit { path, row: Some(branch) }),
            None => edits.push(BranchEdit { path, row: None }),
        }
    }
    edits.extend(created.map(|(path, branch)| BranchEdit { path, row: Some(branch) }));
    edits
}

/// Merges edits into one level that the tree has.
fn merge_level<R: Row, E: Edit<R>>(
    nodes: &dyn Nodes,
    root: &(NodeId, Arc<Node>),
    level: u8,
    edits: &[E],
    sink: &mut dyn NodeSink,
) -> Result<Merged, TreeError> {
    let Some(first) = edits.first() else { return Ok(Merged { kept: true, ..Merged::default() }) };
    let walk = LevelWalk::seek(nodes, (root.0, Arc::clone(&root.1)), level, first.path())?;
    let writer = LevelWriter::new(level, sink);
    let mut merge = Merge { edits, done: 0, walk, writer, merged: Merged::default(), last_row: None };
    merge.run()?;
    let mut merged = merge.merged;
    if !merged.kept && merge.writer.finished_count() == 0 && merge.writer.open_count() == 1 {
        merged.sole = merge.last_row.as_ref().and_then(Row::branch);
    }
    if merged.sole.is_none() {
        merged.created = merge.writer.finish()?.0;
    }
    Ok(merged)
}

/// One level's merge under way.
struct Merge<'m, R, E> {
    edits: &'m [E],
    /// How many edits are done.
    done: usize,
    walk: LevelWalk<'m>,
    writer: LevelWriter<'m>,
    merged: Merged,
    /// The row that was written last, in case it stays the only one.
    last_row: Option<R>,
}

impl<R: Row, E: Edit<R>> Merge<'_, R, E> {
    fn run(&mut self) -> Result<(), TreeError> {
        self.step_back_if_begun()?;
        self.merged.kept = self.walk.has_former();
        loop {
            self.take_apart()?;
            if !self.walk.advance()? || !self.reach_next_edit()? {
                return Ok(());
            }
        }
    }

    /// Writes the rows of the node at hand, merged with the edits that fall into its range.
    fn take_apart(&mut self) -> Result<(), TreeError> {
        let node = Arc::clone(self.walk.node());
        let until = self.walk.next_first_path().map(str::to_owned);
        self.merged.consumed.push((node.first_path().to_owned(), self.walk.id()));
        for (path, row) in node.paths().zip(R::of(&node).unwrap_or_default()) {
            self.insert_before(Some(path))?;
            match self.edits.get(self.done) {
                Some(edit) if edit.path() == path => self.replace(row)?,
                _ => self.write(path, row)?,
            }
        }
        self.insert_before(until.as_deref())
    }

    /// Does the edits of paths that are not there, as far as `until` or to the last.
    fn insert_before(&mut self, until: Option<&str>) -> Result<(), TreeError> {
        while let Some(edit) = self.edits.get(self.done)
            && until.is_none_or(|until| edit.path() < until)
        {
            match edit.row() {
                Some(row) => {
                    self.merged.fresh.push(self.done);
                    self.write(edit.path(), row)?;
                }
                None => self.note_idle(),
            }
            self.done += 1;
        }
        Ok(())
    }

    /// Does the next edit, which concerns a path that is there with `row`.
    fn replace(&mut self, row: &R) -> Result<(), TreeError> {
        if let Some(edit) = self.edits.get(self.done)
            && let Some(new) = edit.row()
        {
            if new == row {
                self.note_idle();
            }
            self.write(edit.path(), new)?;
        }
        self.done += 1;
        Ok(())
    }

    fn note_idle(&mut self) {
        self.merged.idle.get_or_insert(self.done);
    }

    fn write(&mut self, path: &str, row: &R) -> Result<(), TreeError> {
        self.writer.push(path, row)?;
        self.last_row = Some(row.clone());
        Ok(())
    }

    /// At the beginning of a node: if a cut falls here anyhow, keeps it and all that follow, up to the node that the
    /// next edit falls into. False if there is no next edit.
    fn reach_next_edit(&mut self) -> Result<bool, TreeError> {
        let first_path = self.walk.node().first_path();
        let next = self.edits.get(self.done);
        let edited =
            next.is_some_and(|edit| self.walk.next_first_path().is_none_or(|until| edit.path() < until));
        if edited || !self.writer.cuts_before(first_path) {
            return Ok(true);
        }
        if self.writer.open_count() > 0 {
            self.writer.cut()?;
        }
        let Some(edit) = next else {
            self.merged.kept = true;
            return Ok(false);
        };
        let here = self.walk.id();
        self.walk.go_to(edit.path())?;
        self.step_back_if_begun()?;
        self.merged.kept |= self.walk.id() != here;
        Ok(true)
    }

    /// If the next edit removes the node's first row, the former node may have ended only because that row did not
    /// fit: then cutting begins there.
    fn step_back_if_begun(&mut self) -> Result<(), NodesError> {
        let removes_first = self
            .edits
            .get(self.done)
            .is_some_and(|edit| edit.row().is_none() && edit.path() == self.walk.node().first_path());
        if removes_first && self.walk.retreat()? && self.walk.ends_by_itself() {
            self.walk.advance()?;
        }
        Ok(())
    }
}
