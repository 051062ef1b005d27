//! One directory that this relay is a member of: what is remembered of it, and how the membership stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{Assign, DerivedKey, DirectoryLink, PublicUrl, RelayState};
use odi_wire::route::CatalogName;
use odi_wire::selftest::SELFTEST_NAME;

use crate::acquaintance::Acquaintance;
use crate::bell::Bell;
use crate::config::DirectoryConfig;
use crate::wanted::Wanted;

/// How the membership stands, as last heard.
#[derive(Clone, Debug)]
pub struct Link {
    /// What the directory said last.
    pub state: RelayState,
    /// Until when the lease runs.
    pub lease_until: Option<Timestamp>,
    /// Why this relay is not ready there, in the directory's words.
    pub reason: Option<String>,
    /// The generation of the assignment that the last lease spoke of; 0 if of none.
    pub assignment_due: u64,
    /// The last assignment.
    pub assignment: Option<Arc<Assign>>,
    /// Why the last call failed, if it did.
    pub fault: Option<String>,
    /// When it is called again, after a failure.
    pub next_try: Option<Timestamp>,
    /// What could not be learned from it, although the lease is well.
    pub not_learned: Option<String>,
    /// The catalogs that it offers and that are wanted, by its names.
    pub catalogs: BTreeMap<CatalogName, CatalogId>,
}

impl Link {
    /// Whether the directory counts as alive: it granted a lease that still runs.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Notes that the last call went well.
    pub fn works(&mut self) {
        (self.fault, self.next_try) = (None, None);
    }

    /// Notes why the last call failed, and when the next one is.
    pub fn fails(&mut self, why: String, next_try: Timestamp) {
        (self.fault, self.next_try) = (Some(why), Some(next_try));
    }

    /// Whether the directory has assigned something that has not been fetched yet.
    #[must_use]
    pub fn has_other_assignment(&self) -> bool {
        let known = self.assignment.as_ref().map_or(0, |assign| assign.generation);
        self.assignment_due != 0 && self.assignment_due != known
    }
}

/// One directory.
#[derive(Debug)]
pub struct Directory {
    /// What the operator says of it.
    pub config: DirectoryConfig,
    /// Its base URL.
    pub url: PublicUrl,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Rung when it says that there is another assignment.
    pub told_of_news: Bell,
    acquaintance: Mutex<Acquaintance>,
    link: Mutex<Link>,
}

impl Directory {
    /// A directory that has not been asked yet. What it called wanted catalogs before a restart is followed at once, so
    /// that a relay serves what it holds even while every directory is away.
    #[must_use]
    pub fn new(config: DirectoryConfig, acquaintance: Acquaintance) -> Self {
        let wanted = config.wanted.clone();
        let link = Link {
            state: RelayState::Unknown,
            lease_until: None,
            reason: None,
            assignment_due: 0,
            assignment: None,
            fault: None,
            next_try: None,
            not_learned: None,
            catalogs: remembered(&wanted, &acquaintance),
        };
        Self {
            url: acquaintance.url().clone(),
            wanted,
            config,
            told_of_news: Bell::default(),
            acquaintance: Mutex::new(acquaintance),
            link: Mutex::new(link),
        }
    }

    /// The wanted catalogs that it is remembered to offer, by its names.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<CatalogName, CatalogId> {
        remembered(&self.wanted, &self.acquaintance())
    }

    /// What is remembered of it.
    pub fn acquaintance(&self) -> MutexGuard<'_, Acquaintance> {
        self.acquaintance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the membership stands.
    pub fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the requests that it signs to `me`, once its own key is known.
    #[must_use]
    pub fn request_key(&self, me: &PublicKey) -> Option<DerivedKey> {
        let known = self.acquaintance();
        Some(known.psk().request_key(&known.key()?, me))
    }

    /// The key of the challenge answers that `me` gives it.
    #[must_use]
    pub fn answer_key(&self, me: &PublicKey) -> Option<DerivedKey> {
        let known = self.acquaintance();
        Some(known.psk().answer_key(&known.key()?, me))
    }

    /// For the status document.
    #[must_use]
    pub fn status(&self, assigner: bool) -> DirectoryLink {
        let link = self.link();
        DirectoryLink {
            url: self.url.to_string(),
            id: self.acquaintance().key(),
            state: link.state,
            lease_until: link.lease_until,
            assigner,
            reason: link.reason.clone(),
            fault: link.fault.clone().or_else(|| link.not_learned.clone()),
            next_try: link.next_try,
        }
    }
}

fn remembered(wanted: &Wanted, acquaintance: &Acquaintance) -> BTreeMap<CatalogName, CatalogId> {
    // What tags it had is not remembered.
    let may_be = |name: &str| name == SELFTEST_NAME || !wanted.tags.is_empty() || wanted.wants(name, &[]);
    let names = acquaintance.names().filter(|(name, _)| may_be(name));
    names.filter_map(|(name, id)| Some((name.parse().ok()?, *id))).collect()
}
