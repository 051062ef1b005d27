//! What a request's path means in a view: the one place where the state rules meet the trees.
//!
//! Synchronous, and it may read the store: callers run it where blocking is allowed.

use std::sync::Arc;

use odi_manifest::{BlobId, Entry, HeadId, Nodes, NodesError};

use super::view::{State, View};
use crate::state_rules::{AtHead, Meaning, meaning};

/// What a path means.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// An artifact.
    Artifact(Found),
    /// A folder of this state.
    Folder(Arc<State>),
    /// Withdrawn by its publisher.
    Withdrawn,
    /// No such thing.
    Absent,
}

/// An artifact, in the state that answers for it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The state that answers.
    pub state: Arc<State>,
    /// What it says of the path.
    pub entry: Entry,
    /// The servable heads at which the path names this blob, newest first.
    pub named_at: Vec<HeadId>,
    /// What the path names in other servable states, each once, newest first.
    pub others: Vec<Entry>,
    /// Whether the unpinned URL may answer with the bytes: no servable state says otherwise.
    pub settled: bool,
}

/// Whether an entry has been revoked, by path, blob and the sequence number of the head that has it.
pub type IsRevoked<'a> = &'a dyn Fn(&str, &BlobId, u64) -> bool;

/// What a path means in the newest served state, and in the former ones where that one has nothing.
///
/// # Errors
/// A node of a tree cannot be read.
pub fn in_newest(
    view: &View,
    nodes: &dyn Nodes,
    path: &str,
    is_revoked: IsRevoked<'_>,
) -> Result<Resolved, NodesError> {
    let mut entries = Vec::with_capacity(view.servable().len());
    let mut states = Vec::with_capacity(view.servable().len());
    for state in view.servable() {
        let entry = state.tree.get(nodes, path)?;
        states.push(at_head(path, entry.as_ref(), state, is_revoked));
        entries.push((Arc::clone(state), entry));
    }
    let (at, settled) = match meaning(&states) {
        Meaning::Settled(at) => (at, true),
        Meaning::Differs(at) | Meaning::Former(at) => (at, false),
        Meaning::Withdrawn => return Ok(Resolved::Withdrawn),
        Meaning::Absent => return folder(view.newest(), nodes, path),
    };
    let found = entries.get(at).and_then(|(state, entry)| Some((Arc::clone(state), entry.clone()?)));
    let Some((state, entry)) = found else { return Ok(Resolved::Absent) };
    let (named_at, others) = (named_at(&entries, &entry.blob), others(&entries, &entry.blob));
    Ok(Resolved::Artifact(Found { state, entry, named_at, others, settled }))
}

/// What a path means in one state. Relays that are full at other states with the same blob count as holders.
///
/// # Errors
/// A node of a tree cannot be read.
pub fn in_state(
    view: &View,
    state: &Arc<State>,
    nodes: &dyn Nodes,
    path: &str,
    is_revoked: IsRevoked<'_>,
) -> Result<Resolved, NodesError> {
    let entry = state.tree.get(nodes, path)?;
    match (at_head(path, entry.as_ref(), state, is_revoked), entry) {
        (AtHead::Revoked, _) => Ok(Resolved::Withdrawn),
        (AtHead::Blob(blob), Some(entry)) => {
            let mut entries = Vec::with_capacity(view.servable().len());
            for other in view.servable() {
                entries.push((Arc::clone(other), other.tree.get(nodes, path)?));
            }
            let (named_at, others) = (named_at(&entries, &blob), others(&entries, &blob));
            Ok(Resolved::Artifact(Found { state: Arc::clone(state), entry, named_at, others, settled: true }))
        }
        _ => folder(Some(state), nodes, path),
    }
}

fn at_head(path: &str, entry: Option<&Entry>, state: &State, is_revoked: IsRevoked<'_>) -> AtHead {
    match entry {
        None => AtHead::Nothing,
        Some(entry) if is_revoked(path, &entry.blob, state.head.seq) => AtHead::Revoked,
        Some(entry) => AtHead::Blob(entry.blob),
    }
}

fn named_at(entries: &[(Arc<State>, Option<Entry>)], blob: &BlobId) -> Vec<HeadId> {
    entries
        .iter()
        .filter(|(_, entry)| entry.as_ref().is_some_and(|entry| entry.blob == *blob))
        .map(|(state, _)| state.id)
        .collect()
}

fn others(entries: &[(Arc<State>, Option<Entry>)], blob: &BlobId) -> Vec<Entry> {
    let mut others: Vec<Entry> = Vec::new();
    for entry in entries.iter().filter_map(|(_, entry)| entry.as_ref()) {
        if entry.blob != *blob && others.iter().all(|known| known.blob != entry.blob) {
            others.push(entry.clone());
        }
    }
    others
}

fn folder(state: Option<&Arc<State>>, nodes: &dyn Nodes, path: &str) -> Result<Resolved, NodesError> {
    let Some(state) = state else { return Ok(Resolved::Absent) };
    // The top is a folder even of an empty catalog.
    let is_folder = path.is_empty() || !state.tree.list(nodes, path, None, 1)?.children.is_empty();
    Ok(if is_folder { Resolved::Folder(Arc::clone(state)) } else { Resolved::Absent })
}
