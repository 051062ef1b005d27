//! Looking up what the operator's denylist means: which blobs its rules by path and SHA-256 name, in every head that is served.
//!
//! One task per catalog, apart from the [scan](crate::scan), which may wait for fills: a head that is new has to be looked at
//! before anything is served by its content again. The newest tree is walked once for each list, and of other heads what differs.
//! Content that is denied by a hash leaves the disk here.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{ArtifactPath, Entry, NodesError, Op, Tree};
use odi_store::Store;
use odi_wire::off_worker::off_worker;
use odi_wire::sync::CatalogState;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use odi_wire::denylist::{Denied, Denylist, Found};

/// Entries that are looked at in one go; between them the relay may end.
const BATCH: usize = 32_768;
/// Before a look is repeated that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The looks at one catalog.
pub struct Look {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Where its nodes and blobs are.
    pub store: Store,
    /// Where to say what was found.
    pub denied: Arc<Denied>,
}

impl Look {
    /// Looks at whatever is new until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.looks()).await;
    }

    async fn looks(&self) {
        let mut changed = self.catalog.changed.listen();
        loop {
            match self.look(&self.denied.list(), &self.catalog.state()).await {
                Ok(()) => changed.rung().await,
                Err(error) => {
                    tracing::warn!(
                        catalog = %self.catalog.name, error = &error as &dyn std::error::Error,
                        "cannot look up what is denied"
                    );
                    let _ = tokio::time::timeout(RETRY, changed.rung()).await;
                }
            }
        }
    }

    async fn look(&self, list: &Arc<Denylist>, state: &CatalogState) -> Result<(), NodesError> {
        let found = self.denied.found(self.catalog.id(), list);
        let heads = state.retained();
        let Some(newest) = heads.first() else { return Ok(()) };
        if list.is_empty() || heads.iter().all(|head| found.knows(&head.id)) {
            return Ok(());
        }
        let mut found = Found::clone(&found);
        let base = match heads.iter().find(|head| found.knows(&head.id)) {
            Some(known) => known,
            None => {
                found = self.whole(list, newest.tree, found).await?;
                newest
            }
        };
        for head in heads.iter().filter(|head| head.id != base.id) {
            if !found.knows(&head.id) {
                found = self.difference(list, base.tree, head.tree, found).await?;
            }
        }
        found.looked_at(heads.iter().map(|head| head.id));
        self.denied.note(*self.catalog.id(), list, found);
        Ok(())
    }

    async fn whole(&self, list: &Arc<Denylist>, tree: Tree, former: Found) -> Result<Found, NodesError> {
        let store = self.store.clone();
        let mut found = off_worker(move || former.again(|blob| store.contains(blob))).await;
        let mut after: Option<ArtifactPath> = None;
        loop {
            let (eye, store) = (self.eye(list), self.store.clone());
            let looked = off_worker(move || {
                let (nodes, mut last) = (store.nodes(), None);
                for (looked, item) in tree.iter(&nodes, after.as_ref().map(ArtifactPath::as_str)).enumerate()
                {
                    let (path, entry) = item?;
                    eye.see(&path, &entry, &mut found);
                    if looked + 1 >= BATCH {
                        last = Some(path);
                        break;
                    }
                }
                Ok((found, last))
            });
            let looked: Result<_, NodesError> = looked.await;
            (found, after) = looked?;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// What one tree has beside another one.
    async fn difference(
        &self,
        list: &Arc<Denylist>,
        known: Tree,
        other: Tree,
        mut found: Found,
    ) -> Result<Found, NodesError> {
        let (eye, store) = (self.eye(list), self.store.clone());
        let looked = off_worker(move || {
            for op in Tree::diff(&store.nodes(), &known, &other) {
                if let Op::Put(path, entry) = op? {
                    eye.see(&path, &entry, &mut found);
                }
            }
            Ok(found)
        });
        looked.await
    }

    fn eye(&self, list: &Arc<Denylist>) -> Eye {
        Eye { list: Arc::clone(list), catalog: self.catalog.name.to_string(), store: self.store.clone() }
    }
}

struct Eye {
    list: Arc<Denylist>,
    catalog: String,
    store: Store,
}

impl Eye {
    fn see(&self, path: &ArtifactPath, entry: &Entry, found: &mut Found) {
        if !self.list.denies(&self.catalog, path.as_str(), entry) {
            return;
        }
        found.denied(&entry.blob);
        if self.list.denies_content(&entry.blob, Some(&entry.sha256))
            && self.store.contains(&entry.blob)
            && let Err(error) = self.store.purge(&entry.blob)
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(blob = %entry.blob, error, "denied content is refused, and still on disk");
        }
    }
}
