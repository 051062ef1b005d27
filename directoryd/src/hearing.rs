//! After a restore: what this directory holds may be older than what it has shown already, so that it shows nothing before it has heard
//! what its origins and peers have now (P2), or a minute has passed in which they did not answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odi_manifest::Timestamp;
use odi_wire::off_worker::off_worker;
use odi_wire::private_file;
use odi_wire::refusal::Refusal;
use odi_wire::route::{ApiRoute, Route};
use tokio_util::sync::CancellationToken;

use crate::backup::RESTORED;
use crate::directory::Directory;

/// For how long it listens.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// When whoever is refused may ask again.
const RETRY: Duration = Duration::from_secs(5);

/// Whether it listens.
#[derive(Debug)]
pub(crate) struct Hearing {
    mark: PathBuf,
    listens: AtomicBool,
}

impl Hearing {
    /// Listens if there is a mark of a restore. Blocking.
    pub(crate) fn of(data_dir: &std::path::Path) -> Self {
        let mark = data_dir.join(RESTORED);
        let listens = AtomicBool::new(mark.exists());
        Self { mark, listens }
    }

    pub(crate) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Refuses what would show a catalog, while that may be older than what was shown before.
    pub(crate) fn admit(&self, route: &Route) -> Result<(), Refusal> {
        let shows = matches!(
            route,
            Route::Artifact { .. }
                | Route::State { .. }
                | Route::Pinned { .. }
                | Route::Blob { .. }
                | Route::Api(
                    ApiRoute::Head { .. }
                        | ApiRoute::Testimony { .. }
                        | ApiRoute::Layout { .. }
                        | ApiRoute::Proof { .. }
                )
        );
        if shows && self.listens() {
            let why = "this directory was restored from a backup and hears first what is new";
            return Err(Refusal::unavailable(why, RETRY));
        }
        Ok(())
    }
}

/// Listens until everything is heard, or for a minute. What was not heard then is listened for again after the next start.
pub(crate) async fn run(directory: Arc<Directory>, stop: CancellationToken) {
    if directory.hearing.listens() {
        tracing::warn!("restored from a backup: nothing is shown before origins and peers are heard");
        stop.run_until_cancelled(listen(&directory)).await;
    }
    stop.cancelled().await;
}

async fn listen(directory: &Arc<Directory>) {
    let begun = directory.started;
    loop {
        let now = directory.clock.now();
        let has_heard = has_heard_all(directory);
        if has_heard || now.since(begun) >= PATIENCE {
            finish(directory, has_heard).await;
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn has_heard_all(directory: &Directory) -> bool {
    directory.configured.now().values().all(|catalog| {
        let origin_heard = catalog.config().origin.is_none() || catalog.standing().polled.is_some();
        origin_heard && directory.peers.iter().all(|peer| peer.has_told_of(&catalog.id()))
    })
}

async fn finish(directory: &Arc<Directory>, has_heard: bool) {
    let now: Timestamp = directory.clock.now();
    if has_heard {
        let mark = directory.hearing.mark.clone();
        if let Err(error) = off_worker(move || private_file::remove(&mark)).await {
            tracing::error!(%error, "the mark of the restore stays, and the next start listens again");
        }
        tracing::info!("everything was heard since the restore");
    } else {
        tracing::warn!(
            "not everybody was heard within a minute: what is held is shown, and may be older than what was"
        );
    }
    // Newer heads that came meanwhile take over before anybody sees the older ones.
    for catalog in directory.catalogs() {
        catalog.turn_over(now, |_| true);
    }
    directory.hearing.listens.store(false, Ordering::Release);
}
