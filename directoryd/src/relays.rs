//! The roster at work: one short lock around the pure state machine, proved registrations durable before they count, and
//! the assignments that follow from them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{PublicKey, SigningKey, Timestamp};
use odi_wire::message::{Assign, AssignedCatalog, StateError, state};
use odi_wire::off_worker::off_worker;

use crate::assignment::{self, Offer};
use crate::relay_records::RelayRecords;
use crate::roster::{Event, Examined, Lapsed, Registration, Roster, RosterLimits, Stage};

/// For how long a relay keeps an assignment when it hears nothing more.
const ASSIGNMENT_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// The relays that this directory knows.
#[derive(Debug)]
pub(crate) struct Relays {
    roster: Mutex<Roster>,
    records: RelayRecords,
    assigned: Mutex<HashMap<PublicKey, Assigned>>,
    /// Held while a record is written, so that an older one never follows a newer.
    writing: tokio::sync::Mutex<()>,
}

/// What a relay was last assigned, under which generation, and from what that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Assigned {
    generation: u64,
    catalogs: Vec<AssignedCatalog>,
    basis: Basis,
}

/// All that an assignment follows from, beside the relay's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    /// The registration's generation: it says what the relay wants.
    registered: u64,
    /// Bytes that may be assigned.
    room: u64,
    /// A digest of what there is to assign.
    offers: u64,
}

impl Relays {
    /// Opens the records and restores every proved relay.
    pub(crate) fn open(
        data_dir: &Path,
        limits: RosterLimits,
        examined: Examined,
        now: Timestamp,
    ) -> io::Result<Self> {
        let records = RelayRecords::open(data_dir)?;
        let mut roster = Roster::new(limits, examined);
        for (registration, network, stage) in records.load()? {
            roster.restore(registration, network, stage, now);
        }
        let (assigned, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { roster: Mutex::new(roster), records, assigned, writing })
    }

    /// The roster. Hold it for look-ups and transitions only, never across a wait.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A challenge was answered: writes the registration, then lets it count.
    pub(crate) async fn proved(
        self: &Arc<Self>,
        registration: Registration,
        now: Timestamp,
    ) -> io::Result<bool> {
        let (relay, generation) = (registration.relay, registration.generation);
        let _alone = self.writing.lock().await;
        let Some((network, stage)) = self.roster().member(&relay).map(|member| {
            let moves = member.registration().is_none_or(|former| former.urls != registration.urls);
            let stage = member.trial().stage();
            let keeps = !moves || matches!(stage, Stage::Quarantined { .. });
            (member.network(), if keeps { stage } else { Stage::Untested })
        }) else {
            return Ok(false);
        };
        let relays = Arc::clone(self);
        off_worker(move || relays.records.put(&registration, network, stage)).await?;
        Ok(self.roster().proved(&relay, generation, now))
    }

    /// Lets something happen in a relay's trial, after what comes of it is durable: nobody sees a stage that a restart
    /// would take back. What cannot be written has not happened, and is looked for again; but a relay that lied or moved
    /// is not trusted on for that.
    pub(crate) async fn on(self: &Arc<Self>, relay: &PublicKey, event: Event<'_>, now: Timestamp) {
        let _alone = self.writing.lock().await;
        let record = self
            .roster()
            .would_write(relay, event, now)
            .and_then(|(member, stage)| Some((member.registration()?.clone(), member.network(), stage)));
        if let Some((registration, network, stage)) = record {
            let relays = Arc::clone(self);
            let written = off_worker(move || relays.records.put(&registration, network, stage)).await;
            if let Err(error) = written {
                tracing::error!(%error, %relay, "how far a relay has come could not be written");
                if !matches!(event, Event::Lied(_) | Event::Moved) {
                    return;
                }
            }
        }
        self.roster().on(relay, event, now);
    }

    /// Removes the records of relays that the roster has forgotten.
    pub(crate) async fn forget(self: &Arc<Self>, lapsed: Vec<Lapsed>) {
        let lapsed: Vec<Lapsed> = lapsed.into_iter().filter(|relay| relay.was_proved).collect();
        if lapsed.is_empty() {
            return;
        }
        let relays = Arc::clone(self);
        off_worker(move || {
            for Lapsed { relay, .. } in lapsed {
                if let Err(error) = relays.records.remove(&relay) {
                    tracing::warn!(%error, %relay, "the record of a forgotten relay stays on disk");
                }
                relays.assigned().remove(&relay);
            }
        })
        .await;
    }

