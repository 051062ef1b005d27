//! Finding what is missing: passes over a catalog's manifest against the store.
//!
//! A pass walks the newest tree in path order, a bounded batch at a time on a blocking thread, asks the filler for what is assigned
//! and not held, and keeps the account from which inventories are made. Passes follow each other until one finds nothing
//! missing; then only a new head, a new assignment or a loss starts another. So no list of missing blobs is ever kept.
//! What has been withdrawn is neither asked for nor missed: without it a catalog is whole.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, Entry, NodesError, Op, Tree};
use odi_store::Store;
use odi_wire::off_worker::off_worker;
use odi_wire::sync::{CatalogState, RetainedHead};
use tokio_util::sync::CancellationToken;

use crate::bell::{Bell, Ear};
use crate::catalog::{Assigned, Catalog};
use crate::fill::{Fill, Job};
use crate::queue::{Lane, Pushed};
use odi_wire::denylist::Denied;

/// Missing entries that one batch returns at most, and entries that it looks at at most.
const BATCH: (usize, usize) = (512, 32_768);
/// Of replaced blobs that only older heads name, how many are looked at per head.
const REPLACED_MAX: usize = 4096;
/// Between two passes at most while anything is missing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two passes of which the first left something missing.
const PAUSE: Duration = Duration::from_secs(5);

/// The passes of one catalog.
pub struct Scan {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Where its nodes and blobs are.
    pub store: Store,
    /// Who fetches.
    pub fill: Arc<Fill>,
    /// Rung when there is something new to announce.
    pub announce: Arc<Bell>,
    /// What the operator denies.
    pub denied: Arc<Denied>,
}

/// How a pass ended.
enum Pass {
    Complete,
    LeftMissing,
    Overtaken,
}

/// What one batch found.
struct Batch {
    missing: Vec<(ArtifactPath, Entry)>,
    held_plus: Vec<BlobId>,
    /// Denied by the operator.
    denied: Vec<BlobId>,
    next: Option<ArtifactPath>,
}

