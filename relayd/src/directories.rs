//! The directories of the configuration, in its order, after them those that they introduced, and the memberships that they make.
//!
//! The list is replaced whole when the operator changes it, or others are introduced: who is in it as before keeps its membership, who
//! is new or has changed gets one, and who is no longer in it is told and left. What is carried is up to the configured ones alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use odi_manifest::CatalogId;
use odi_wire::client::{ClientPolicy, vet};
use odi_wire::message::{PublicUrl, RelayState};
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use odi_wire::selftest::SELFTEST_NAME;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::acquaintance::{Acquaintance, AcquaintanceError};
use crate::bell::Bell;
use crate::config::{Config, DirectoryConfig, PrivateAddresses};
use crate::directory::{Directory, Named};
use crate::following::propagate;
use crate::introduced::{Known, Words, introduced};
use crate::relay::Relay;
use crate::{federating, membership};

/// All directories: the configured ones in their order, then the introduced.
#[derive(Debug, Default)]
pub struct Directories {
    all: RwLock<Arc<Vec<Arc<Directory>>>>,
    /// What the operator says now, until the list is so.
    asked_for: Mutex<Option<Vec<DirectoryConfig>>>,
    /// Whom the configured ones name.
    words: Mutex<Words>,
    changed: Bell,
    /// Rung when the list has become what the operator says.
    pub taken_over: Bell,
}

impl Directories {
    /// Those of the configuration, and whom they are remembered to have introduced. Reads files.
    ///
    /// # Errors
    /// One of them is not remembered as it should be.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let words = federating::remembered(&config.data_dir);
        let all = open(config, config.terms.federation, &config.directories, &words, &[])?;
        Ok(Self { all: RwLock::new(Arc::new(all)), words: Mutex::new(words), ..Self::default() })
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

    /// Whom the configured ones name, as last heard.
    #[must_use]
    pub fn words(&self) -> Words {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what they name now; [`run`] joins and leaves accordingly.
    pub fn introduce(&self, words: Words) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words;
        self.changed.ring();
    }

    /// The catalogs that the operator agreed to, each by the first directory's name for it: what configured directories offer, and what
    /// they are remembered to have offered. One that a directory just does not mention stays.
    #[must_use]
    pub fn agreed_to(&self) -> Vec<(CatalogId, CatalogName)> {
        let all = self.all();
        each_once(all.iter().filter(|directory| !directory.is_introduced()).flat_map(offered))
    }

    /// The ids of these, but for the self-tests: all that counts of an introduced directory.
    #[must_use]
    pub fn carried(&self) -> Vec<CatalogId> {
        let agreed = self.agreed_to().into_iter();
        agreed.filter(|(_, name)| name.as_str() != SELFTEST_NAME).map(|(id, _)| id).collect()
    }

    /// The catalogs to follow: those, and the self-tests of introduced directories.
    #[must_use]
    pub fn wanted(&self) -> Vec<(CatalogId, CatalogName)> {
        let all = self.all();
        let tests = all.iter().filter(|directory| directory.is_introduced()).flat_map(offered);
        let tests = tests.filter(|(_, name)| name.as_str() == SELFTEST_NAME);
        each_once(self.agreed_to().into_iter().chain(tests))
    }
}

fn offered(directory: &Arc<Directory>) -> impl Iterator<Item = (CatalogId, CatalogName)> + use<> {
    let offered = directory.link().catalogs.clone();
    offered.into_iter().chain(directory.remembered()).map(|(name, id)| (id, name))
}

fn each_once(all: impl Iterator<Item = (CatalogId, CatalogName)>) -> Vec<(CatalogId, CatalogName)> {
    let mut seen = BTreeSet::new();
    all.filter(|(id, _)| seen.insert(*id)).collect()
}

/// Why the list stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One of them is not remembered as it should be.
    #[error("a directory is not remembered")]
    Acquaintance(#[from] AcquaintanceError),
    /// There is no secret to share with a new one.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Opens what is remembered of the directories that are configured, and with `federation` of those that they introduced; those that are as
/// before are taken over. Reads files.
fn open(
    config: &Config,
    federation: bool,
    configured: &[DirectoryConfig],
    words: &Words,
    before: &[Arc<Directory>],
) -> Result<Vec<Arc<Directory>>, OpenError> {
    let open = |named: Named| {
        if let Some(same) = before.iter().find(|directory| directory.named == named) {
            return Ok(Arc::clone(same));
        }
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(OpenError::Random)?;
        let (url, key, ids) = match &named {
            Named::Configured(said) => (&said.url, said.key, said.ids.clone()),
            Named::Introduced(said) => (&said.url, Some(said.key), BTreeMap::new()),
        };
        let known = Acquaintance::open(&config.data_dir, url, key, &ids, fresh)?;
        Ok::<_, OpenError>(Arc::new(Directory::new(named, known)))
    };
    let mut all =
        configured.iter().map(|said| open(Named::Configured(said.clone()))).collect::<Result<Vec<_>, _>>()?;
    if federation {
        for one in introduced_by(&all, words, config.private_addresses) {
            match open(one) {
                Ok(directory) => all.push(directory),
                // Nothing that a stranger's directory leaves behind stops a relay.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "an introduced directory is not joined");
                }
            }
        }
    }
    Ok(all)
}