    fn assigned(&self) -> MutexGuard<'_, HashMap<PublicKey, Assigned>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation of what a relay is asked to hold; 0 while its self-test has not passed.
    pub(crate) fn assignment_generation(&self, relay: &PublicKey, offers: &[Offer], now: Timestamp) -> u64 {
        self.assign(relay, offers, now).map_or(0, |assigned| assigned.generation)
    }

    /// The signed assignment of a relay whose self-test has passed.
    pub(crate) fn assignment(
        &self,
        relay: &PublicKey,
        offers: &[Offer],
        identity: &SigningKey,
        now: Timestamp,
    ) -> Option<Result<Vec<u8>, StateError>> {
        let assigned = self.assign(relay, offers, now)?;
        let assignment = Assign {
            v: 1,
            dir: identity.public_key(),
            relay: *relay,
            generation: assigned.generation,
            exp: now.plus(ASSIGNMENT_LIFE),
            catalogs: assigned.catalogs,
        };
        Some(state(assignment, identity))
    }

    fn assign(&self, relay: &PublicKey, offers: &[Offer], now: Timestamp) -> Option<Assigned> {
        let (registration, room) = {
            let roster = self.roster();
            let member = roster.member(relay)?;
            let registration = member.registration().filter(|_| member.trial().has_passed())?;
            (registration.clone(), assignment::room(registration.disk, member.trial().stage()))
        };
        let basis = Basis { registered: registration.generation, room, offers: digest(offers) };
        let former = self.assigned().get(relay).cloned();
        if let Some(same) = former.filter(|former| former.basis == basis) {
            return Some(same);
        }
        let wanted: Vec<&Offer> = offers.iter().filter(|offer| wants(&registration, offer)).collect();
        let catalogs = assignment::assign(relay, &wanted, room);
        let mut assigned = self.assigned();
        let last = assigned.get(relay);
        let generation = match last {
            Some(last) if last.catalogs == catalogs => last.generation,
            // The clock carries generations over restarts, where the last one is not known any more.
            _ => now.0.max(last.map_or(0, |last| last.generation) + 1),
        };
        let fresh = Assigned { generation, catalogs, basis };
        assigned.insert(*relay, fresh.clone());
        Some(fresh)
    }
}

fn digest(offers: &[Offer]) -> u64 {
    let mut hasher = DefaultHasher::new();
    offers.hash(&mut hasher);
    hasher.finish()
}

/// Whether a relay asked for a catalog. With neither names nor tags it asks for everything (docs/relay.md).
pub(crate) fn wants(registration: &Registration, offer: &Offer) -> bool {
    registration.catalogs.is_empty() && registration.tags.is_empty()
        || registration.catalogs.iter().any(|pattern| pattern.matches(&offer.name))
        || registration.tags.iter().any(|tag| offer.tags.contains(tag))
}

#[cfg(test)]
mod tests {
    use odi_manifest::CatalogId;
    use odi_wire::message::{CatalogPattern, DerivedKey};

    use super::*;

    #[test]
    fn names_or_tags_suffice_and_neither_means_everything() {
        let asked = |names: &[&str], tags: &[&str]| Registration {
            relay: SigningKey::from_seed(&[1; 32]).public_key(),
            generation: 1,
            urls: vec![],
            request_key: DerivedKey::from_bytes([1; 32]),
            answer_key: DerivedKey::from_bytes([2; 32]),
            catalogs: names.iter().map(|name| CatalogPattern::parse(name).unwrap()).collect(),
            tags: tags.iter().map(ToString::to_string).collect(),
            disk: 1 << 40,
            rate: 0,
        };
        let offer = Offer {
            id: CatalogId::from_bytes([1; 32]),
            name: "debian".to_owned(),
            tags: vec!["ecosystem:debian".to_owned()],
            bytes: 1,
        };
        for (names, tags, expected) in [
            (&[][..], &[][..], true),
            (&["deb*"], &[], true),
            (&[], &["ecosystem:debian"], true),
            (&["jenkins-*"], &[], false),
            (&[], &["ecosystem:python"], false),
        ] {
            assert_eq!(wants(&asked(names, tags), &offer), expected, "{names:?} {tags:?}");
        }
    }
}
