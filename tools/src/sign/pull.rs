//! Taking over what others published: roots, heads, diffs and nodes, verified, into a tree's `.odi/`. The tree's own
//! files are not touched; bring those up to date with whatever tool you like, then publish.
//!
//! Everything is staged as for a publish and `head` is replaced last. A head of ours that the server does not have is
//! given up only on request; it is noted in `.odi/voided`, and the next head voids it, so that whoever followed it
//! moves over.

use std::fmt;
use std::path::Path;

use odi_manifest::{
    CatalogId, DIFF_BYTES_MAX, FullError, FullReader, Head, HeadId, NodeId, NodeSink, NodesError,
    REVOCATION_BYTES_MAX, RevocationList, TrustRoot, Unverified, Verified, verify_named,
};
use odi_wire::layout::{HEADS_PER_PACK, LayoutPath, head_pack_of};
use serde::Serialize;
use url::Url;

use super::failure::Failure;
use super::history::{HEAD_BYTES_MAX, head_at, heads_in_pack};
use super::lock::TreeLock;
use super::manifest_nodes::FULL_BYTES_MAX;
use super::odi_folder::OdiFolder;
use super::pending;
use super::published::{Published, ROOT_BYTES_MAX};
use super::remote::{Place, Remote, RemoteError};
use super::retention;
use super::tree_disk::{Batch, TreeDisk};

/// What a pull brought.
#[derive(Debug, Serialize)]
pub(crate) struct PullOutcome {
    id: CatalogId,
    from: Option<u64>,
    seq: u64,
    head: HeadId,
    roots: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    gave_up: Option<HeadId>,
}

impl fmt::Display for PullOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.roots > 0 {
            writeln!(f, "Took over {} new roots of trust.", self.roots)?;
        }
        if let Some(head) = &self.gave_up {
            writeln!(f, "Gave up {head}; the next head voids it.")?;
        }
        if self.from == Some(self.seq) && self.gave_up.is_none() {
            return write!(f, "Head {} is the newest.", self.seq);
        }
        writeln!(f, "Took over head {}. Your files are as they were.", self.seq)?;
        write!(f, "Next: bring them up to date, then odi-sign publish TREE --key KEY")
    }
}

/// Follows a server's newest head.
pub(crate) fn pull(
    disk: &dyn TreeDisk,
    tree: &Path,
    url: &Url,
    replace: bool,
) -> Result<PullOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    let mut published = Published::load(&odi)?;
    let _lock = TreeLock::take(tree)?;
    pending::settle(disk, &odi, &mut published, true)?;
    let remote = Remote::new()?;
    let place = remote.locate(url, &published.catalog())?;
    let known_roots = published.trust.roots().len();
    pull_roots(&remote, &place, &mut published.trust)?;
    let theirs = newest(&remote, &place, &published.trust)?;
    let line = pull_line(&remote, &place, &odi, &published.trust, &theirs)?;
    let ours = published.former.as_ref();
    let gave_up = settle_fork(ours, &line, &theirs, url, replace)?;

    let mut batch = Batch::new(disk);
    for root in published.trust.roots().iter().skip(known_roots) {
        batch.stage(odi.root(root.version), &root.encode())?;
    }
    stage_line(&remote, &place, &odi, &line, &mut batch)?;
    if let Some(head) = gave_up {
        batch.stage(odi.voided(), format!("{head}\n").as_bytes())?;
    }
    batch.commit()?;
    let from = ours.map(|head| head.seq);
    let is_newer = !line.heads.is_empty();
    if is_newer {
        pending::install(disk, &odi, &theirs)?;
        retention::drop_old_manifests(disk, &odi, &published.trust, &theirs)?;
    }
    let (seq, head) = match ours {
        Some(ours) if !is_newer => (ours.seq, ours.id()),
        _ => (theirs.seq, theirs.id()),
    };
    let roots = published.trust.roots().len() - known_roots;
    Ok(PullOutcome { id: published.catalog(), from, seq, head, roots, gave_up })
}

fn newest(remote: &Remote, place: &Place, trust: &TrustRoot) -> Result<Verified<Head>, Failure> {
    let url = place.item(LayoutPath::Head);
    let head = remote.head(place)?.ok_or_else(|| not_a(&url, "head"))?;
    trust.verify_head(&head).map_err(|source| Failure::HeadRefused { path: url.as_str().into(), source })
}

/// Takes over the roots that follow those known.
pub(crate) fn pull_roots(remote: &Remote, place: &Place, trust: &mut TrustRoot) -> Result<(), Failure> {
    loop {
        let url = place.item(LayoutPath::Root(trust.root().version + 1));
        let Some(bytes) = remote.get(&url, ROOT_BYTES_MAX)? else { return Ok(()) };
        let next = Unverified::decode(&bytes).map_err(|_| not_a(&url, "root of trust"))?;
        trust.rotate(&next).map_err(|source| Failure::RootRefused { path: url.as_str().into(), source })?;
    }
}

/// The heads of a server that this tree does not have.
struct Line {
    /// Newest first, each named by the one before it.
    heads: Vec<Verified<Head>>,
    /// The sequence number from which both histories are the same; 0 if they share nothing.
    joins: u64,
}