/// Whom the configured directories introduce.
fn introduced_by(configured: &[Arc<Directory>], words: &Words, private: PrivateAddresses) -> Vec<Named> {
    let known = |directory: &Arc<Directory>| Known {
        url: directory.url.clone(),
        key: directory.acquaintance().key(),
    };
    let known: Vec<Known> = configured.iter().map(known).collect();
    let outcome = introduced(&known, words, |url| is_in_reach(url, private));
    if !outcome.disputed.is_empty() {
        let urls: Vec<_> = outcome.disputed.iter().map(PublicUrl::as_str).collect();
        tracing::warn!(?urls, "are not joined: who names them contradict each other about whose they are");
    }
    outcome.taken.into_iter().map(Named::Introduced).collect()
}

/// Whether an introduced directory may be there: as any, it is told a secret.
fn is_in_reach(url: &PublicUrl, private: PrivateAddresses) -> bool {
    let allow_private_addresses = private == PrivateAddresses::Allowed;
    let policy = ClientPolicy { allow_private_addresses, ..ClientPolicy::default() };
    (allow_private_addresses || url.is_https()) && vet(&url.to_url(), &policy).is_ok()
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
        let mut gone = Vec::new();
        for Membership { directory, stop, task } in go {
            stop.cancel();
            // It must not announce anything after its leave.
            while !task.is_finished() {
                tasks.join_next().await.into_iter().for_each(propagate);
            }
            // One that is only wanted otherwise than before registers again.
            if all.iter().all(|other| other.url != directory.url) {
                gone.push(directory);
            }
        }
        // Together, for each may take its time.
        futures_util::future::join_all(gone.iter().map(|directory| part(&relay, directory, &all))).await;
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

/// Leaves a directory that is in the list no more.
async fn part(relay: &Arc<Relay>, directory: &Arc<Directory>, rest: &[Arc<Directory>]) {
    let key = directory.acquaintance().key();
    if let Some(same) = rest.iter().find(|other| key.is_some() && other.acquaintance().key() == key) {
        // It was introduced under another name before the configured one was met: only the secret is the wrong one now.
        same.link().state = RelayState::Unknown;
    } else if directory.link().state != RelayState::Unknown {
        membership::leave(relay, directory).await;
    }
    if directory.is_introduced() {
        // Whoever introduces others all the time must not fill the folder.
        let (data_dir, url) = (relay.config.data_dir.clone(), directory.url.clone());
        if let Err(error) = off_worker(move || Acquaintance::forget(&data_dir, &url)).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an introduced directory is not forgotten"
            );
        }
    }
}

/// Makes the list what the operator asks for, and those introduce whom they named.
async fn take_up(relay: &Arc<Relay>) {
    let directories = &relay.directories;
    let asked_for = directories.asked_for.lock().unwrap_or_else(PoisonError::into_inner).take();
    let is_asked = asked_for.is_some();
    let before = directories.all();
    let configured = asked_for
        .unwrap_or_else(|| before.iter().filter_map(|directory| directory.configured().cloned()).collect());
    let (opening, words, former) = (Arc::clone(relay), directories.words(), Arc::clone(&before));
    let federation = relay.terms().federation;
    let opened = off_worker(move || open(&opening.config, federation, &configured, &words, &former)).await;
    match opened {
        Ok(now) => {
            let same = |(one, other)| Arc::ptr_eq(one, other);
            if before.len() != now.len() || !before.iter().zip(&now).all(same) {
                let urls = |introduced| {
                    let these = now.iter().filter(move |directory| directory.is_introduced() == introduced);
                    these.map(|directory| directory.url.as_str()).collect::<Vec<_>>()
                };
                let (configured, introduced) = (urls(false), urls(true));
                tracing::info!(?configured, ?introduced, "the directories are these now");
                *directories.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the directories are as they were");
        }
    }
    if is_asked {
        directories.taken_over.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_introduced_is_reached_over_https_and_nowhere_inside() {
        for (text, on_the_network, in_a_laboratory) in [
            ("https://everest.example.org", true, true),
            ("http://everest.example.org", false, true),
            ("https://192.168.1.5", false, true),
            ("https://[::1]:8443", false, true),
        ] {
            let is = |private| is_in_reach(&PublicUrl::parse(text).unwrap(), private);
            let expected = (on_the_network, in_a_laboratory);
            assert_eq!((is(PrivateAddresses::Refused), is(PrivateAddresses::Allowed)), expected, "{text}");
        }
    }
}
