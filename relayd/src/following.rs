//! Following the wanted catalogs: one task each, by long poll at a directory, falling back to the others and to the origin.
//!
//! Beside the long poll the other directories, and rarely the origins, are asked too: a directory that keeps silent about a new head
//! delays it, and hides it from nobody.
//! Whoever is asked, only what the catalog's own keys signed is adopted, and the former state serves on through every failure.
//! With each catalog go its [`Scan`] and its [`Look`]; all end with the relay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::CatalogId;
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use odi_wire::selftest::{SELFTEST_BYTES_MAX, SELFTEST_ENTRIES_MAX, SELFTEST_NAME};
use odi_wire::sync::{FollowedCatalog, SyncClient, SyncError, SyncOutcome, SyncSource};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::catalog::Catalog;
use crate::denying::Look;
use crate::relay::Relay;
use crate::scan::Scan;
use crate::{chain, epochs, settings};

/// How long a directory may hold its answer until there is a newer head.
const LONG_POLL: Duration = Duration::from_secs(30);
/// Between two rounds over sources that all failed, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Between two looks at a directory at least, should it answer long polls at once.
const GAP: Duration = Duration::from_secs(1);
/// Between two looks at a source that does not hold its answer.
const POLL: Duration = Duration::from_secs(60);
/// Within this time a relay looks where it was told that there is news.
const JITTER_MAX: Duration = Duration::from_secs(2);
/// Between two looks at the directories that are not followed by long poll, and at origins.
const COMPARE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Relays that were told of news at once do not all ask at once.
pub(crate) fn jitter() -> Duration {
    let mut draw = [0; 2];
    // Without randomness all of them wait alike, as if nobody had told them.
    let _ = getrandom::fill(&mut draw);
    JITTER_MAX.mul_f64(f64::from(u16::from_le_bytes(draw)) / f64::from(u16::MAX))
}

/// Opens what is wanted and remembered. Before the first request: what was held before a restart is not answered 404.
pub(crate) async fn open_wanted(relay: &Relay) {
    let wanted = relay.directories.wanted();
    for (id, name) in wanted.into_iter().filter(|(id, _)| relay.catalogs.get(id).is_none()) {
        match open(relay, id, name).await {
            Ok(catalog) => {
                tracing::info!(catalog = %catalog.name, %id, "following");
                relay.catalogs.add(catalog);
                relay.withdrawn.list_changed();
            }
            Err(error) => {
                tracing::error!(%id, error = &error as &dyn std::error::Error, "cannot follow");
            }
        }
    }
    // What is remembered from before a restart may be assigned already.
    relay.reassign();
}

/// Follows whatever directories offer and the operator wants, until `stop`.
pub async fn run(relay: Arc<Relay>, stop: CancellationToken) {
    let mut courses = Courses::default();
    let mut changed = relay.wanted_changed.listen();
    loop {
        courses.end_unwanted(&relay).await;
        open_wanted(&relay).await;
        courses.begin_wanted(&relay, &stop);
        tokio::select! {
            () = stop.cancelled() => break,
            () = changed.rung() => {}
            Some(ended) = courses.tasks.join_next(), if !courses.tasks.is_empty() => propagate(ended),
        }
    }
    while courses.tasks.join_next().await.is_some() {}
}

/// What runs for followed catalogs.
#[derive(Default)]
struct Courses {
    tasks: JoinSet<()>,
    running: BTreeMap<CatalogId, (CancellationToken, AbortHandle)>,
}

