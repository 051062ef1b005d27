//! The manifest of the next head, and the files from which followers get it: diffs and, now and then, all nodes.
//!
//! Kept are the diff from the former head, always; at every 4th, 16th and 64th number the diff from as many heads
//! before, so that who comes back after a while takes few steps; and a full file once the diffs since the last one
//! exceed a quarter of it.

use std::collections::BTreeMap;

use odi_manifest::{
    ArtifactPath, DIFF_BYTES_MAX, DiffHeader, Entry, Head, NodeSink, NodesError, Op, Tree, TreeError,
    TrustRoot, Unverified, Verified, diff_fits, encode_diff,
};

use super::failure::Failure;
use super::history::ancestor;
use super::manifest_nodes::{self, EncodedNodes, HeadNodes, STEPS};
use super::odi_folder::OdiFolder;
use super::published::Published;
use super::tree_disk::Batch;

/// However small the diffs, reading a head's nodes takes no more steps than this.
const HEADS_PER_FULL_MAX: u64 = 1024;

/// A manifest in the making.
pub(crate) struct NextManifest {
    former: Option<Former>,
    nodes: EncodedNodes,
    /// The new tree.
    pub(crate) tree: Tree,
    ops: Vec<Op>,
}

struct Former {
    head: Verified<Head>,
    /// Trees of retained heads by sequence number.
    trees: BTreeMap<u64, Tree>,
    full_seq: u64,
    full_bytes: u64,
    diff_bytes: u64,
}

impl NextManifest {
    /// The manifest of the former head, to change or to keep; the empty one before the first head.
    pub(crate) fn begin(odi: &OdiFolder, published: &Published) -> Result<Self, Failure> {
        let empty =
            Self { former: None, nodes: EncodedNodes::default(), tree: Tree::empty(), ops: Vec::new() };
        let Some(head) = &published.former else { return Ok(empty) };
        let next = head.seq.saturating_add(1);
        let stops: Vec<u64> = steps_to(next).map(|step| next - step).collect();
        let HeadNodes { nodes, tree, trees, full_seq, diff_bytes } =
            manifest_nodes::load(odi, &published.trust, head, &stops)?;
        let full_bytes = nodes.full_bytes();
        let former = Former { head: head.clone(), trees, full_seq, full_bytes, diff_bytes };
        Ok(Self { former: Some(former), nodes, tree, ops: Vec::new() })
    }

    /// The entries of the manifest as it is now, ascending by path.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<(ArtifactPath, Entry), Failure>> {
        let entries = self.tree.iter(&self.nodes, None);
        entries.map(|entry| entry.map_err(unusable))
    }

    /// Applies these operations, ascending by path.
    pub(crate) fn change(&mut self, ops: Vec<Op>) -> Result<(), Failure> {
        if ops.is_empty() {
            return Ok(());
        }
        let mut new = Vec::new();
        self.tree = if self.tree.entries == 0 {
            let artifacts = ops.iter().filter_map(|op| match op {
                Op::Put(path, entry) => Some((path.clone(), entry.clone())),
                Op::Remove(_) => None,
            });
            Tree::build(artifacts, &mut new)
        } else {
            self.tree.update(&self.nodes, &mut new as &mut dyn NodeSink, &ops)
        }
        .map_err(Failure::Manifest)?;
        self.nodes.add(new);
        self.ops = ops;
        Ok(())
    }

    /// Stages the files of the head that names this manifest. Returns whether a full file is among them.
    pub(crate) fn stage(
        &self,
        batch: &mut Batch<'_>,
        odi: &OdiFolder,
        trust: &TrustRoot,
        head: &Unverified<Head>,
    ) -> Result<bool, Failure> {
        let (to, seq) = (head.id(), head.claims().seq);
        let mut diff_bytes = 0;
        let mut wants_full = false;
        if let Some(former) = &self.former {
            let from = former.head.id();
            let header = DiffHeader { cat: *trust.catalog(), from, to, n: self.ops.len() as u64 };
            let diff = encode_diff(&header, &self.ops);
            diff_bytes = former.diff_bytes + diff.len() as u64;
            // A diff that no follower would read is not written; they take the full file.
            wants_full = diff.len() > DIFF_BYTES_MAX || !diff_fits(&self.ops);
            if !wants_full {
                batch.stage(odi.diff(from, to), &diff)?;
            }
            for step in steps_to(seq).filter(|step| former.head.seq + 1 == seq && *step > 1) {
                self.stage_skip(batch, odi, trust, head, former, step)?;
            }
        }
        wants_full |= self.former.as_ref().is_none_or(|former| {
            diff_bytes > former.full_bytes / 4 || seq - former.full_seq >= HEADS_PER_FULL_MAX
        });
        if wants_full {
            let full = self.nodes.encode_full(&self.tree).map_err(unusable)?;
            batch.stage(odi.full(to), &full)?;
        }
        Ok(wants_full)
    }

    /// Stages the diff over `step` heads, if the older tree's nodes are at hand and no epoch lies between.
    fn stage_skip(
        &self,
        batch: &mut Batch<'_>,
        odi: &OdiFolder,
        trust: &TrustRoot,
        head: &Unverified<Head>,
        former: &Former,
        step: u64,
    ) -> Result<(), Failure> {
        let from_seq = head.claims().seq - step;
        let Some(from_tree) = former.trees.get(&from_seq) else { return Ok(()) };
        let from = ancestor(odi, trust, &former.head, from_seq)?.id();
        let ops: Vec<Op> =
            Tree::diff(&self.nodes, from_tree, &self.tree).collect::<Result<_, _>>().map_err(unusable)?;
        let header = DiffHeader { cat: *trust.catalog(), from, to: head.id(), n: ops.len() as u64 };
        let diff = encode_diff(&header, &ops);
        if diff.len() <= DIFF_BYTES_MAX && diff_fits(&ops) {
            batch.stage(odi.diff(from, head.id()), &diff)?;
        }
        Ok(())
    }
}

const fn unusable(source: NodesError) -> Failure {
    Failure::Manifest(TreeError::Nodes(source))
}

/// The steps that end at this sequence number.
fn steps_to(seq: u64) -> impl Iterator<Item = u64> {
    STEPS.into_iter().filter(move |step| seq.is_multiple_of(*step) && seq > *step)
}
