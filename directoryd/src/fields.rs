//! Selection at work: each catalog's field, laid out anew when what the roster knows has changed. That of a few relays at once;
//! that of many by a task of its own, at most once a second, because hundreds of them announce themselves in that time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{Inventory, RelayPlace};
use odi_wire::off_worker::off_worker;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::balance::Balance;
use crate::directory::Directory;
use crate::network::Network;
use crate::roster::{Member, Roster};
use crate::select::{Entrant, Field, Share, Ways};
use crate::whereabouts::Site;

/// Up to so many relays, a field is laid out by the request that needs it.
const FEW: usize = 64;
/// A field is laid out anew after so long, whatever has changed: leases and probes run out by themselves.
const LIFE: Duration = Duration::from_secs(60);
/// Between two rounds of the task.
const PAUSE: Duration = Duration::from_secs(1);

/// The fields that are laid out.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    laid_out: Mutex<HashMap<CatalogId, LaidOut>>,
    /// Catalogs whose field is to be laid out by the task.
    due: Mutex<BTreeSet<CatalogId>>,
    wake: Notify,
}

/// A field, and from what it was made.
#[derive(Clone, Debug)]
pub(crate) struct LaidOut {
    pub(crate) field: Arc<Field>,
    basis: Basis,
    at: Timestamp,
    /// Whether something has changed since.
    pub(crate) is_old: bool,
}

/// What a field follows from, beside the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    /// Of the roster.
    changes: u64,
    /// Of the balance.
    weights: u64,
}

impl Directory {
    fn takers(&self, roster: &Roster, now: Timestamp) -> Takers {
        Takers::of(roster, &self.balance(), now)
    }

    /// The relays of a catalog, as they are or were a moment ago.
    pub(crate) fn field(&self, catalog: &CatalogId, roster: &Roster) -> LaidOut {
        let now = self.clock.now();
        let mut laid_out = self.fields.laid_out.lock().unwrap_or_else(PoisonError::into_inner);
        let known = laid_out.get(catalog);
        let basis = Basis { changes: roster.changes(), weights: self.balance().generation() };
        let is_current = |known: &&LaidOut| known.basis == basis && now.since(known.at) < LIFE;
        if let Some(known) = known.filter(is_current) {
            return known.clone();
        }
        if roster.members().len() > FEW {
            let field = known.map(|known| Arc::clone(&known.field)).unwrap_or_default();
            let stale = LaidOut { field, basis, at: now, is_old: true };
            drop(laid_out);
            self.fields.due.lock().unwrap_or_else(PoisonError::into_inner).insert(*catalog);
            self.fields.wake.notify_one();
            return stale;
        }
        let fresh = self.takers(roster, now).located(self).lay_out(catalog, &self.seed);
        laid_out.insert(*catalog, fresh.clone());
        fresh
    }
}

/// What a relay is to get, if it takes clients.
pub(crate) fn share(member: &Member, balance: &Balance) -> Option<Share> {
    let (relay, weight) = (member.relay(), member.weight()?);
    Some(Share {
        weight: balance.weight(&relay, weight),
        kept: balance.kept(&relay, weight),
        full: member.full_weight()?,
    })
}

/// The relays that take clients, out of the roster, so that it is not held while they are laid out.
struct Takers {
    takers: Vec<Taker>,
    basis: Basis,
    at: Timestamp,
}

struct Taker {
    relay: PublicKey,
    network: Network,
    place: Option<RelayPlace>,
    site: Site,
    ways: Ways,
    share: Share,
    said: Arc<Inventory>,
}

impl Takers {
    fn of(roster: &Roster, balance: &Balance, now: Timestamp) -> Self {
        let taker = |member: &Member| {
            Some(Taker {
                relay: member.relay(),
                network: member.network(),
                place: member.registration().and_then(|registration| registration.place.clone()),
                site: Site::default(),
                ways: member.ways(),
                share: share(member, balance)?,
                said: Arc::clone(&member.announced()?.inventory),
            })
        };
        let takers = roster.selectable(now).filter_map(taker).collect();
        let basis = Basis { changes: roster.changes(), weights: balance.generation() };
        Self { takers, basis, at: now }
    }

    /// Looks up where they are, for which nothing else has to wait.
    fn located(mut self, directory: &Directory) -> Self {
        for taker in &mut self.takers {
            taker.site = Site::of(taker.place.as_ref(), directory.geography.of(taker.network));
        }
        self
    }

    fn lay_out(&self, catalog: &CatalogId, seed: &[u8; 32]) -> LaidOut {
        let entrants = self.takers.iter().filter_map(|taker| {
            let Taker { relay, network, site, ways, share, said, .. } = taker;
            let holding = said.catalog(catalog)?;
            Some(Entrant { relay: *relay, network: *network, site, ways: *ways, share: *share, holding })
        });
        let field = Arc::new(Field::of(entrants, seed));
        LaidOut { field, basis: self.basis, at: self.at, is_old: false }
    }
}

/// Lays out the fields that are due, until `stop` is cancelled.
pub(crate) async fn keep_laid_out(directory: Arc<Directory>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = directory.fields.wake.notified() => {}
        }
        let due = std::mem::take(&mut *directory.fields.due.lock().unwrap_or_else(PoisonError::into_inner));
        let laying = Arc::clone(&directory);
        off_worker(move || {
            let takers = laying.takers(&laying.relays.roster(), laying.clock.now()).located(&laying);
            for catalog in due {
                let fresh = takers.lay_out(&catalog, &laying.seed);
                laying.fields.laid_out.lock().unwrap_or_else(PoisonError::into_inner).insert(catalog, fresh);
            }
        })
        .await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
