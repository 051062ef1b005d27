//! The two kinds of rows that nodes hold, behind one trait, so that cutting, merging and coding exist once.

use super::NodeError;
use super::node::{Branch, Node, append_path, expand_path};
use crate::cbor::{Reader, Writer};
use crate::{Entry, NodeId};

/// What stands beside a path in a node.
pub(super) trait Row: Clone + PartialEq {
    /// The fewest bytes that a row takes, to bound what a claimed count may reserve.
    const BYTES_MIN: usize;

    /// Artifacts that the row stands for.
    fn entries(&self) -> u64;
    /// Their sizes, added up.
    fn bytes(&self) -> u64;
    /// The row itself, if it stands for a node.
    fn branch(&self) -> Option<Branch>;
    /// A node's rows, if they are of this kind.
    fn of(node: &Node) -> Option<&[Self]>;
    /// Writes one row whole. `former` is the path before it in the node, empty at the first.
    fn write(&self, former: &str, path: &str, writer: &mut Writer);
    /// Reads the path fields of row `index` and appends the path to `text`, where the former begins at `former`.
    /// Returns how many of the row's `fields` are left.
    fn read_path(
        reader: &mut Reader<'_>,
        index: usize,
        fields: usize,
        text: &mut Vec<u8>,
        former: usize,
    ) -> Result<usize, NodeError>;
    /// Reads the fields after the path.
    fn read(reader: &mut Reader<'_>, fields: usize) -> Result<Self, NodeError>;
}

impl Row for Entry {
    const BYTES_MIN: usize = 73;

    fn entries(&self) -> u64 {
        1
    }

    fn bytes(&self) -> u64 {
        self.size
    }

    fn branch(&self) -> Option<Branch> {
        None
    }

    fn of(node: &Node) -> Option<&[Self]> {
        node.leaf_rows()
    }

    fn write(&self, former: &str, path: &str, writer: &mut Writer) {
        let shared = common_prefix(former.as_bytes(), path.as_bytes());
        let suffix = path.as_bytes().get(shared..).unwrap_or_default();
        writer.array(2 + self.fields()).uint(shared as u64).bytes(suffix);
        Self::write(self, writer);
    }

    fn read_path(
        reader: &mut Reader<'_>,
        index: usize,
        fields: usize,
        text: &mut Vec<u8>,
        former: usize,
    ) -> Result<usize, NodeError> {
        let shared = reader.uint()?;
        expand_path(text, former, index, shared, reader.bytes()?)?;
        Ok(fields.saturating_sub(2))
    }

    fn read(reader: &mut Reader<'_>, fields: usize) -> Result<Self, NodeError> {
        Ok(Self::read(reader, fields)?)
    }
}

impl Row for Branch {
    const BYTES_MIN: usize = 39;

    fn entries(&self) -> u64 {
        self.entries
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn branch(&self) -> Option<Branch> {
        Some(*self)
    }

    fn of(node: &Node) -> Option<&[Self]> {
        node.inner_rows()
    }

    fn write(&self, _former: &str, path: &str, writer: &mut Writer) {
        writer
            .array(4)
            .bytes(path.as_bytes())
            .bytes(self.node.as_bytes())
            .uint(self.entries)
            .uint(self.bytes);
    }

    fn read_path(
        reader: &mut Reader<'_>,
        index: usize,
        fields: usize,
        text: &mut Vec<u8>,
        former: usize,
    ) -> Result<usize, NodeError> {
        append_path(text, former, index, reader.bytes()?)?;
        Ok(fields.saturating_sub(1))
    }

    fn read(reader: &mut Reader<'_>, fields: usize) -> Result<Self, NodeError> {
        if fields != 3 {
            return Err(reader.expected("a child of four fields").into());
        }
        let node = NodeId::from_bytes(reader.fixed()?);
        let (entries, bytes) = (reader.uint()?, reader.uint()?);
        if entries == 0 { Err(NodeError::Empty) } else { Ok(Self { node, entries, bytes }) }
    }
}

/// How many leading bytes two strings share.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
