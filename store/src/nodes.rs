//! Tree nodes in the same packs as blobs, verified against their id whenever they are read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use odi_manifest::NodeId;

use crate::change::Change;
use crate::error::{IngestError, StoreError};
use crate::pack::{Location, Record};
use crate::queue::Seq;
use crate::record::{Body, HEADER_BYTES, Header, NODE_BYTES_MAX};
use crate::row::NodeRow;
use crate::store::Store;

/// Nodes that are written and wait for their commit: readable at once.
#[derive(Debug, Default)]
pub(crate) struct PendingNodes {
    nodes: Mutex<HashMap<NodeId, Pending>>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    at: Location,
    length: u32,
    seq: Seq,
}

impl PendingNodes {
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Pending>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets nodes whose commit is published.
    pub(crate) fn landed(&self, nodes: &[NodeId], committed: Seq) {
        let mut pending = self.lock();
        for node in nodes {
            if pending.get(node).is_some_and(|node| node.seq <= committed) {
                pending.remove(node);
            }
        }
    }
}

impl Store {
    /// Takes in encoded nodes and waits until they are durable.
    ///
    /// # Errors
    /// Bytes that are not the node's, or the store cannot write.
    pub fn put_nodes<'n>(
        &self,
        nodes: impl IntoIterator<Item = (&'n NodeId, &'n [u8])>,
    ) -> Result<(), IngestError> {
        let mut last = Seq::default();
        for (node, encoded) in nodes {
            last = last.max(self.put_node_nowait(node, encoded)?);
        }
        Ok(self.shared().queue.wait(last)?)
    }

    /// Takes in one encoded node: readable at once, durable after [`flush`](Self::flush).
    ///
    /// # Errors
    /// Bytes that are not the node's, or the store cannot write.
    pub fn put_node(&self, node: &NodeId, encoded: &[u8]) -> Result<(), IngestError> {
        self.put_node_nowait(node, encoded).map(|_| ())
    }

    fn put_node_nowait(&self, node: &NodeId, encoded: &[u8]) -> Result<Seq, IngestError> {
        if encoded.len() as u64 > NODE_BYTES_MAX || NodeId::of(encoded) != *node {
            return Err(IngestError::Node(*node));
        }
        let shared = self.shared();
        if let Some(pending) = shared.nodes.lock().get(node) {
            return Ok(pending.seq);
        }
        if let Some(row) = shared.index.node(node)?
            && self.keeps_node(node, row)?
        {
            return Ok(Seq::default());
        }
        let length = u32::try_from(encoded.len()).expect("nodes are at most 128 KiB");
        let header = Header { body: Body::Node { node: *node, length }, moved: false };
        let appended = shared.appender.append(&[Record { header, payload: encoded, source: None }])?;
        let pending = Pending { at: appended.at, length, seq: appended.seq };
        if !shared.queue.is_committed(appended.seq) {
            shared.nodes.lock().insert(*node, pending);
        }
        Ok(appended.seq)
    }

    /// Whether a node in the index is there to stay: while a reclaim runs it is marked and looked at again behind
    /// whatever evictions are queued.
    fn keeps_node(&self, node: &NodeId, row: NodeRow) -> Result<bool, StoreError> {
        let shared = self.shared();
        if !shared.marking.is_active() {
            return Ok(true);
        }
        shared.marking.mark(row.ordinal);
        shared.queue.wait(shared.queue.last())?;
        Ok(shared.index.node(node)?.is_some())
    }

    /// An encoded node, verified since it was read; `None` if it is not here. May wait for the disk.
    ///
    /// # Errors
    /// The store cannot read.
    pub fn node(&self, node: &NodeId) -> Result<Option<Bytes>, StoreError> {
        let shared = self.shared();
        for _ in 0..2 {
            let pending = shared.nodes.lock().get(node).copied();
            let place = match pending {
                Some(pending) => Some((pending.at, pending.length)),
                None => shared.index.node(node)?.map(|row| (row.at, row.length)),
            };
            let Some((at, length)) = place else { return Ok(None) };
            let mut bytes = vec![0; length as usize];
            let read = shared.shelf.file(at.pack);
            match read.and_then(|file| file.read_at(u64::from(at.offset) + HEADER_BYTES, &mut bytes)) {
                Ok(read) if read == bytes.len() && NodeId::of(&bytes) == *node => {
                    return Ok(Some(Bytes::from(bytes)));
                }
                // Compaction may have moved it since: look once more.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::disk("read", &shared.shelf.path(at.pack), error)),
                Ok(_) => {
                    let change = Change::DropNode { node: *node, at };
                    let seq = shared.queue.push([change].into_iter(), 0)?;
                    shared.queue.wait(seq)?;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Whether a node is here.
    ///
    /// # Errors
    /// The index fails.
    pub fn has_node(&self, node: &NodeId) -> Result<bool, StoreError> {
        let shared = self.shared();
        Ok(shared.nodes.lock().contains_key(node) || shared.index.node(node)?.is_some())
    }
}
