//! The directories of the configuration, in its order, and the memberships that they make.
//!
//! The list is replaced whole when the operator changes it: who is in it as before keeps its membership, who is new or has changed gets
//! one, and who is no longer in it is told and left.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use odi_manifest::CatalogId;
use odi_wire::message::RelayState;
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::acquaintance::{Acquaintance, AcquaintanceError};
use crate::bell::Bell;
use crate::config::DirectoryConfig;
use crate::directory::Directory;
use crate::following::propagate;
use crate::membership;
use crate::relay::Relay;

/// All directories, by the configuration's order.
#[derive(Debug, Default)]
pub struct Directories {
    all: RwLock<Arc<Vec<Arc<Directory>>>>,
    /// What the operator says now, until the list is so.
    asked_for: Mutex<Option<Vec<DirectoryConfig>>>,
    changed: Bell,
}

impl Directories {
    /// These.
    #[must_use]
    pub fn new(all: Vec<Arc<Directory>>) -> Self {
        Self { all: RwLock::new(Arc::new(all)), ..Self::default() }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Arc<Directory>>> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for others; [`run`] makes it so.
    pub fn ask_for(&self, directories: Vec<DirectoryConfig>) {
        *self.asked_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(directories);
        self.changed.ring();
    }

    /// The catalogs that are wanted of any of them, each by the first one's name for it: what they offer, and what they are
    /// remembered to have offered. One that a directory just does not mention stays.
    #[must_use]
    pub fn wanted(&self) -> Vec<(CatalogId, CatalogName)> {
        let mut wanted: Vec<(CatalogId, CatalogName)> = Vec::new();
        for directory in self.all().iter() {
            let offered = directory.link().catalogs.clone();
            for (name, id) in offered.into_iter().chain(directory.remembered()) {
                if wanted.iter().all(|(known, _)| *known != id) {
                    wanted.push((id, name));
                }
            }
        }
        wanted
    }
}

/// Why the list stays as it was.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    /// One of them is not remembered as it should be.
    #[error("a directory is not remembered")]
    Acquaintance(#[from] AcquaintanceError),
    /// There is no secret to share with a new one.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Opens what is remembered of the directories that are configured; those that are as before are taken over. Reads files.
fn open(
    relay: &Relay,
    configured: &[DirectoryConfig],
    before: &[Arc<Directory>],
) -> Result<Vec<Arc<Directory>>, OpenError> {
    let open = |configured: &DirectoryConfig| {
        if let Some(same) = before.iter().find(|directory| directory.config == *configured) {
            return Ok(Arc::clone(same));
        }
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(OpenError::Random)?;
        let DirectoryConfig { url, key, ids, .. } = configured;
        let known = Acquaintance::open(&relay.config.data_dir, url, *key, ids, fresh)?;
        Ok(Arc::new(Directory::new(configured.clone(), known)))
    };
    configured.iter().map(open).collect()
}

/// A membership at work.
struct Membership {
    directory: Arc<Directory>,
    stop: CancellationToken,
    task: AbortHandle,
}

/// Keeps up one membership for each directory until `stop`.
pub async fn run(relay: Arc<Relay>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut memberships: Vec<Membership> = Vec::new();
    let mut changed = relay.directories.changed.listen();
    loop {
        let all = relay.directories.all();
        let stays =
            |membership: &Membership| all.iter().any(|other| Arc::ptr_eq(other, &membership.directory));
        let (stay, go): (Vec<_>, Vec<_>) = memberships.into_iter().partition(stays);
        memberships = stay;
        for Membership { directory, stop, task } in go {
            stop.cancel();
            // It must not announce anything after its leave.
            while !task.is_finished() {
                tasks.join_next().await.into_iter().for_each(propagate);
            }
            // One that is only wanted otherwise than before registers again.
            let is_gone = all.iter().all(|other| other.url != directory.url);
            if is_gone && directory.link().state != RelayState::Unknown {
                membership::leave(&relay, &directory).await;
            }
        }
        for directory in all.iter() {
            if memberships.iter().all(|known| !Arc::ptr_eq(&known.directory, directory)) {
                let (directory, stop) = (Arc::clone(directory), stop.child_token());
                let task =
                    tasks.spawn(membership::run(Arc::clone(&relay), Arc::clone(&directory), stop.clone()));
                memberships.push(Membership { directory, stop, task });
            }
        }
        relay.wanted_changed.ring();
        tokio::select! {
            () = stop.cancelled() => break,
            () = changed.rung() => take_up(&relay).await,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => propagate(ended),
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Makes the list what the operator asks for.
async fn take_up(relay: &Arc<Relay>) {
    let asked_for = relay.directories.asked_for.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(configured) = asked_for else { return };
    let (opening, before) = (Arc::clone(relay), relay.directories.all());
    let opened = off_worker(move || open(&opening, &configured, &before)).await;
    match opened {
        Ok(directories) => {
            let before = relay.directories.all();
            let same = |(one, other)| Arc::ptr_eq(one, other);
            if before.len() == directories.len() && before.iter().zip(&directories).all(same) {
                return;
            }
            let urls: Vec<_> = directories.iter().map(|directory| directory.url.as_str()).collect();
            tracing::info!(?urls, "the directories are these now");
            *relay.directories.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directories);
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the directories are as they were");
        }
    }
}
