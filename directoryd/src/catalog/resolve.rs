//! What a request's path means in a view: the one place where the state rules meet the trees.
//!
//! Synchronous, and it may read the store: callers run it where blocking is allowed, or on nodes that are in memory.

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
    /// The known heads at which the path names this blob: whoever is full at one of them holds it. Relays are sometimes ahead of
    /// what is served here, and stop at states that never were.
    pub named_at: Vec<HeadId>,
    /// Those of them that are servable, newest first: clients may be sent to their pins.
    pub pins: Vec<HeadId>,
    /// What the path names in other servable states, each once, newest first.
    pub others: Vec<Entry>,
    /// Whether the unpinned URL may answer with the bytes: no servable state says otherwise, and none ever replaced them, as far as
    /// this directory has seen.
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
    let entries = entries(view.servable(), nodes, path)?;
    let at_heads =
        |(state, entry): &(Arc<State>, Option<Entry>)| at_head(path, entry.as_ref(), state, is_revoked);
    let states: Vec<AtHead> = entries.iter().map(at_heads).collect();
    let (at, settled) = match meaning(&states) {
        // A state that waits counts already: it may be served before the client has what the answer names.
        Meaning::Settled(at) => (at, !view.mutable().contains(path)),
        Meaning::Differs(at) | Meaning::Former(at) => (at, false),
        Meaning::Withdrawn => return Ok(Resolved::Withdrawn),
        Meaning::Absent => return folder(view.newest(), nodes, path),
    };
    let named = entries.get(at).and_then(|(state, entry)| Some((Arc::clone(state), entry.clone()?)));
    let Some((state, entry)) = named else { return Ok(Resolved::Absent) };
    Ok(Resolved::Artifact(found(view, nodes, path, Answer { state, entry, settled }, &entries)?))
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
        (AtHead::Blob(_), Some(entry)) => {
            let entries = entries(view.servable(), nodes, path)?;
            let answer = Answer { state: Arc::clone(state), entry, settled: true };
            Ok(Resolved::Artifact(found(view, nodes, path, answer, &entries)?))
        }
        _ => folder(Some(state), nodes, path),
    }
}

/// The state that answers, and with what.
struct Answer {
    state: Arc<State>,
    entry: Entry,
    settled: bool,
}

/// What states have at a path.
type Entries = Vec<(Arc<State>, Option<Entry>)>;

fn entries<'a>(
    states: impl Iterator<Item = &'a Arc<State>>,
    nodes: &dyn Nodes,
    path: &str,
) -> Result<Entries, NodesError> {
    states.map(|state| Ok((Arc::clone(state), state.tree.get(nodes, path)?))).collect()
}

/// With where else that is named; `servable` is what the servable states have at the path.
fn found(
    view: &View,
    nodes: &dyn Nodes,
    path: &str,
    answer: Answer,
    servable: &Entries,
) -> Result<Found, NodesError> {
    let Answer { state, entry, settled } = answer;
    let pins = named_at(servable, &entry.blob);
    let mut known = entries(view.pending().chain(view.overtaken()), nodes, path)?;
    known.retain(|(_, other)| other.as_ref().is_some_and(|other| other.blob == entry.blob));
    let named_at = pins.iter().copied().chain(known.iter().map(|(state, _)| state.id)).collect();
    let others = others(servable, &entry.blob);
    Ok(Found { state, entry, named_at, pins, others, settled })
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
