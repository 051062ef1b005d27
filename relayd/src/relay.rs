//! What all parts of a running relay share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use odi_manifest::{BlobId, Clock, Timestamp};
use odi_store::{BlobReader, Ledger, Store};
use odi_wire::client::Client;
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::request_signature::Verifier;
use odi_wire::serve::{LargeAnswers, Throttle};

use crate::admission::{FIT_WHOLE, Followed, admit, admits_selftest};
use crate::bell::Bell;
use crate::catalog::{Assigned, Catalog};
use crate::catalogs::Catalogs;
use crate::config::{Config, Terms};
use crate::directories::Directories;
use crate::directory::Directory;
use crate::fill::Fill;
use crate::identity::Identity;
use crate::looks::Looks;
use crate::measured::Answers;
use crate::metering::Meter;
use crate::peers::Peers;
use crate::revoking::Withdrawn;
use odi_wire::denylist::Denied;

/// The shared state. Everything in it is either immutable or locks itself.
#[derive(Debug)]
pub struct Relay {
    /// What the operator said.
    pub config: Config,
    /// Who this relay is.
    pub identity: Identity,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// When this process began.
    pub started: Timestamp,
    /// Bytes at rest.
    pub store: Store,
    /// Trust at rest.
    pub ledger: Arc<Ledger>,
    /// Requests to others, vetted.
    pub client: Client,
    /// What is followed.
    pub catalogs: Catalogs,
    /// Who else has what.
    pub peers: Arc<Peers>,
    /// What fetches.
    pub fill: Arc<Fill>,
    /// The directories of the configuration, in its order, then those that they introduced.
    pub directories: Arc<Directories>,
    /// What may change while the relay runs.
    pub terms: RwLock<Arc<Terms>>,
    /// What the operator denies.
    pub denied: Arc<Denied>,
    /// Rung when the terms have changed.
    pub terms_changed: Bell,
    /// What may be sent now.
    pub throttle: Arc<Throttle>,
    /// What was answered.
    pub answers: Answers,
    /// What was sent this month.
    pub meter: Meter,
    /// Rung when there is something new to announce.
    pub announce: Arc<Bell>,
    /// Rung when directories offer other catalogs than before, or are others.
    pub wanted_changed: Bell,
    /// Rung when a catalog is followed no longer, so that its bytes can go.
    pub unneeded: Bell,
    /// What catalogs have withdrawn, as far as the last walk knows.
    pub withdrawn: Withdrawn,
    /// How much of what may be assigned fits, as [`crate::admission::refit`] has it.
    pub fit: AtomicU64,
    /// Judges the requests that directories sign.
    pub verifier: Mutex<Verifier>,
    /// How often directories had it look at others.
    pub looks: Looks,
    /// Chunk lists on their way to others.
    pub chunk_lists: LargeAnswers<BlobId>,
}

impl Relay {
    /// Opens a blob for reading; `None` if it is not held. What is in memory is opened at once, the rest elsewhere.
    ///
    /// # Errors
    /// The store fails, which is ours alone to know.
    pub async fn open_blob(&self, blob: &BlobId) -> Result<Option<BlobReader>, Refusal> {
        if let Some(known) = self.store.open_blob_now(blob) {
            return Ok(known);
        }
        let (store, blob) = (self.store.clone(), *blob);
        off_worker(move || store.open_blob(&blob)).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot open a blob");
            Refusal::unavailable("the store cannot be read", Duration::from_secs(60))
        })
    }

    /// What the operator wants now.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another configuration as far as it may change while the relay runs. Returns the keys that differ and keep their
    /// former value until a restart.
    pub fn reload(&self, config: &Config) -> Vec<&'static str> {
        let terms = Arc::new(config.terms.clone());
        if self.denied.replace(Arc::clone(&terms.denied)) {
            self.catalogs.all().iter().for_each(|catalog| catalog.changed.ring());
            // Of what no head names nobody can say whether it is denied.
            if self.denied.awaits_sweep() {
                self.unneeded.ring();
            }
        }
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = terms;
        self.terms_changed.ring();
        self.announce.ring();
        self.directories.ask_for(config.directories.clone());
        self.config.fixed_differences(config)
    }

    /// The directory whose assignments count: the first that answers.
    #[must_use]
    pub fn assigner(&self) -> Option<Arc<Directory>> {
        let now = self.clock.now();
        self.directories.all().iter().find(|directory| directory.link().is_live(now)).cloned()
    }

    /// Of its disk, what assignments are taken for: all of it until something did not fit.
    #[must_use]
    pub fn usable_disk(&self) -> u64 {
        match self.fit.load(Ordering::Relaxed) {
            FIT_WHOLE => self.config.disk.0,
            fit => self.config.disk.0 / FIT_WHOLE * fit,
        }
    }

    /// Takes the assigner's assignment, as far as it is admitted, and every directory's self-test; called when either or
    /// what is followed has changed.
    pub fn reassign(&self) {
        let catalogs = self.catalogs.all();
        let (tests, others): (Vec<_>, Vec<_>) =
            catalogs.into_iter().partition(|catalog| catalog.is_selftest());
        for catalog in tests {
            let state = catalog.state();
            let small =
                state.newest().is_some_and(|head| admits_selftest(head.tree.bytes, head.tree.entries));
            take(&catalog, if small { Assigned::everything() } else { Assigned::nothing() });
        }
        let Some(assign) = self.assigner().and_then(|directory| directory.link().assignment.clone()) else {
            return;
        };
        let followed: Vec<Followed> = others
            .iter()
            .filter_map(|catalog| {
                Some(Followed { catalog: *catalog.id(), bytes: catalog.state().newest()?.tree.bytes })
            })
            .collect();
        let (taken, declined) = admit(&assign.catalogs, &followed, self.usable_disk());
        for reason in declined {
            tracing::debug!(%reason, "part of the assignment is declined");
        }
        for catalog in others {
            let asked = taken.iter().find(|asked| asked.cat == *catalog.id());
            let assigned = asked.map_or_else(Assigned::nothing, |asked| Assigned {
                ranges: asked.ranges.clone(),
                plus: asked.plus.clone(),
            });
            if take(&catalog, assigned) {
                self.announce.ring();
            }
        }
    }

    /// The judge of signed requests.
    pub fn verifier(&self) -> std::sync::MutexGuard<'_, Verifier> {
        self.verifier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(catalog: &Catalog, assigned: Assigned) -> bool {
    let differs = catalog.assign(assigned);
    if differs {
        catalog.changed.ring();
    }
    differs
}