/// Walks back from their newest head until it meets a head that lies here.
fn pull_line(
    remote: &Remote,
    place: &Place,
    odi: &OdiFolder,
    trust: &TrustRoot,
    newest: &Verified<Head>,
) -> Result<Line, Failure> {
    let mut heads = Vec::new();
    let mut at = newest.clone();
    let mut pack = (u64::MAX, Vec::new());
    loop {
        let here = head_at(odi, at.seq)?;
        if here.is_some_and(|here| here.id() == at.id()) {
            return Ok(Line { joins: at.seq, heads });
        }
        let (prev, before) = (at.prev, trust.ancestor(at.seq - 1));
        heads.push(at);
        let Some(prev) = prev.filter(|_| before > 0) else { return Ok(Line { joins: 0, heads }) };
        at = fetch_head(remote, place, before, &prev, &mut pack)?;
    }
}

/// A head that a verified one names: a file of its own, or in the pack of its number.
fn fetch_head(
    remote: &Remote,
    place: &Place,
    seq: u64,
    id: &HeadId,
    pack: &mut (u64, Vec<Unverified<Head>>),
) -> Result<Verified<Head>, Failure> {
    let url = place.item(LayoutPath::HeadAt(seq));
    let wrong = || not_a(&url, "head of this history");
    let number = head_pack_of(seq);
    if pack.0 != number
        && let Some(bytes) = remote.get(&url, HEAD_BYTES_MAX)?
    {
        let head = Unverified::decode(&bytes).map_err(|_| wrong())?;
        return verify_named(&head, id).map_err(|_| wrong());
    }
    if pack.0 != number {
        let url = place.item(LayoutPath::HeadPack(number));
        let bytes = remote.get(&url, HEAD_BYTES_MAX * HEADS_PER_PACK)?.ok_or_else(wrong)?;
        *pack = (number, heads_in_pack(&bytes).map_err(|_| wrong())?);
    }
    let head = pack.1.iter().find(|head| head.claims().seq == seq).ok_or_else(wrong)?;
    verify_named(head, id).map_err(|_| wrong())
}

/// What becomes of our head: nothing if theirs descends from it or its epoch is over; given up if the maintainer says so.
fn settle_fork(
    ours: Option<&Verified<Head>>,
    line: &Line,
    theirs: &Verified<Head>,
    url: &Url,
    replace: bool,
) -> Result<Option<HeadId>, Failure> {
    let Some(ours) = ours.filter(|ours| !line.heads.is_empty() && line.joins < ours.seq) else {
        return Ok(None);
    };
    if theirs.epoch > ours.epoch {
        return Ok(None);
    }
    if replace {
        return Ok(Some(ours.id()));
    }
    let (url, seq) = (url.to_string(), ours.seq.min(theirs.seq));
    Err(Failure::Diverged { url, seq, theirs: theirs.id(), ours: ours.id() })
}

/// Fetches and stages what the heads of a line name, from the newest back to the first full file or to what is here.
fn stage_line(
    remote: &Remote,
    place: &Place,
    odi: &OdiFolder,
    line: &Line,
    batch: &mut Batch<'_>,
) -> Result<(), Failure> {
    let mut has_nodes = false;
    for head in &line.heads {
        batch.stage(odi.head_at(head.seq), &head.encode())?;
        if let Some(id) = head.revocations {
            let item = LayoutPath::Revocations(id);
            let url = place.item(item);
            let bytes = remote.get(&url, REVOCATION_BYTES_MAX as u64)?;
            let list = bytes.filter(|bytes| RevocationList::decode(bytes).is_ok_and(|list| list.id() == id));
            batch.stage(odi.item(item), &list.ok_or_else(|| not_a(&url, "revocation list"))?)?;
        }
        if has_nodes {
            continue;
        }
        let full = place.item(LayoutPath::Full(head.id()));
        if let Some(bytes) = remote.get(&full, FULL_BYTES_MAX)? {
            check_full(head, &bytes).map_err(|_| not_a(&full, "manifest of its head"))?;
            batch.stage(odi.full(head.id()), &bytes)?;
            has_nodes = true;
        } else if let Some(prev) = head.prev {
            let diff = place.item(LayoutPath::Diff { from: prev, to: head.id() });
            let bytes = remote.get(&diff, DIFF_BYTES_MAX as u64)?;
            batch.stage(odi.diff(prev, head.id()), &bytes.ok_or_else(|| not_a(&diff, "diff"))?)?;
        }
    }
    Ok(())
}

/// A full file is kept only if it is the manifest that the head names.
fn check_full(head: &Head, bytes: &[u8]) -> Result<(), FullError> {
    struct Nowhere;
    impl NodeSink for Nowhere {
        fn put(&mut self, _id: NodeId, _encoded: Vec<u8>) -> Result<(), NodesError> {
            Ok(())
        }
    }
    let mut reader = FullReader::new(head.tree);
    reader.feed(bytes, &mut Nowhere)?;
    reader.finish().map(|_| ())
}

fn not_a(url: &Url, what: &'static str) -> Failure {
    RemoteError::NotA { url: Box::new(url.clone()), what }.into()
}