impl Courses {
    /// Starts what has not been started yet.
    fn begin_wanted(&mut self, relay: &Arc<Relay>, stop: &CancellationToken) {
        for catalog in relay.catalogs.all() {
            let id = *catalog.id();
            if self.running.contains_key(&id) {
                continue;
            }
            let stop = stop.child_token();
            let scan = Scan {
                catalog: Arc::clone(&catalog),
                store: relay.store.clone(),
                fill: Arc::clone(&relay.fill),
                announce: Arc::clone(&relay.announce),
                denied: Arc::clone(&relay.denied),
            };
            let look = Look {
                catalog: Arc::clone(&catalog),
                store: relay.store.clone(),
                denied: Arc::clone(&relay.denied),
            };
            let (scanning, looking) = (scan.run(stop.clone()), look.run(stop.clone()));
            let following = follow(Arc::clone(relay), catalog, stop.clone());
            let task = self.tasks.spawn(async { _ = tokio::join!(scanning, looking, following) });
            self.running.insert(id, (stop, task));
        }
    }

    /// Ends what the operator wants no longer, of any directory, and lets its bytes go. What is believed of it stays in the ledger, so
    /// that it cannot go back should it be wanted again.
    async fn end_unwanted(&mut self, relay: &Relay) {
        let wanted: BTreeMap<CatalogId, CatalogName> = relay.directories.wanted().into_iter().collect();
        // Whoever passed a catalog off as its self-test must not keep it from being followed as what it is.
        let is_wanted = |catalog: &Arc<Catalog>| {
            wanted
                .get(catalog.id())
                .is_some_and(|name| (name.as_str() == SELFTEST_NAME) == catalog.is_selftest())
        };
        let unwanted = relay.catalogs.all().into_iter().filter(|catalog| !is_wanted(catalog));
        for catalog in unwanted {
            tracing::info!(catalog = %catalog.name, id = %catalog.id(), "no longer wanted");
            catalog.drop_it();
            if let Some((stop, task)) = self.running.remove(catalog.id()) {
                stop.cancel();
                while !task.is_finished() {
                    self.tasks.join_next().await.into_iter().for_each(propagate);
                }
            }
            relay.catalogs.remove(catalog.id());
            relay.peers.forget(catalog.id());
            relay.withdrawn.list_changed();
            relay.announce.ring();
            relay.unneeded.ring();
        }
    }
}

