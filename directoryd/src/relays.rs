//! The roster at work: one short lock around the pure state machine, and proved registrations durable before they count.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odi_manifest::{PublicKey, Timestamp};
use odi_wire::off_worker::off_worker;

use crate::decisions::{DECISIONS_MAX, DecisionFile};
use crate::placement::Offer;
use crate::relay_records::{Kept, RelayRecords};
use crate::roster::{
    Announced, Announcement, Came, Decision, Event, Examined, Lapsed, Member, Registration, Roster,
    RosterLimits, RosterRefusal, Stage, Verdict,
};

/// The relays that this directory knows.
#[derive(Debug)]
pub(crate) struct Relays {
    roster: Mutex<Roster>,
    records: RelayRecords,
    decisions: DecisionFile,
    /// Held while a record is written, so that an older one never follows a newer.
    writing: tokio::sync::Mutex<()>,
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
        let decisions = DecisionFile::of(data_dir);
        let mut roster = Roster::new(limits, examined);
        for (relay, decision) in decisions.load()? {
            roster.decide(&relay, Some(decision));
        }
        for Kept { registration, network, stage, left } in records.load()? {
            let relay = registration.relay;
            roster.restore(registration, network, stage, now);
            if left {
                roster.had_left(&relay);
            }
        }
        Ok(Self { roster: Mutex::new(roster), records, decisions, writing: tokio::sync::Mutex::default() })
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
        let Some((network, stage, left)) = self.roster().member(&relay).map(|member| {
            let moves = member.registration().is_none_or(|former| former.urls != registration.urls);
            let stage = member.trial().stage();
            let keeps = !moves || matches!(stage, Stage::Quarantined { .. });
            (member.network(), if keeps { stage } else { Stage::Untested }, member.has_left())
        }) else {
            return Ok(false);
        };
        let relays = Arc::clone(self);
        off_worker(move || relays.records.put(&Kept { registration, network, stage, left })).await?;
        Ok(self.roster().proved(&relay, generation, now))
    }

    /// Lets something happen in a relay's trial, after what comes of it is durable: nobody sees a stage that a restart
    /// would take back. What cannot be written has not happened, and is looked for again; but a relay that lied or moved
    /// is not trusted on for that.
    pub(crate) async fn on(self: &Arc<Self>, relay: &PublicKey, event: Event<'_>, now: Timestamp) {
        let _alone = self.writing.lock().await;
        let record =
            self.roster().would_write(relay, event, now).and_then(|(member, stage)| kept(member, stage));
        if let Some(record) = record {
            let relays = Arc::clone(self);
            let written = off_worker(move || relays.records.put(&record)).await;
            if let Err(error) = written {
                tracing::error!(%error, %relay, "how far a relay has come could not be written");
                if !matches!(event, Event::Lied(_) | Event::Moved) {
                    return;
                }
            }
        }
        self.roster().on(relay, event, now);
    }

    /// Takes an inventory, and writes down that a relay is back which had left.
    pub(crate) async fn announce(
        self: &Arc<Self>,
        relay: &PublicKey,
        announcement: Announcement,
        came: Came,
        now: Timestamp,
    ) -> Result<Announced, RosterRefusal> {
        let (announced, is_back) = {
            let mut roster = self.roster();
            let had_left = roster.member(relay).is_some_and(Member::has_left);
            (roster.announce(relay, announcement, came, now)?, had_left)
        };
        if is_back {
            self.write(relay).await;
        }
        Ok(announced)
    }

    /// A relay says farewell. Whether it was known.
    pub(crate) async fn leave(
        self: &Arc<Self>,
        relay: &PublicKey,
        generation: u64,
    ) -> Result<bool, RosterRefusal> {
        let was_known = self.roster().leave(relay, generation)?;
        self.write(relay).await;
        Ok(was_known)
    }

    /// Writes a relay down as it is. That it left, or is back, counts also if that cannot be written: it says so itself again.
    async fn write(self: &Arc<Self>, relay: &PublicKey) {
        let _alone = self.writing.lock().await;
        let record = self.roster().member(relay).and_then(|member| kept(member, member.trial().stage()));
        let Some(record) = record else { return };
        let relays = Arc::clone(self);
        if let Err(error) = off_worker(move || relays.records.put(&record)).await {
            tracing::error!(%error, %relay, "whether a relay has left could not be written");
        }
    }

    /// Takes what the operator decides about a relay, after it is durable; `None` lets it be as if nothing had been decided. Whether the
    /// relay is known here.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        relay: PublicKey,
        decision: Option<Decision>,
        now: Timestamp,
    ) -> io::Result<bool> {
        let removes = decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Removed);
        let is_known;
        let ends_quarantine =
            !decision.as_ref().is_some_and(|decision| decision.verdict != Verdict::Approved);
        {
            let _alone = self.writing.lock().await;
            let mut decisions = self.roster().decisions().clone();
            match decision.clone() {
                Some(decision) => _ = decisions.insert(relay, decision),
                None => _ = decisions.remove(&relay),
            }
            if decisions.len() > DECISIONS_MAX {
                return Err(io::Error::other(format!("{DECISIONS_MAX} relays are decided about already")));
            }
            let relays = Arc::clone(self);
            off_worker(move || {
                relays.decisions.save(&decisions)?;
                if removes { relays.records.remove(&relay) } else { Ok(()) }
            })
            .await?;
            is_known = self.roster().decide(&relay, decision);
        }
        if ends_quarantine {
            self.on(&relay, Event::Released, now).await;
        }
        Ok(is_known)
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
            }
        })
        .await;
    }
}

/// What is written of a relay that has proved itself.
fn kept(member: &Member, stage: Stage) -> Option<Kept> {
    let (registration, network) = (member.registration()?.clone(), member.network());
    Some(Kept { registration, network, stage, left: member.has_left() })
}

/// Whether a relay asked for a catalog. With neither names nor tags it asks for everything (docs/relay.md).
pub(crate) fn wants(registration: &Registration, offer: &Offer) -> bool {
    registration.catalogs.is_empty() && registration.tags.is_empty()
        || registration.catalogs.iter().any(|pattern| pattern.matches(&offer.name))
        || registration.tags.iter().any(|tag| offer.tags.contains(tag))
}

#[cfg(test)]
mod tests {
    use odi_manifest::{CatalogId, SigningKey};
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
            place: None,
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
