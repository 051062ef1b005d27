//! Looking at a catalog without changing it: status, log, ls, diff. Nothing here takes the lock.

use std::fmt;
use std::path::Path;

use odi_manifest::{
    CatalogId, Child, Head, HeadId, Op, Timestamp, Tree, TreeError, TrustRoot, Unverified, Verified,
};
use serde::Serialize;

use super::failure::Failure;
use super::history::{ancestor, head_at};
use super::manifest_nodes::{self, HeadNodes};
use super::odi_folder::OdiFolder;
use super::outcome::{counted, size};
use super::pending::{self, Pending};
use super::published::Published;

/// How many children of a folder are listed at once.
const LISTING_MAX: usize = 1000;

/// What the newest head says.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    id: CatalogId,
    name: String,
    seq: u64,
    head: HeadId,
    pin: String,
    epoch: u64,
    entries: u64,
    bytes: u64,
    created: Timestamp,
    expires: Timestamp,
    expired: bool,
    root: u64,
    root_expires: Timestamp,
    origins: Vec<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
}

/// A head that waits for signatures.
#[derive(Debug, Serialize)]
struct Waiting {
    seq: u64,
    signatures: usize,
    threshold: usize,
}

/// Reads a tree's status.
pub(crate) fn status(tree: &Path, now: Timestamp) -> Result<Status, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    let head = published.head(&odi)?;
    let waiting = match pending::look(&odi, &published)? {
        Pending::Waiting { head, have, need } => {
            Some(Waiting { seq: head.claims().seq, signatures: have, threshold: need })
        }
        Pending::Nothing | Pending::Complete(_) | Pending::Obsolete => None,
    };
    let root = published.trust.root();
    Ok(Status {
        id: published.catalog(),
        name: root.name.clone(),
        seq: head.seq,
        head: head.id(),
        pin: head.pin().to_string(),
        epoch: head.epoch,
        entries: head.entries,
        bytes: head.bytes,
        created: head.created,
        expires: head.expires,
        expired: head.expires <= now || root.expires <= now,
        root: root.version,
        root_expires: root.expires,
        origins: head.origins.clone(),
        tags: head.meta.tags.clone(),
        waiting,
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} head {}", self.name, self.seq)?;
        writeln!(f, "  catalog   {}", self.id)?;
        writeln!(f, "  head      {}", self.head)?;
        writeln!(f, "  pin       {}", self.pin)?;
        writeln!(f, "  holds     {}, {}", counted(self.entries, "artifact"), size(self.bytes))?;
        writeln!(f, "  published {}", self.created)?;
        let stale = if self.expired { ", EXPIRED" } else { "" };
        writeln!(f, "  good till {}{stale}", self.expires)?;
        write!(f, "  root      {} of epoch {}, good till {}", self.root, self.epoch, self.root_expires)?;
        for origin in &self.origins {
            write!(f, "\n  origin    {origin}")?;
        }
        if !self.tags.is_empty() {
            write!(f, "\n  tags      {}", self.tags.join(" "))?;
        }
        if let Some(Waiting { seq, signatures, threshold }) = &self.waiting {
            write!(f, "\n  head {seq} waits: {signatures} of {threshold} signatures")?;
        }
        Ok(())
    }
}

/// A list of things that are shown one per line.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Lines<T>(Vec<T>);

impl<T: fmt::Display> fmt::Display for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

/// One head in the log.
#[derive(Debug, Serialize)]
pub(crate) struct Logged {
    seq: u64,
    head: HeadId,
    created: Timestamp,
    expires: Timestamp,
    entries: u64,
    bytes: u64,
    labels: Vec<String>,
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seq, entries) = (self.seq, self.entries);
        write!(f, "{seq:>6}  {}  {entries:>8} artifacts  {:>10}", self.created, size(self.bytes))?;
        if !self.labels.is_empty() {
            write!(f, "  ({})", self.labels.join(", "))?;
        }
        Ok(())
    }
}

/// The newest `count` heads, newest first.
pub(crate) fn log(tree: &Path, count: usize) -> Result<Lines<Logged>, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    let newest = published.head(&odi)?;
    let mut lines = Vec::new();
    let mut at: Unverified<Head> = newest.unverified();
    while lines.len() < count {
        let (id, head) = (at.id(), at.claims());
        let named = newest.labels.iter().filter(|label| label.seq == head.seq);
        let labels = named.map(|label| label.name.clone()).collect();
        lines.push(Logged {
            seq: head.seq,
            head: id,
            created: head.created,
            expires: head.expires,
            entries: head.entries,
            bytes: head.bytes,
            labels,
        });
        let before = published.trust.ancestor(head.seq.saturating_sub(1));
        match head_at(&odi, before)? {
            Some(former) if Some(former.id()) == head.prev => at = former,
            Some(_) => return Err(Failure::NoSuchHead { seq: before }),
            None => break,
        }
    }
    Ok(Lines(lines))
}

