//! The nodes of the manifests that a tree published, from `.odi/full/` and the diffs since.
//!
//! A full file is read whole and indexed by each node's own hash, so that what cannot be reached from a signed root is
//! never looked at, and a node is decoded only when it is. Diffs are then applied in the longest steps that lie there,
//! and the last result must be the root that the verified head names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::sync::Arc;

use odi_manifest::cbor::{Reader, Writer};
use odi_manifest::{
    DIFF_BYTES_MAX, Head, HeadId, Node, NodeId, NodeSink, Nodes, NodesError, Tree, TrustRoot, Verified,
    apply_diff, decode_diff,
};

use super::failure::Failure;
use super::history::head_at;
use super::odi_folder::{OdiFolder, read_bounded};

/// 50 million entries at 150 bytes.
pub(crate) const FULL_BYTES_MAX: u64 = 8 << 30;
/// The lengths of steps for which diffs are kept, longest first.
pub(crate) const STEPS: [u64; 4] = [64, 16, 4, 1];

/// Encoded nodes in memory, decoded when asked for.
#[derive(Debug, Default)]
pub(crate) struct EncodedNodes {
    full: Vec<u8>,
    in_full: HashMap<NodeId, Range<usize>>,
    newer: HashMap<NodeId, Vec<u8>>,
}

impl EncodedNodes {
    /// Indexes a full file; whatever in it is no byte string ends it.
    fn index(full: Vec<u8>) -> Self {
        let mut in_full = HashMap::new();
        let mut reader = Reader::new(&full);
        while !reader.is_empty() {
            let Ok(encoded) = reader.bytes() else { break };
            let end = reader.position();
            in_full.insert(NodeId::of(encoded), end - encoded.len()..end);
        }
        Self { full, in_full, newer: HashMap::new() }
    }

    fn encoded(&self, id: &NodeId) -> Option<&[u8]> {
        let newer = self.newer.get(id).map(Vec::as_slice);
        newer.or_else(|| self.full.get(self.in_full.get(id)?.clone()))
    }

    /// A full file of this tree (FORMAT.md § Full), from nodes as they were stored.
    pub(crate) fn encode_full(&self, tree: &Tree) -> Result<Vec<u8>, NodesError> {
        let empty = Node::empty().encode();
        let mut full = Writer::new();
        for id in tree.node_ids(self) {
            let id = id?;
            let built_in = (id == Tree::empty().root).then_some(empty.as_slice());
            full.bytes(built_in.or_else(|| self.encoded(&id)).ok_or(NodesError::Missing(id))?);
        }
        Ok(full.into_bytes())
    }

    /// How many bytes the full file has that this began with.
    pub(crate) fn full_bytes(&self) -> u64 {
        self.full.len() as u64
    }

    /// Takes over the nodes of another head of the same catalog.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (id, range) in other.in_full {
            if let Some(encoded) = other.full.get(range) {
                self.newer.entry(id).or_insert_with(|| encoded.to_vec());
            }
        }
        self.newer.extend(other.newer);
    }

    /// Adds nodes that an update made.
    pub(crate) fn add(&mut self, nodes: Vec<(NodeId, Vec<u8>)>) {
        self.newer.extend(nodes);
    }
}

impl Nodes for EncodedNodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
        let encoded = self.encoded(id).ok_or(NodesError::Missing(*id))?;
        let decoded = Node::decode(encoded).map_err(|reason| NodesError::Invalid { id: *id, reason })?;
        Ok(Arc::new(decoded))
    }
}

/// The nodes of one head, and what it took to get them.
pub(crate) struct HeadNodes {
    pub(crate) nodes: EncodedNodes,
    pub(crate) tree: Tree,
    /// The trees at the numbers asked for, where the line reaches back to them.
    pub(crate) trees: BTreeMap<u64, Tree>,
    /// The sequence number of the full file that this began with.
    pub(crate) full_seq: u64,
    /// How many bytes the diffs from head to head since then have.
    pub(crate) diff_bytes: u64,
}

