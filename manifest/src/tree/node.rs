//! A decoded node: paths side by side in one text, rows in one slice, so that look-ups are binary searches over
//! little memory. Decoding checks whatever one node alone shows.

use std::ops::Range;
use std::sync::LazyLock;

use super::NodeError;
use super::links::Links;
use super::path_index::PathIndex;
use super::row::{Row, common_prefix};
use super::writer::NodeWriter;
use crate::cbor::{CborError, CborReason, Reader};
use crate::{Entry, NODE_BYTES_MAX, NodeId, TREE_LEVELS_MAX, path};

/// The version that every node begins with.
pub(super) const NODE_VERSION: u64 = 1;

/// What an inner node says about one child; its path is the first of the child's subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// The child node.
    pub node: NodeId,
    /// How many artifacts lie below it.
    pub entries: u64,
    /// Their sizes, added up.
    pub bytes: u64,
}

/// One node of a manifest's tree, decoded and valid by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    level: u8,
    entries: u64,
    bytes: u64,
    /// All paths, one after the other.
    text: Box<str>,
    /// Where each path ends in `text`.
    ends: Box<[u32]>,
    index: PathIndex,
    rows: Rows,
    links: Links,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rows {
    Leaf(Box<[Entry]>),
    Inner(Box<[Branch]>),
}

/// The name of the empty manifest, which every holder of nodes may lack.
pub(super) static EMPTY_ID: LazyLock<NodeId> = LazyLock::new(|| NodeId::of(&Node::empty().encode()));

impl Node {
    /// The only node of the empty manifest: a leaf without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::assemble(0, String::new(), Vec::new(), Rows::Leaf(Box::default()), (0, 0))
    }

    fn assemble(level: u8, text: String, ends: Vec<u32>, rows: Rows, (entries, bytes): (u64, u64)) -> Self {
        let path = |index: usize| {
            let end = ends.get(index).map_or(0, |end| *end as usize);
            let start =
                index.checked_sub(1).and_then(|former| ends.get(former)).map_or(0, |end| *end as usize);
            text.as_bytes().get(start..end).unwrap_or_default()
        };
        let paths = || (0..ends.len()).map(path);
        let index = if level == 0 { PathIndex::to_find(paths()) } else { PathIndex::to_search(paths()) };
        let links = Links::new(if level == 0 { 0 } else { ends.len() });
        Self { level, entries, bytes, text: text.into(), ends: ends.into(), index, rows, links }
    }

    /// Decodes a node and checks whatever it alone shows: form, order, paths, prefixes, bounds and sums.
    /// Its name is the caller's to compare; its place in a tree shows only there.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn decode(encoded: &[u8]) -> Result<Self, NodeError> {
        if encoded.len() > NODE_BYTES_MAX {
            return Err(NodeError::TooLarge(encoded.len()));
        }
        let mut reader = Reader::new(encoded);
        reader.array_of(3, "a node of three fields")?;
        let version = reader.uint()?;
        if version != NODE_VERSION {
            return Err(NodeError::Version(version));
        }
        let level = reader.uint()?;
        let node = match u8::try_from(level) {
            Ok(0) => decode_rows(&mut reader, 0, Rows::Leaf)?,
            Ok(level) if level < TREE_LEVELS_MAX => decode_rows(&mut reader, level, Rows::Inner)?,
            _ => return Err(NodeError::Level(level)),
        };
        reader.end()?;
        if node.is_empty() && level > 0 { Err(NodeError::Empty) } else { Ok(node) }
    }

    /// The node's bytes, which are the ones that it was decoded from.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = NodeWriter::new(self.level);
        match &self.rows {
            Rows::Leaf(rows) => self.paths().zip(rows).for_each(|(path, row)| writer.push(path, row)),
            Rows::Inner(rows) => self.paths().zip(rows).for_each(|(path, row)| writer.push(path, row)),
        }
        writer.encode()
    }

    /// 0 for a leaf, else one more than its children's.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// How many artifacts lie at or below this node.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The sizes of those artifacts, added up.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many rows it has: artifacts in a leaf, children in an inner node.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it is the empty manifest.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn path_range(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)? as usize;
        let start =
            index.checked_sub(1).and_then(|former| self.ends.get(former)).map_or(0, |end| *end as usize);
        Some(start..end)
    }

    /// The path of a row.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<&str> {
        self.text.get(self.path_range(index)?)
    }

    fn path_bytes(&self, index: usize) -> &[u8] {
        self.path_range(index).and_then(|range| self.text.as_bytes().get(range)).unwrap_or_default()
    }

    /// All paths, ascending.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map_while(|index| self.path(index))
    }

    pub(super) fn first_path(&self) -> &str {
        self.path(0).unwrap_or_default()
    }

    pub(super) fn last_path(&self) -> &str {
        self.len().checked_sub(1).and_then(|last| self.path(last)).unwrap_or_default()
    }

    /// An artifact of a leaf.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.leaf_rows()?.get(index)
    }

    /// A child of an inner node.
    #[must_use]
    pub fn branch(&self, index: usize) -> Option<&Branch> {
        self.inner_rows()?.get(index)
    }

    pub(super) fn leaf_rows(&self) -> Option<&[Entry]> {
        match &self.rows {
            Rows::Leaf(rows) => Some(rows),
            Rows::Inner(_) => None,
        }
    }

    pub(super) fn inner_rows(&self) -> Option<&[Branch]> {
        match &self.rows {
            Rows::Leaf(_) => None,
            Rows::Inner(rows) => Some(rows),
        }
    }

    pub(super) const fn links(&self) -> &Links {
        &self.links
    }

    /// Whether a walk came to this node without asking its source, since the last call. A source that forgets what is
    /// not used asks this first.
    #[must_use]
    pub fn take_followed(&self) -> bool {
        self.links.take_followed()
    }

    /// The bytes of memory that this node takes, what it remembers of its children included.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let rows = match &self.rows {
            Rows::Leaf(rows) => rows.iter().map(Entry::memory_bytes).sum(),
            // A child that went leaves its frame behind for as long as it is linked.
            Rows::Inner(rows) => rows.len() * (size_of::<Branch>() + Links::BYTES_EACH + size_of::<Self>()),
        };
        let paths = self.text.len() + size_of_val(&*self.ends) + self.index.memory_bytes();
        (size_of::<Self>() + paths + rows) as u64
    }

    /// Where a path is, or else where it would be.
    pub(super) fn search(&self, path: &str) -> Result<usize, usize> {
        let rank = self.rank(path);
        match rank.checked_sub(1) {
            Some(last) if self.path_bytes(last) == path.as_bytes() => Ok(last),
            _ => Err(rank),
        }
    }

    /// How many rows' paths are not greater than a path.
    fn rank(&self, path: &str) -> usize {
        let path = path.as_bytes();
        self.index.rank(path, self.len(), |index| self.path_bytes(index) <= path)
    }

    /// Where a path is. In a leaf this is faster than [`Self::search`].
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        self.index
            .find(path.as_bytes(), |index| self.path_bytes(index))
            .unwrap_or_else(|| self.search(path).ok())
    }

    /// The row of an inner node under which a path most likely lies: no path is looked at, so nothing waits for them.
    pub(super) fn guess_branch(&self, path: &str) -> usize {
        self.index.guess(path.as_bytes()).unwrap_or_default().saturating_sub(1)
    }

    /// The row of an inner node under which a path lies or would lie: the last that does not begin after it, else
    /// the first.
    pub(super) fn search_branch(&self, path: &str) -> usize {
        self.rank(path).saturating_sub(1)
    }
}