impl Scan {
    /// Passes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.passes()).await;
    }

    async fn passes(&self) {
        let mut former: Option<Tree> = None;
        let mut changed = self.catalog.changed.listen();
        loop {
            let state = self.catalog.state();
            let Some(head) = state.newest() else {
                changed.rung().await;
                continue;
            };
            let assigned = self.catalog.assigned();
            let ended = self.pass(&state, head, &assigned, former.as_ref()).await;
            former = Some(head.tree);
            self.announce.ring();
            match ended {
                Ok(Pass::Overtaken) => {}
                Ok(Pass::Complete) => changed.rung().await,
                Ok(Pass::LeftMissing) => self.while_filling(&mut changed).await,
                Err(error) => {
                    tracing::warn!(
                        catalog = %self.catalog.name, error = &error as &dyn std::error::Error,
                        "cannot read the manifest"
                    );
                    let _ = tokio::time::timeout(PAUSE, changed.rung()).await;
                }
            }
        }
    }

    /// Until what was asked for has arrived or failed, and at least a moment; a change cuts it short.
    async fn while_filling(&self, changed: &mut Ear) {
        let mut filled = self.fill.listen();
        let filling = async {
            while !self.catalog.is_complete() && !self.fill.is_idle() {
                let _ = tokio::time::timeout(PAUSE, filled.rung()).await;
            }
            if !self.catalog.is_complete() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        // Another catalog's long fill must not keep this one from trying again.
        tokio::select! {
            _ = tokio::time::timeout(PATIENCE, filling) => {}
            () = changed.rung() => {}
        }
    }

    async fn pass(
        &self,
        state: &Arc<CatalogState>,
        head: &Arc<RetainedHead>,
        assigned: &Arc<Assigned>,
        former: Option<&Tree>,
    ) -> Result<Pass, NodesError> {
        {
            let mut accounts = self.catalog.accounts();
            accounts.keep_only(state.retained());
            accounts.begin_pass(head, assigned.ranges.clone());
        }
        if let Some(former) = former.filter(|former| former.root != head.tree.root) {
            self.ask_for_news(state, head, assigned, *former).await?;
        }
        let mut missing_bytes = 0_u64;
        let mut after = None;
        loop {
            let batch = self.batch(state, head, assigned, after).await?;
            for blob in &batch.held_plus {
                if let Some(counting) = self.catalog.accounts().counting() {
                    counting.retains(blob);
                }
            }
            for blob in &batch.denied {
                if let Some(counting) = self.catalog.accounts().counting() {
                    counting.excludes(blob);
                }
            }
            for (path, entry) in batch.missing {
                missing_bytes = missing_bytes.saturating_add(entry.size);
                if let Some(counting) = self.catalog.accounts().counting() {
                    counting.lacks(&entry.blob);
                }
                let hot = assigned.plus.binary_search(&entry.blob).is_ok();
                let lane = if hot { Lane::hot(entry.size) } else { Lane::by_size(entry.size) };
                self.ask(Job::new(&self.catalog, head, path, &entry), lane).await;
            }
            let overtaken = self.catalog.state().newest().is_none_or(|now| now.id != head.id)
                || self.catalog.assigned() != *assigned;
            if overtaken {
                return Ok(Pass::Overtaken);
            }
            after = batch.next;
            if after.is_none() {
                break;
            }
        }
        self.count_replaced(state).await?;
        self.catalog.accounts().end_pass(missing_bytes);
        Ok(if missing_bytes == 0 { Pass::Complete } else { Pass::LeftMissing })
    }

    /// What the newest head changed goes ahead of everything that was missing before: clients ask for it next.
    async fn ask_for_news(
        &self,
        state: &Arc<CatalogState>,
        head: &RetainedHead,
        assigned: &Arc<Assigned>,
        former: Tree,
    ) -> Result<(), NodesError> {
        let (store, assigned, tree) = (self.store.clone(), Arc::clone(assigned), head.tree);
        let (state, seq) = (Arc::clone(state), head.seq());
        let (denied, name) = (self.denied.list(), self.catalog.name.clone());
        let news = off_worker(move || {
            let nodes = store.nodes();
            let mut news = Vec::new();
            for op in Tree::diff(&nodes, &former, &tree).take(BATCH.1) {
                if let Op::Put(path, entry) = op?
                    && assigned.covers(&entry.blob)
                    && state.revokes(path.as_str(), &entry, seq).is_none()
                    && !denied.denies(name.as_str(), path.as_str(), &entry)
                    && !store.contains(&entry.blob)
                {
                    news.push((path, entry));
                }
            }
            Ok(news)
        })
        .await?;
        for (path, entry) in news.into_iter().take(BATCH.0) {
            let lane = Lane::hot(entry.size);
            self.ask(Job::new(&self.catalog, head, path, &entry), lane).await;
        }
        Ok(())
    }

    async fn ask(&self, job: Job, lane: Lane) {
        self.catalog.introduction.wait().await;
        loop {
            let room = self.fill.room();
            if self.fill.ask(job.clone(), lane) != Pushed::Full {
                return;
            }
            room.await;
        }
    }

    async fn batch(
        &self,
        state: &Arc<CatalogState>,
        head: &RetainedHead,
        assigned: &Arc<Assigned>,
        after: Option<ArtifactPath>,
    ) -> Result<Batch, NodesError> {
        let (store, assigned) = (self.store.clone(), Arc::clone(assigned));
        let (state, tree, seq) = (Arc::clone(state), head.tree, head.seq());
        let (denied, name) = (self.denied.list(), self.catalog.name.clone());
        off_worker(move || {
            let nodes = store.nodes();
            let mut batch =
                Batch { missing: Vec::new(), held_plus: Vec::new(), denied: Vec::new(), next: None };
            let after = after.as_ref().map(ArtifactPath::as_str);
            for (looked, item) in tree.iter(&nodes, after).enumerate() {
                let (path, entry) = item?;
                let withdrawn = state.revokes(path.as_str(), &entry, seq).is_some();
                let refused = denied.denies(name.as_str(), path.as_str(), &entry);
                if refused {
                    batch.denied.push(entry.blob);
                }
                let unwanted = withdrawn || refused || !assigned.covers(&entry.blob);
                let held = unwanted || store.contains(&entry.blob);
                if held && !withdrawn && !refused && assigned.plus.binary_search(&entry.blob).is_ok() {
                    batch.held_plus.push(entry.blob);
                }
                let full = looked + 1 >= BATCH.1 || batch.missing.len() + 1 >= BATCH.0;
                if full {
                    batch.next = Some(path.clone());
                }
                if !held {
                    batch.missing.push((path, entry));
                }
                if full {
                    break;
                }
            }
            Ok(batch)
        })
        .await
    }

    /// Blobs that only older served heads name are kept, not fetched; what is held of them is announced one by one.
    async fn count_replaced(&self, state: &Arc<CatalogState>) -> Result<(), NodesError> {
        let (store, state) = (self.store.clone(), Arc::clone(state));
        let (denied, name) = (self.denied.list(), self.catalog.name.clone());
        let held = off_worker(move || {
            let nodes = store.nodes();
            let mut held = Vec::new();
            let Some((newest, former)) = state.retained().split_first() else { return Ok(held) };
            // The last ones are announced first: clients are on their way from the states of just now.
            for older in former.iter().rev() {
                for op in Tree::diff(&nodes, &newest.tree, &older.tree).take(REPLACED_MAX) {
                    if let Op::Put(path, entry) = op?
                        && state.revokes(path.as_str(), &entry, older.seq()).is_none()
                        && !denied.denies(name.as_str(), path.as_str(), &entry)
                        && store.contains(&entry.blob)
                    {
                        held.push(entry.blob);
                    }
                }
            }
            Ok(held)
        })
        .await?;
        if let Some(counting) = self.catalog.accounts().counting() {
            held.iter().for_each(|blob| counting.retains(blob));
        }
        Ok(())
    }
}
