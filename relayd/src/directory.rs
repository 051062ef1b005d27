//! One directory that this relay is a member of: what is remembered of it, and how the membership stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{
    Assign, CatalogPattern, DerivedKey, DirectoryLink, PublicUrl, RelayState, WISHES_MAX,
};
use odi_wire::route::CatalogName;
use odi_wire::selftest::SELFTEST_NAME;

use crate::acquaintance::Acquaintance;
use crate::bell::Bell;
use crate::config::DirectoryConfig;
use crate::introduced::Introduced;

/// Whose word it is that this relay joins a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The operator's, who says what is wanted of it.
    Configured(DirectoryConfig),
    /// A configured directory's. Of this one only what is carried anyway is wanted.
    Introduced(Introduced),
}

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
    /// The names that the last registration asked for.
    pub asked_for: Vec<CatalogPattern>,
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

    /// Notes that this relay is no member any more.
    pub const fn ends(&mut self) {
        (self.state, self.lease_until) = (RelayState::Unknown, None);
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
    /// Who named it.
    pub named: Named,
    /// Its base URL.
    pub url: PublicUrl,
    /// Rung when it says that there is another assignment.
    pub told_of_news: Bell,
    acquaintance: Mutex<Acquaintance>,
    link: Mutex<Link>,
}

impl Directory {
    /// A directory that has not been asked yet. What it called wanted catalogs before a restart is followed at once, so
    /// that a relay serves what it holds even while every directory is away.
    #[must_use]
    pub fn new(named: Named, acquaintance: Acquaintance) -> Self {
        let link = Link {
            state: RelayState::Unknown,
            lease_until: None,
            reason: None,
            assignment_due: 0,
            assignment: None,
            fault: None,
            next_try: None,
            not_learned: None,
            catalogs: remembered(&named, &acquaintance),
            asked_for: Vec::new(),
        };
        Self {
            url: acquaintance.url().clone(),
            named,
            told_of_news: Bell::default(),
            acquaintance: Mutex::new(acquaintance),
            link: Mutex::new(link),
        }
    }

    /// What the operator says of it, if they named it.
    #[must_use]
    pub const fn configured(&self) -> Option<&DirectoryConfig> {
        match &self.named {
            Named::Configured(config) => Some(config),
            Named::Introduced(_) => None,
        }
    }

    /// Whether only another directory named it.
    #[must_use]
    pub const fn is_introduced(&self) -> bool {
        self.configured().is_none()
    }

    /// Whether a catalog of it is to be followed: what the operator wants of it, or one of those that are carried anyway.
    #[must_use]
    pub fn wants(&self, name: &str, tags: &[String], id: &CatalogId, carried: &[CatalogId]) -> bool {
        match &self.named {
            Named::Configured(config) => config.wanted.wants(name, tags),
            Named::Introduced(_) => carried.contains(id),
        }
    }

    /// The names and tags that a registration asks for. An introduced directory is asked for what it shares with the
    /// configured ones and is known to offer, by its own names; with none of that, for nothing, and must not be registered with.
    #[must_use]
    pub fn wishes(&self) -> Option<(Vec<CatalogPattern>, Vec<String>)> {
        if let Some(config) = self.configured() {
            return Some((config.wanted.names.clone(), config.wanted.tags.clone()));
        }
        let link = self.link();
        let names = link.catalogs.keys().filter(|name| name.as_str() != SELFTEST_NAME);
        let names: Vec<_> = names.filter_map(|name| CatalogPattern::parse(name.as_str()).ok()).collect();
        // Neither names nor tags would mean everything.
        (!names.is_empty()).then(|| (names.into_iter().take(WISHES_MAX).collect(), Vec::new()))
    }

    /// The wanted catalogs that it is remembered to offer, by its names.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<CatalogName, CatalogId> {
        remembered(&self.named, &self.acquaintance())
    }

    /// What is remembered of it.
    pub fn acquaintance(&self) -> MutexGuard<'_, Acquaintance> {
        self.acquaintance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the membership stands.
    pub fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the requests that it signs to `me` by that registration, once its own key is known and while that is good.
    #[must_use]
    pub fn request_key(&self, me: &PublicKey, generation: u64, now: Timestamp) -> Option<DerivedKey> {
        let known = self.acquaintance();
        Some(known.secret().of(generation, now)?.request_key(&known.key()?, me))
    }

    /// The key of the challenge answers that `me` gives it, likewise.
    #[must_use]
    pub fn answer_key(&self, me: &PublicKey, generation: u64, now: Timestamp) -> Option<DerivedKey> {
        let known = self.acquaintance();
        Some(known.secret().of(generation, now)?.answer_key(&known.key()?, me))
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
            introduced: self.is_introduced(),
            reason: link.reason.clone(),
            fault: link.fault.clone().or_else(|| link.not_learned.clone()),
            next_try: link.next_try,
        }
    }
}

fn remembered(named: &Named, acquaintance: &Acquaintance) -> BTreeMap<CatalogName, CatalogId> {
    let may_be = |name: &str| match named {
        _ if name == SELFTEST_NAME => true,
        // What tags it had is not remembered.
        Named::Configured(DirectoryConfig { wanted, .. }) => {
            !wanted.tags.is_empty() || wanted.wants(name, &[])
        }
        Named::Introduced(_) => true,
    };
    let names = acquaintance.names().filter(|(name, _)| may_be(name));
    names.filter_map(|(name, id)| Some((name.parse().ok()?, *id))).collect()
}