/// Reads the array of rows of one kind.
fn decode_rows<R: Row>(
    reader: &mut Reader<'_>,
    level: u8,
    rows_of: fn(Box<[R]>) -> Rows,
) -> Result<Node, NodeError> {
    let count = reader.array()?;
    // A count is only a claim: a row takes at least R::BYTES_MIN, so room beyond that is never used.
    let room = count.min(NODE_BYTES_MAX / R::BYTES_MIN);
    let (mut rows, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(room));
    let mut text: Vec<u8> = Vec::new();
    let (mut entries, mut bytes, mut former) = (0_u64, 0_u64, 0);
    for index in 0..count {
        let fields = reader.array()?;
        let start = text.len();
        let field_count = R::read_path(reader, index, fields, &mut text, former)?;
        path::check_bytes(text.get(start..).unwrap_or_default())?;
        let row = R::read(reader, field_count)?;
        entries = entries.checked_add(row.entries()).ok_or(NodeError::Overflow)?;
        bytes = bytes.checked_add(row.bytes()).ok_or(NodeError::Overflow)?;
        ends.push(u32::try_from(text.len()).map_err(|_| NodeError::Overflow)?);
        rows.push(row);
        former = start;
    }
    let text = String::from_utf8(text).map_err(|_| CborError::new(CborReason::NotUtf8, 0))?;
    Ok(Node::assemble(level, text, ends, rows_of(rows.into_boxed_slice()), (entries, bytes)))
}

/// Appends a path that is given as a prefix shared with the former one and a suffix. `former` is where that begins.
pub(super) fn expand_path(
    text: &mut Vec<u8>,
    former: usize,
    index: usize,
    shared: u64,
    suffix: &[u8],
) -> Result<(), NodeError> {
    let former_end = text.len();
    let shared = usize::try_from(shared).ok().filter(|shared| *shared <= former_end - former);
    let shared = shared.ok_or(NodeError::SharedPrefix(index))?;
    match (text.get(former + shared), suffix.first()) {
        (_, None) => return Err(NodeError::Order(index)),
        (Some(old), Some(new)) if old == new => return Err(NodeError::SharedPrefix(index)),
        (Some(old), Some(new)) if old > new => return Err(NodeError::Order(index)),
        _ => {}
    }
    text.extend_from_within(former..former + shared);
    text.extend_from_slice(suffix);
    Ok(())
}

/// Appends a path that is given whole.
pub(super) fn append_path(
    text: &mut Vec<u8>,
    former: usize,
    index: usize,
    path: &[u8],
) -> Result<(), NodeError> {
    let before = text.get(former..).unwrap_or_default();
    if index > 0 && before >= path {
        return Err(NodeError::Order(index));
    }
    debug_assert!(common_prefix(before, path) < path.len() || index == 0);
    text.extend_from_slice(path);
    Ok(())
}