/// One line of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Listed {
    fn artifact(path: String, entry: &odi_manifest::Entry) -> Self {
        Self {
            path,
            size: Some(entry.size),
            mtime: Some(entry.mtime),
            blob: Some(entry.blob.to_string()),
            sha256: Some(entry.sha256.to_string()),
        }
    }

    const fn folder(path: String) -> Self {
        Self { path, size: None, mtime: None, blob: None, sha256: None }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.size, self.mtime) {
            (Some(size), Some(mtime)) => {
                write!(f, "{size:>14}  {}  {}", Timestamp(mtime), self.path)
            }
            _ => write!(f, "{:>14}  {:20}  {}/", "", "", self.path),
        }
    }
}

/// What lies in a folder of the newest head, or everything below it, or one file.
pub(crate) fn ls(tree: &Path, path: &str, recursive: bool) -> Result<Lines<Listed>, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    let HeadNodes { nodes, tree, .. } =
        manifest_nodes::load(&odi, &published.trust, published.head(&odi)?, &[])?;
    let unusable = |source| Failure::Manifest(TreeError::Nodes(source));
    let folder = path.trim_end_matches('/');
    if let Some(entry) = tree.get(&nodes, folder).map_err(unusable)? {
        return Ok(Lines(vec![Listed::artifact(folder.to_owned(), &entry)]));
    }
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut lines = Vec::new();
    if recursive {
        for entry in tree.iter(&nodes, (!prefix.is_empty()).then_some(prefix.as_str())) {
            let (path, entry) = entry.map_err(unusable)?;
            if !path.as_str().starts_with(&prefix) {
                break;
            }
            lines.push(Listed::artifact(path.to_string(), &entry));
        }
        return there(lines, folder);
    }
    let mut after: Option<String> = None;
    loop {
        let listing = tree.list(&nodes, folder, after.as_deref(), LISTING_MAX).map_err(unusable)?;
        for child in &listing.children {
            let path = format!("{prefix}{}", child.name());
            lines.push(match child {
                Child::Artifact { entry, .. } => Listed::artifact(path, entry),
                Child::Folder { .. } => Listed::folder(path),
            });
        }
        match listing.next {
            Some(next) => after = Some(next),
            None => return there(lines, folder),
        }
    }
}

/// What lies in a folder: a catalog has no empty ones, except for its top.
fn there(lines: Vec<Listed>, folder: &str) -> Result<Lines<Listed>, Failure> {
    if lines.is_empty() && !folder.is_empty() {
        return Err(Failure::NoSuchPath { path: folder.to_owned() });
    }
    Ok(Lines(lines))
}

/// One difference between two heads.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    change: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.change {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        write!(f, "{mark} {}", self.path)
    }
}

/// What differs between two heads; by default the newest and the one before it.
pub(crate) fn diff(tree: &Path, from: Option<u64>, to: Option<u64>) -> Result<Lines<Difference>, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    let trust = &published.trust;
    let newest = published.head(&odi)?;
    let to = ancestor(&odi, trust, newest, to.unwrap_or(newest.seq))?;
    let from = from.unwrap_or_else(|| trust.ancestor(to.seq.saturating_sub(1)));
    let HeadNodes { mut nodes, tree: to_tree, .. } = load_old(&odi, trust, &to)?;
    let from_tree = if from == 0 {
        Tree::empty()
    } else {
        let from = load_old(&odi, trust, &ancestor(&odi, trust, newest, from)?)?;
        nodes.absorb(from.nodes);
        from.tree
    };
    let unusable = |source| Failure::Manifest(TreeError::Nodes(source));
    let mut lines = Vec::new();
    for op in Tree::diff(&nodes, &from_tree, &to_tree) {
        lines.push(match op.map_err(unusable)? {
            Op::Remove(path) => Difference { change: "removed", path: path.to_string(), size: None },
            Op::Put(path, entry) => {
                let was = from_tree.get(&nodes, path.as_str()).map_err(unusable)?;
                let change = if was.is_some() { "changed" } else { "added" };
                Difference { change, path: path.to_string(), size: Some(entry.size) }
            }
        });
    }
    Ok(Lines(lines))
}

/// The nodes of a head that may be so old that its manifest was dropped.
fn load_old(odi: &OdiFolder, trust: &TrustRoot, head: &Verified<Head>) -> Result<HeadNodes, Failure> {
    manifest_nodes::load(odi, trust, head, &[]).map_err(|failure| match failure {
        Failure::NodesMissing { .. } => Failure::NotKept { seq: head.seq },
        other => other,
    })
}
