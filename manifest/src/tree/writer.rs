//! One node in the making: rows go in, and out come its bytes, its name and what its parent will say of it.

use super::cut;
use super::node::{Branch, NODE_VERSION};
use super::row::Row;
use crate::NodeId;
use crate::cbor::Writer;

/// A finished node.
pub(super) struct Finished {
    pub(super) first_path: String,
    pub(super) child: Branch,
    pub(super) encoded: Vec<u8>,
}

/// Gathers rows in ascending order. It knows the cut rule's state, not when its caller obeys it.
pub(super) struct NodeWriter {
    level: u8,
    rows: Writer,
    count: usize,
    weight: usize,
    first_path: String,
    last_path: String,
    entries: u64,
    bytes: u64,
}

impl NodeWriter {
    pub(super) const fn new(level: u8) -> Self {
        Self {
            level,
            rows: Writer::new(),
            count: 0,
            weight: 0,
            first_path: String::new(),
            last_path: String::new(),
            entries: 0,
            bytes: 0,
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether the node must end before `next`.
    pub(super) const fn ends_before(&self, next: &str) -> bool {
        cut::ends_before(self.weight, next)
    }

    /// Whether the node ends after the row that was added last.
    pub(super) fn ends_here(&self) -> bool {
        cut::ends_after(self.level, self.weight, &self.last_path)
    }

    /// Whether one more row would overflow the sums.
    pub(super) fn overflows<R: Row>(&self, row: &R) -> bool {
        self.entries.checked_add(row.entries()).is_none() || self.bytes.checked_add(row.bytes()).is_none()
    }

    pub(super) fn push<R: Row>(&mut self, path: &str, row: &R) {
        row.write(&self.last_path, path, &mut self.rows);
        if self.count == 0 {
            path.clone_into(&mut self.first_path);
        }
        path.clone_into(&mut self.last_path);
        self.count += 1;
        self.weight += cut::weight(path);
        self.entries += row.entries();
        self.bytes += row.bytes();
    }

    /// The bytes of a node with the rows so far.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut node = Writer::with_capacity(self.rows.len() + 8);
        node.array(3)
            .uint(NODE_VERSION)
            .uint(self.level.into())
            .array(self.count)
            .encoded(self.rows.as_bytes());
        node.into_bytes()
    }

    /// Ends the node and begins the next one of the same level.
    pub(super) fn finish(&mut self) -> Finished {
        let encoded = self.encode();
        let child = Branch { node: NodeId::of(&encoded), entries: self.entries, bytes: self.bytes };
        self.rows.clear();
        self.last_path.clear();
        (self.count, self.weight, self.entries, self.bytes) = (0, 0, 0, 0);
        Finished { first_path: std::mem::take(&mut self.first_path), child, encoded }
    }
}
