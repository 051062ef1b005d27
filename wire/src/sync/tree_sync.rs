//! Getting the tree that a verified head names: along diffs from a tree that is held, else as a stream of nodes, else
//! node by node. Whatever comes is judged by the signed root; a source with a wrong diff is condemned for it, the
//! catalog never.

use std::sync::Arc;

use futures_util::future::join_all;
use odi_manifest::{
    FullReader, Head, HeadId, NODE_BYTES_MAX, NodeId, NodesError, Tree, TrustRoot, Unverified, apply_diff,
    decode_diff,
};
use odi_store::{Store, StoreNodes};

use super::head_line::HeadLine;
use super::records::Asker;
use super::{RetainedHead, SyncError, TreeFault, resuming};
use crate::fetch::SourceFault;
use crate::layout::LayoutPath;
use crate::off_worker::off_worker;

/// How far apart the heads of diffs are that origins keep, widest first; each ends at a multiple of its stride.
const STRIDES: [u64; 4] = [64, 16, 4, 1];

/// A way of more diffs than this is longer than fetching the whole tree.
const STEPS_MAX: usize = 320;

/// How many heads back a whole tree is looked for: publishers keep one at least that often.
const FULL_SCAN_MAX: usize = 1024;

/// How many of them are looked at together.
const FULL_SCAN_AT_ONCE: usize = 16;

/// Bytes of one entry, or one frame, in a stream of nodes, generously: path, hashes, extension.
const FULL_BYTES_PER_ENTRY: u64 = 2048;

/// A state whose tree is here.
#[derive(Clone, Copy, Debug)]
struct Base {
    seq: u64,
    id: HeadId,
    tree: Tree,
}

/// One search for a tree.
pub(super) struct TreeSearch<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) trust: &'a TrustRoot,
    pub(super) store: &'a Store,
    pub(super) line: &'a mut HeadLine,
    /// What was tried in vain, in order.
    pub(super) tried: Vec<TreeFault>,
}

