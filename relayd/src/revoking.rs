//! Purging withdrawn content: its bytes go when no entry that still stands names them (promise P5 of ARCHITECTURE.md).
//!
//! Requests are refused by the revocation list itself, at once; what is done here takes the bytes off the disk. One task
//! walks the served trees on a blocking thread: at the start, and whenever heads change while anything is withdrawn. A walk that
//! fails is repeated until one ends well. So a crash at any step costs only another walk.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{BlobId, NodesError};
use odi_store::Store;
use odi_wire::message::prefix_of;
use odi_wire::off_worker::off_worker;
use tokio_util::sync::CancellationToken;

use crate::bell::{Bell, Ear};
use crate::catalog::Catalog;
use crate::relay::Relay;

/// Blobs that one walk remembers at most; where there are more, each half of the id space is walked by itself.
const SUSPECTS_MAX: usize = 65_536;
/// Before a walk is repeated that failed.
const RETRY: Duration = Duration::from_secs(60);

/// What the last walk found out about withdrawn content, and the bell that asks for the next.
#[derive(Debug, Default)]
pub struct Withdrawn {
    due: Bell,
    standing: Mutex<Standing>,
}

/// Blobs that one catalog has withdrawn while an entry of another stands.
#[derive(Debug, Default)]
struct Standing {
    /// Counts the lists seen: a walk over older ones must not speak for newer ones.
    lists: u64,
    /// The lists at which what nobody names any more was last asked to go.
    unnamed_gone: Option<u64>,
    blobs: HashSet<BlobId>,
}

impl Withdrawn {
    /// Notes that a catalog has another revocation list: nothing withdrawn counts as standing until the trees have been walked.
    pub fn list_changed(&self) {
        let mut standing = self.standing();
        standing.lists += 1;
        standing.blobs.clear();
        drop(standing);
        self.due.ring();
    }

    /// Notes that a catalog has another newest tree.
    pub fn tree_changed(&self) {
        self.due.ring();
    }

    /// Whether an entry that stands names this blob, which some catalog has withdrawn.
    #[must_use]
    pub fn stands(&self, blob: &BlobId) -> bool {
        self.standing().blobs.contains(blob)
    }

    /// Whether these lists are the first since what nobody names any more was asked to go.
    fn takes_unnamed(&self, lists: u64) -> bool {
        self.standing().unnamed_gone.replace(lists) != Some(lists)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Purges what is withdrawn until `stop`.
pub async fn run(relay: Arc<Relay>, stop: CancellationToken) {
    let purging = async {
        let mut due = relay.withdrawn.due.listen();
        let mut landed = relay.fill.withdrawn.listen();
        loop {
            if purge(&relay).await {
                either(&mut due, &mut landed).await;
            } else {
                let _ = tokio::time::timeout(RETRY, either(&mut due, &mut landed)).await;
            }
        }
    };
    stop.run_until_cancelled(purging).await;
}

async fn either(due: &mut Ear, landed: &mut Ear) {
    tokio::select! {
        () = due.rung() => {}
        () = landed.rung() => {}
    }
}

/// Purges what has been withdrawn and nothing names any more; false if something is left to do.
async fn purge(relay: &Relay) -> bool {
    if !relay.catalogs.revoke_anything() {
        return true;
    }
    let lists = relay.withdrawn.standing().lists;
    if relay.withdrawn.takes_unnamed(lists) {
        // A path may have been withdrawn whose last head is served no longer: nothing says which blob that was, and it
        // would be given out by its content for as long as there is room for it.
        relay.unneeded.ring();
    }
    let (store, catalogs) = (relay.store.clone(), relay.catalogs.all());
    let walked = off_worker(move || {
        let mut walk = Walk { store: &store, catalogs: &catalogs, found: Found::default() };
        let ended = walk.purge_between(0, u16::MAX);
        // Also after a walk that found nothing: the process may have ended between a purge and this.
        let compacted = store.compact();
        (walk.found, ended, compacted)
    });
    let (found, ended, compacted) = walked.await;
    if !found.purged.is_empty() {
        tracing::info!(count = found.purged.len(), "purged withdrawn blobs");
        announce_no_longer(relay, &found.purged);
    }
    if let Err(error) = &compacted {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "withdrawn bytes are dead, and still on disk"
        );
    }
    if let Err(error) = &ended {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "withdrawn blobs are refused, and not all purged"
        );
        return false;
    }
    let mut standing = relay.withdrawn.standing();
    if standing.lists == lists {
        standing.blobs = found.standing;
    }
    !found.failed && compacted.is_ok()
}

