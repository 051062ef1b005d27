//! What the store keeps for this relay, and how dearly: what served heads name, and all their tree nodes.
//!
//! What is assigned under the newest head stays. What was assigned under a former one, or came because a client asked, goes when
//! room is needed, unless no other relay is known to keep it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use odi_manifest::{BlobId, HeadId, NodeId, Op, PublicKey, Timestamp, Tree};
use odi_store::{Keep, Live, StoreNodes};
use odi_wire::sync::CatalogState;

use crate::catalog::Catalog;
use crate::copies::Copies;
use crate::peers::Peers;

/// Blobs that came since a former head and are remembered; behind more, nobody counts as holding anything at that head.
const NEWER_MAX: usize = 65_536;

/// Everything that is needed, as of one moment.
pub struct Needed(Vec<(Arc<Catalog>, Copies)>);

impl Needed {
    /// What these catalogs need, and who else says that they hold it.
    #[must_use]
    pub fn new(catalogs: Vec<Arc<Catalog>>, peers: &Peers, me: &PublicKey, now: Timestamp) -> Self {
        let with_copies = |catalog: Arc<Catalog>| {
            let copies = Copies::new(&peers.of(catalog.id()), me, now);
            (catalog, copies)
        };
        Self(catalogs.into_iter().map(with_copies).collect())
    }

    /// Whether all trees can be read. Behind a damaged node lies what cannot be named.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.iter().all(|(catalog, _)| catalog.followed.mark_nodes(&mut |_| {}).is_ok())
    }
}

impl Live for Needed {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        for (catalog, copies) in &self.0 {
            blobs_of(catalog, copies, mark);
        }
    }

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        for (catalog, _) in &self.0 {
            if let Err(error) = catalog.followed.mark_nodes(mark) {
                tracing::warn!(catalog = %catalog.name, error = &error as &dyn std::error::Error, "a tree is damaged");
            }
        }
    }
}

fn blobs_of(catalog: &Catalog, copies: &Copies, mark: &mut dyn FnMut(&BlobId, Keep)) {
    let (nodes, assigned, state) = (catalog.followed.nodes(), catalog.assigned(), catalog.state());
    let Some((newest, former)) = state.retained().split_first() else { return };
    let newer = newer_than(&state, copies, &nodes);
    let named_then = |blob: &BlobId, head: &HeadId| {
        *head == newest.id || newer.get(head).is_some_and(|newer| !newer.contains(blob))
    };
    // An unreadable tree ends early, and the blobs behind it are fetched again: room first.
    for (_, entry) in newest.tree.iter(&nodes, None).map_while(Result::ok) {
        let blob = &entry.blob;
        let keep = if assigned.covers(blob) {
            Keep::Floor
        } else if copies.kept_elsewhere(blob, |head| named_then(blob, head)) {
            Keep::Spare
        } else {
            Keep::LastCopy
        };
        mark(blob, keep);
    }
    for older in former {
        for op in Tree::diff(&nodes, &newest.tree, &older.tree).map_while(Result::ok) {
            let Op::Put(_, entry) = op else { continue };
            let blob = &entry.blob;
            let keep = match (copies.kept_elsewhere(blob, |head| *head == older.id), assigned.covers(blob)) {
                (true, true) => Keep::Former,
                (true, false) => Keep::Spare,
                (false, _) => Keep::LastCopy,
            };
            mark(blob, keep);
        }
    }
}

/// For each former head at which somebody holds something, the blobs that came since.
fn newer_than(state: &CatalogState, copies: &Copies, nodes: &StoreNodes) -> HashMap<HeadId, HashSet<BlobId>> {
    let Some(newest) = state.newest() else { return HashMap::new() };
    let retained = |head: &&HeadId| state.retained().iter().skip(1).find(|former| former.id == **head);
    let since = |former: &Tree| {
        let mut newer = HashSet::new();
        for op in Tree::diff(nodes, former, &newest.tree) {
            if let Op::Put(_, entry) = op.ok()? {
                newer.insert(entry.blob);
            }
            if newer.len() > NEWER_MAX {
                return None;
            }
        }
        Some(newer)
    };
    let known = |head: &HeadId| Some((*head, since(&retained(&head)?.tree)?));
    copies.heads().filter_map(known).collect()
}