impl TreeSearch<'_> {
    /// Finds the tree of `head`, starting from states that are held whole, the likeliest first. If there are torn ones,
    /// the store has most of the tree, and single nodes are asked for before a whole stream of them.
    pub(super) async fn find(
        &mut self,
        head: &Unverified<Head>,
        held: &[Arc<RetainedHead>],
        mending: bool,
    ) -> Result<Tree, SyncError> {
        let wanted = head.claims().tree;
        if wanted == Tree::empty().root {
            return Ok(Tree::empty());
        }
        if let Some(same) = held.iter().find(|held| held.tree.root == wanted) {
            return Ok(same.tree);
        }
        for held in held.iter().take(2) {
            let base = Base { seq: held.seq(), id: held.id, tree: held.tree };
            if base.seq < head.claims().seq
                && let Some(tree) = self.walk(base, head).await?
            {
                return Ok(tree);
            }
        }
        let has_nodes = self.asker.source.has_nodes();
        if mending
            && has_nodes
            && let Some(tree) = self.node_by_node(wanted).await
        {
            return Ok(tree);
        }
        if let Some(tree) = self.whole(head).await? {
            return Ok(tree);
        }
        if !mending
            && has_nodes
            && let Some(tree) = self.node_by_node(wanted).await
        {
            return Ok(tree);
        }
        Err(SyncError::NoTree { tried: std::mem::take(&mut self.tried) })
    }

    /// Goes from a state to `head` along diffs: the direct one if there is one, else by the widest strides that are.
    async fn walk(&mut self, base: Base, head: &Unverified<Head>) -> Result<Option<Tree>, SyncError> {
        let condemned = self.condemnations();
        if let Some(tree) = self.step(&base, head).await {
            return Ok(Some(tree));
        }
        let mut at = base;
        for _ in 0..STEPS_MAX {
            let Some(next) = self.stride(&at, head, condemned).await? else { return Ok(None) };
            if next.id == head.id() {
                return Ok(Some(next.tree));
            }
            at = next;
        }
        Ok(None)
    }

    /// One stride towards `head`; nothing if there is none, or if the source has just been caught with a wrong diff.
    async fn stride(
        &mut self,
        at: &Base,
        head: &Unverified<Head>,
        condemned: usize,
    ) -> Result<Option<Base>, SyncError> {
        for stride in STRIDES.into_iter().filter(|stride| at.seq.is_multiple_of(*stride)) {
            if self.condemnations() > condemned {
                return Ok(None);
            }
            let Some(seq) = self.number_after(at.seq, stride).filter(|seq| *seq <= head.claims().seq) else {
                continue;
            };
            let next = if seq == head.claims().seq {
                head.clone()
            } else {
                match self.line.numbered(&self.asker, seq).await {
                    Ok(next) => next,
                    Err(SyncError::Source { item, source }) => {
                        self.tried.push(TreeFault::Source { item, source });
                        continue;
                    }
                    Err(other) => return Err(other),
                }
            };
            if let Some(tree) = self.step(at, &next).await {
                return Ok(Some(Base { seq, id: next.id(), tree }));
            }
        }
        Ok(None)
    }

    /// The number that stands `stride` places behind `seq` in the line, where epochs leave no gap between.
    fn number_after(&self, seq: u64, stride: u64) -> Option<u64> {
        let next = seq.checked_add(stride)?;
        (self.trust.ancestor(next) == next).then_some(next)
    }

    /// One diff.
    async fn step(&mut self, from: &Base, to: &Unverified<Head>) -> Option<Tree> {
        let item = LayoutPath::Diff { from: from.id, to: to.id() };
        let encoded = match resuming::diff(&self.asker, item).await {
            Ok(encoded) => encoded,
            Err(source) => {
                self.tried.push(TreeFault::Source { item, source });
                return None;
            }
        };
        let (catalog, nodes, tree) = (*self.trust.catalog(), self.store.nodes(), from.tree);
        let (from, to, root) = (from.id, to.id(), to.claims().tree);
        let applied = off_worker(move || apply(&encoded, catalog, (from, to), nodes, &tree, &root)).await;
        self.keep(applied)
    }

    /// The whole tree of `head`, or of a head before it and the diffs from there.
    async fn whole(&mut self, head: &Unverified<Head>) -> Result<Option<Tree>, SyncError> {
        let mut next = Some(head.clone());
        let mut looked_at = 0;
        while let Some(newest) = next.take().filter(|_| looked_at < FULL_SCAN_MAX) {
            // The head itself first: it is the likeliest, and at a directory the only one.
            let most = if looked_at == 0 { 1 } else { FULL_SCAN_AT_ONCE };
            let heads = self.some_before(newest, most).await?;
            looked_at += heads.len();
            if let Some((at, tree)) = self.first_full(&heads).await? {
                if at.id() == head.id() {
                    return Ok(Some(tree));
                }
                let base = Base { seq: at.claims().seq, id: at.id(), tree };
                return self.walk(base, head).await;
            }
            let all_absent = self
                .tried
                .iter()
                .rev()
                .take(heads.len())
                .all(|fault| matches!(fault, TreeFault::Source { source: SourceFault::Absent(_), .. }));
            if let Some(oldest) = heads.last().filter(|_| all_absent) {
                next = self.before(oldest).await?;
            }
        }
        Ok(None)
    }

    /// A head and those before it, newest first.
    async fn some_before(
        &mut self,
        head: Unverified<Head>,
        most: usize,
    ) -> Result<Vec<Unverified<Head>>, SyncError> {
        let seq = head.claims().seq;
        self.line.prefetch(&self.asker, (seq.saturating_sub(most as u64 - 1).max(1)..seq).rev()).await;
        let mut heads = vec![head];
        while heads.len() < most {
            let Some(oldest) = heads.last() else { break };
            match self.before(oldest).await? {
                Some(former) => heads.push(former),
                None => break,
            }
        }
        Ok(heads)
    }

    /// The head before one; nothing at the beginning of the line, or if the source does not have it.
    async fn before(&mut self, head: &Unverified<Head>) -> Result<Option<Unverified<Head>>, SyncError> {
        let seq = self.trust.ancestor(head.claims().seq.saturating_sub(1));
        let Some(prev) = head.claims().prev.filter(|_| seq > 0) else { return Ok(None) };
        match self.line.named(&self.asker, seq, &prev).await {
            Ok(former) => Ok(Some(former)),
            Err(SyncError::Source { item, source }) => {
                self.tried.push(TreeFault::Source { item, source });
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The newest of these heads' trees that the source has as a stream of nodes.
    async fn first_full(
        &mut self,
        heads: &[Unverified<Head>],
    ) -> Result<Option<(Unverified<Head>, Tree)>, SyncError> {
        let asker = self.asker;
        let asked = heads.iter().map(|head| async move {
            let item = LayoutPath::Full(head.id());
            (item, asker.fetcher.stream(&asker.source.item(item), full_bytes_max(head)).await)
        });
        for (head, (item, body)) in heads.iter().zip(join_all(asked).await) {
            let into = (head.claims().tree, self.store.nodes());
            let received = match body {
                Ok(body) => resuming::full(&asker, item, body, full_bytes_max(head), into).await,
                Err(source) => Err(TreeFault::Source { item, source }),
            };
            if let Some(tree) = self.keep(received) {
                return Ok(Some((head.clone(), tree)));
            }
        }
        Ok(None)
    }

    /// The nodes that the store lacks, one request each.
    async fn node_by_node(&mut self, root: NodeId) -> Option<Tree> {
        let mut reader = FullReader::new(root);
        loop {
            let store = self.store.clone();
            let pushed = off_worker(move || push_known(reader, &store)).await;
            let wanted;
            (reader, wanted) = match pushed {
                Ok(progress) => progress,
                Err(fault) => return self.keep(Err(fault)),
            };
            let Some(id) = wanted else { break };
            let item = LayoutPath::Node(id);
            let encoded = match self.asker.bytes(item, NODE_BYTES_MAX).await {
                Ok(encoded) => encoded,
                Err(source) => return self.keep(Err(TreeFault::Source { item, source })),
            };
            let mut nodes = self.store.nodes();
            let pushed = off_worker(move || {
                let pushed = reader.push(&encoded, &mut nodes);
                (reader, pushed)
            });
            let (back, pushed) = pushed.await;
            reader = back;
            if let Err(source) = pushed {
                return self.keep(Err(TreeFault::Full { item, source: Box::new(source) }));
            }
        }
        let item = LayoutPath::Node(root);
        let tree = reader.finish().map_err(|source| TreeFault::Full { item, source: Box::new(source) });
        self.keep(tree)
    }

    fn keep(&mut self, tree: Result<Tree, TreeFault>) -> Option<Tree> {
        tree.map_err(|fault| self.tried.push(fault)).ok()
    }

    fn condemnations(&self) -> usize {
        self.tried.iter().filter(|fault| fault.condemns_source()).count()
    }
}

/// The most bytes that the stream of a head's nodes may have.
fn full_bytes_max(head: &Unverified<Head>) -> u64 {
    head.claims().entries.saturating_mul(FULL_BYTES_PER_ENTRY).saturating_add(1 << 20)
}

/// Applies a diff of these two heads. Blocking.
pub(super) fn apply(
    encoded: &[u8],
    catalog: odi_manifest::CatalogId,
    (from, to): (HeadId, HeadId),
    mut nodes: StoreNodes,
    tree: &Tree,
    root: &NodeId,
) -> Result<Tree, TreeFault> {
    let item = LayoutPath::Diff { from, to };
    let (header, ops) =
        decode_diff(encoded).map_err(|source| TreeFault::Diff { item, source: Box::new(source) })?;
    if (header.cat, header.from, header.to) != (catalog, from, to) {
        return Err(TreeFault::OtherDiff { item });
    }
    let known = nodes.clone();
    apply_diff(&known, &mut nodes, tree, &ops, root)
        .map_err(|source| TreeFault::Apply { item, source: Box::new(source) })
}

/// Feeds a reader with nodes that the store has, until it wants one that is not there. Blocking.
fn push_known(mut reader: FullReader, store: &Store) -> Result<(FullReader, Option<NodeId>), TreeFault> {
    let mut nodes = store.nodes();
    while let Some(id) = reader.wanted() {
        let item = LayoutPath::Node(id);
        let lost = |error: odi_store::StoreError| {
            let source = NodesError::Backend { id, source: error.into() };
            TreeFault::Full { item, source: Box::new(source.into()) }
        };
        let Some(encoded) = store.node(&id).map_err(lost)? else { return Ok((reader, Some(id))) };
        let pushed = reader.push(&encoded, &mut nodes);
        pushed.map_err(|source| TreeFault::Full { item, source: Box::new(source) })?;
    }
    Ok((reader, None))
}