/// Reads the nodes of a verified head, and on the way those of the heads numbered `stops`.
pub(crate) fn load(
    odi: &OdiFolder,
    trust: &TrustRoot,
    head: &Verified<Head>,
    stops: &[u64],
) -> Result<HeadNodes, Failure> {
    let line = line_to_full(odi, trust, head)?;
    let (full_seq, full_head) = *line.first().expect("a line has its head at least");
    let path = odi.full(full_head);
    let full =
        read_bounded(&path, FULL_BYTES_MAX)?.ok_or_else(|| Failure::NodesMissing { path: path.clone() })?;
    let mut nodes = EncodedNodes::index(full);
    let damaged = |source| Failure::Nodes { path: path.clone(), source };
    let root = if full_seq == head.seq { head.tree } else { tree_of(odi, full_seq)? };
    let mut tree = Tree::open(&nodes, root).map_err(damaged)?;
    let mut trees = BTreeMap::from([(full_seq, tree)]);
    for (from, to) in longest_steps(odi, &line, stops) {
        tree = step(odi, &mut nodes, &tree, from, to)?;
        trees.insert(to.0, tree);
    }
    if tree.root != head.tree {
        return Err(Failure::NodesMissing { path });
    }
    trees.retain(|seq, _| stops.contains(seq));
    let pairs = line.iter().zip(line.iter().skip(1));
    let diffs = pairs.map(|((_, from), (_, to))| fs::metadata(odi.diff(*from, *to)));
    let diff_bytes = diffs.map(|metadata| metadata.map_or(0, |metadata| metadata.len())).sum();
    Ok(HeadNodes { nodes, tree, trees, full_seq, diff_bytes })
}

/// The heads from the last one with a full file up to `head`, ascending.
fn line_to_full(
    odi: &OdiFolder,
    trust: &TrustRoot,
    head: &Verified<Head>,
) -> Result<Vec<(u64, HeadId)>, Failure> {
    let mut line = vec![(head.seq, head.id())];
    let mut prev = head.prev;
    while let Some((seq, id)) = line.last().copied() {
        if odi.full(id).exists() {
            break;
        }
        let missing = || Failure::NodesMissing { path: odi.full(id) };
        let before = trust.ancestor(seq.saturating_sub(1));
        let former = head_at(odi, before)?.ok_or_else(missing)?;
        if Some(former.id()) != prev {
            return Err(missing());
        }
        prev = former.claims().prev;
        line.push((before, former.id()));
    }
    line.reverse();
    Ok(line)
}

/// The diffs to apply, each as long as one that lies there and leaps over no stop.
fn longest_steps(odi: &OdiFolder, line: &[(u64, HeadId)], stops: &[u64]) -> Vec<(HeadId, (u64, HeadId))> {
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some((from_seq, from)) = line.get(at).copied() {
        let found = STEPS.iter().find_map(|step| {
            let next = at + usize::try_from(*step).ok()?;
            let to = line.get(next).copied()?;
            let leaps = stops.iter().any(|stop| (from_seq + 1..to.0).contains(stop));
            (*step == 1 || (!leaps && odi.diff(from, to.1).exists())).then_some((next, to))
        });
        let Some((next, to)) = found else { break };
        steps.push((from, to));
        at = next;
    }
    steps
}

fn step(
    odi: &OdiFolder,
    nodes: &mut EncodedNodes,
    tree: &Tree,
    from: HeadId,
    (seq, to): (u64, HeadId),
) -> Result<Tree, Failure> {
    let path = odi.diff(from, to);
    let bytes = read_bounded(&path, DIFF_BYTES_MAX as u64)?
        .ok_or_else(|| Failure::NodesMissing { path: path.clone() })?;
    let (_, ops) = decode_diff(&bytes).map_err(|source| Failure::Diff { path: path.clone(), source })?;
    let mut new = Vec::new();
    let next = apply_diff(nodes, &mut new as &mut dyn NodeSink, tree, &ops, &tree_of(odi, seq)?)
        .map_err(|source| Failure::Apply { path, source })?;
    nodes.add(new);
    Ok(next)
}

fn tree_of(odi: &OdiFolder, seq: u64) -> Result<NodeId, Failure> {
    let head = head_at(odi, seq)?.ok_or(Failure::NoSuchHead { seq })?;
    Ok(head.claims().tree)
}