/// Passes begin anew, for a head that came meanwhile may name what has just gone.
fn announce_no_longer(relay: &Relay, purged: &[BlobId]) {
    for catalog in relay.catalogs.all() {
        purged.iter().for_each(|blob| catalog.accounts().lost(blob));
        catalog.changed.ring();
    }
    relay.announce.ring();
}

#[derive(Default)]
struct Found {
    purged: Vec<BlobId>,
    /// Withdrawn by content somewhere, and named by an entry that stands.
    standing: HashSet<BlobId>,
    /// Whether the store refused to purge a blob.
    failed: bool,
}

struct Walk<'w> {
    store: &'w Store,
    catalogs: &'w [Arc<Catalog>],
    found: Found,
}

impl Walk<'_> {
    /// Purges among the blobs whose ids have these prefixes, both included.
    fn purge_between(&mut self, low: u16, high: u16) -> Result<(), NodesError> {
        let inside = |blob: &BlobId| (low..=high).contains(&prefix_of(blob));
        let (mut suspects, mut too_many) = (HashSet::new(), false);
        each_entry(self.catalogs, |blob, revoked| {
            if revoked && inside(blob) && (self.store.contains(blob) || withdrawn_by_any(self.catalogs, blob))
            {
                suspects.insert(*blob);
                too_many |= suspects.len() > SUSPECTS_MAX;
            }
            !too_many || low == high
        })?;
        if too_many && low < high {
            let middle = low.midpoint(high);
            self.purge_between(low, middle)?;
            return self.purge_between(middle + 1, high);
        }
        let mut standing = HashSet::new();
        if !suspects.is_empty() {
            each_entry(self.catalogs, |blob, revoked| {
                if !revoked && suspects.remove(blob) {
                    standing.insert(*blob);
                }
                !suspects.is_empty()
            })?;
        }
        for blob in suspects.into_iter().filter(|blob| self.store.contains(blob)) {
            match self.store.purge(&blob) {
                Ok(()) => self.found.purged.push(blob),
                Err(error) => {
                    self.found.failed = true;
                    tracing::error!(%blob, error = &error as &dyn std::error::Error, "cannot purge");
                }
            }
        }
        // Beyond the limit the rest is refused by its content, and still served by its paths.
        let room = SUSPECTS_MAX.saturating_sub(self.found.standing.len());
        self.found.standing.extend(standing.into_iter().take(room));
        Ok(())
    }
}

fn withdrawn_by_any(catalogs: &[Arc<Catalog>], blob: &BlobId) -> bool {
    let withdraws = |catalog: &Arc<Catalog>| {
        catalog.state().revocations().is_some_and(|list| list.revokes_blob(blob).is_some())
    };
    catalogs.iter().any(withdraws)
}

/// Every entry of every served state of every catalog, and whether it has been withdrawn there; until `see` says enough.
fn each_entry(
    catalogs: &[Arc<Catalog>],
    mut see: impl FnMut(&BlobId, bool) -> bool,
) -> Result<(), NodesError> {
    for catalog in catalogs {
        let (state, nodes) = (catalog.state(), catalog.followed.nodes());
        for head in state.retained() {
            for item in head.tree.iter(&nodes, None) {
                let (path, entry) = item?;
                if !see(&entry.blob, state.revokes(path.as_str(), &entry, head.seq()).is_some()) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