/// Goes down with a task that panicked.
pub(crate) fn propagate(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn open(relay: &Relay, id: CatalogId, name: CatalogName) -> Result<Arc<Catalog>, SyncError> {
    let (store, ledger, now) = (relay.store.clone(), Arc::clone(&relay.ledger), relay.clock.now());
    let followed = off_worker(move || FollowedCatalog::open(id, store, ledger, now)).await?;
    Ok(Arc::new(Catalog::new(name, relay.catalogs.all().len(), followed, now)))
}

async fn follow(relay: Arc<Relay>, catalog: Arc<Catalog>, stop: CancellationToken) {
    let fetcher = Fetcher::new(Arc::new(relay.client.clone()), FetchLimits::default());
    let client = SyncClient::new(fetcher);
    let client = if catalog.is_selftest() {
        // Nobody here asked for it.
        client.at_most(SELFTEST_ENTRIES_MAX, SELFTEST_BYTES_MAX)
    } else {
        client
    };
    let follower = Follower { relay, catalog, client };
    let all = async {
        tokio::join!(
            follower.follow(),
            follower.compare(),
            follower.heed(),
            settings::keep(&follower.relay, &follower.catalog),
            epochs::keep(&follower.relay, &follower.catalog)
        )
    };
    stop.run_until_cancelled(all).await;
}

struct Follower {
    relay: Arc<Relay>,
    catalog: Arc<Catalog>,
    client: SyncClient,
}

impl Follower {
    async fn follow(&self) {
        let mut backoff = BACKOFF.0;
        loop {
            let mut fault = None;
            let mut heard = false;
            for (source, holds) in self.sources() {
                let began = Instant::now();
                match self.look(&source).await {
                    Ok(outcome) => {
                        heard = true;
                        let advanced = matches!(outcome, SyncOutcome::Advanced(_));
                        if !advanced {
                            let pause = if holds { GAP.saturating_sub(began.elapsed()) } else { POLL };
                            tokio::time::sleep(pause.min(GAP)).await;
                            // Lost nodes need not wait for the next head.
                            let torn = self.catalog.followed.torn();
                            let _ = tokio::time::timeout(pause.saturating_sub(GAP), torn).await;
                        }
                        break;
                    }
                    Err(error) => {
                        let words = chain::of(&error);
                        tracing::info!(catalog = %self.catalog.name, source = %source.base(), error = words, "not followed");
                        fault = Some(words);
                    }
                }
            }
            let fault =
                if heard { None } else { fault.or_else(|| Some("no directory offers it".to_owned())) };
            self.catalog.accounts().set_fault(fault);
            if heard {
                backoff = BACKOFF.0;
            } else {
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }

    /// Asks those whom [`Self::follow`] does not reach while the first directory answers.
    async fn compare(&self) {
        let mut offered = self.relay.wanted_changed.listen();
        // At the start `follow` is the one to ask origins, should no directory answer.
        let mut origins_due = Instant::now() + COMPARE.1;
        loop {
            let origins_too = Instant::now() >= origins_due;
            if origins_too {
                origins_due = Instant::now() + COMPARE.1;
            }
            let (directories, origins) = (self.directories(), self.origins());
            let asked = directories.into_iter().skip(1).chain(origins.into_iter().filter(|_| origins_too));
            for source in asked {
                if let Err(error) = self.look(&source).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(catalog = %self.catalog.name, source = %source.base(), error, "not compared");
                }
            }
            // A directory that has just begun to offer the catalog need not wait its turn.
            let _ = tokio::time::timeout(COMPARE.0, offered.rung()).await;
        }
    }

    /// Looks where a directory says that there is news, after a moment that differs from relay to relay.
    async fn heed(&self) {
        let mut news = self.catalog.news();
        while news.changed().await.is_ok() {
            tokio::time::sleep(jitter()).await;
            let Some(url) = news.borrow_and_update().clone() else { continue };
            let source = SyncSource::directory(url.to_url(), self.catalog.id());
            if let Err(error) = self.look(&source).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(catalog = %self.catalog.name, source = %source.base(), error, "no news");
            }
        }
    }

    /// Directories that offer the catalog, then the origins of the newest head; and whether the source holds its answer
    /// until there is news.
    fn sources(&self) -> Vec<(SyncSource, bool)> {
        let directories = self.directories().into_iter().map(|source| (source.waiting(LONG_POLL), true));
        directories.chain(self.origins().into_iter().map(|source| (source, false))).collect()
    }

    /// Directories that offer the catalog, in the order of the configuration.
    fn directories(&self) -> Vec<SyncSource> {
        let id = self.catalog.id();
        let directories = self.relay.directories.all();
        let offering = directories
            .iter()
            .filter(|directory| directory.link().catalogs.values().any(|offered| offered == id));
        offering.map(|directory| SyncSource::directory(directory.url.to_url(), id)).collect()
    }

    fn origins(&self) -> Vec<SyncSource> {
        let state = self.catalog.state();
        let origins = state.newest().map(|head| head.head.origins.as_slice()).unwrap_or_default();
        origins.iter().filter_map(|origin| Url::parse(origin).ok()).map(SyncSource::origin).collect()
    }

    async fn look(&self, source: &SyncSource) -> Result<SyncOutcome, SyncError> {
        let now = self.relay.clock.now();
        let outcome = self.client.follow(&self.catalog.followed, source, now).await?;
        if let SyncOutcome::Advanced(advance) = &outcome {
            tracing::info!(catalog = %self.catalog.name, pin = %advance.to.pin, "advanced");
            self.relay.reassign();
            self.catalog.introduction.renew(Instant::now());
            self.catalog.changed.ring();
            self.relay.announce.ring();
            let revoked = advance.to.head.revocations;
            if revoked.is_some() && advance.from.as_ref().is_none_or(|from| from.head.revocations != revoked)
            {
                self.relay.withdrawn.list_changed();
            } else {
                self.relay.withdrawn.tree_changed();
            }
        }
        Ok(outcome)
    }
}
