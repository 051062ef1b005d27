//! Looking at relays for as long as they are sent clients, and what follows from what was seen.
//!
//! `probing` draws what a look is at; here is what comes after: another relay looks as well, a second one confirms what the first saw,
//! and a lie becomes a signed report (wire/PROTOCOL.md § Audits). What sights mean is pure: [`sights`]; what looks are worth: [`odds`].

pub mod odds;
pub(crate) mod plan;
pub(crate) mod sights;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::PublicKey;
use odi_wire::http::StatusCode;
use odi_wire::message::{AUDIT_URL_BYTES_MAX, Audit, LOOKED_BYTES_MAX, Look, Looked, SEEN_BYTES_MAX};
use odi_wire::off_worker::off_worker;
use tokio::sync::Semaphore;

use crate::config::PrivateAddresses;
use crate::directory::Directory;
use crate::network::Network;
use crate::probe::{Verdict, WrongBytes};
use crate::probing::{self, Place};
use crate::roster::{Event, Member, Registration, Stage};
use crate::to_relay::{Post, body_of};
use plan::Plan;
use sights::{Judgement, Saw, Sight, Unconfirmed};

/// Where a relay is asked to look at another.
const LOOK: &str = "/odi/v1/look";
/// The capability of relays that agreed to it.
const VANTAGE: &str = "vantage";
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Relays that are looked at through others at once: those others may be slow, and looks of this directory must not wait for them.
const AT_ONCE: usize = 32;

/// What became of looks, counted since the start, and whose word was not confirmed.
#[derive(Debug)]
pub(crate) struct Audits {
    counts: [AtomicU64; Outcome::ALL.len()],
    unconfirmed: Mutex<Unconfirmed>,
    turns: Semaphore,
}

impl Default for Audits {
    fn default() -> Self {
        let (counts, unconfirmed) = Default::default();
        Self { counts, unconfirmed, turns: Semaphore::new(AT_ONCE) }
    }
}

/// What became of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The right bytes.
    Matched,
    /// No usable answer.
    Failed,
    /// Wrong bytes, or what was taken back: the relay is quarantined.
    Lied,
    /// The right bytes, through another relay.
    MatchedElsewhere,
    /// No usable answer through another relay.
    FailedElsewhere,
    /// Wrong bytes through another relay, which nobody confirmed.
    Doubtful,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Matched,
        Self::Failed,
        Self::Lied,
        Self::MatchedElsewhere,
        Self::FailedElsewhere,
        Self::Doubtful,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Failed => "failed",
            Self::Lied => "lied",
            Self::MatchedElsewhere => "matched-elsewhere",
            Self::FailedElsewhere => "failed-elsewhere",
            Self::Doubtful => "doubtful",
        }
    }
}

impl Audits {
    pub(crate) fn count(&self, outcome: Outcome) {
        let at = Outcome::ALL.iter().position(|known| *known == outcome);
        if let Some(count) = at.and_then(|at| self.counts.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every outcome and how often it came.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Outcome::ALL.iter().map(|outcome| outcome.name().to_owned()).zip(counts)
    }

    fn unconfirmed(&self) -> MutexGuard<'_, Unconfirmed> {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relay that may be asked to look at others.
#[derive(Clone, Debug)]
struct Vantage {
    registration: Registration,
    network: Option<Network>,
}

/// What came of one look through another relay.
enum Seen {
    Right,
    Wrong(WrongBytes),
    Nothing(String),
}

impl Seen {
    const fn saw(&self) -> Saw {
        match self {
            Self::Right => Saw::Right,
            Self::Wrong(_) => Saw::Wrong,
            Self::Nothing(_) => Saw::Nothing,
        }
    }
}

impl Directory {
    /// The look that random numbers draw.
    pub(crate) fn plan_look(&self) -> Plan {
        Plan::drawn([self.draw(), self.draw(), self.draw(), self.draw()])
    }
}

/// Has another relay look at one that this directory has just found honest. Whoever sees something else there is not believed alone.
/// Where many are looked at so already, this one is not.
pub(crate) async fn through_another(directory: &Arc<Directory>, relay: &PublicKey) {
    let Ok(_turn) = directory.audits.turns.try_acquire() else { return };
    let Some(first) = vantage(directory, relay, None) else { return };
    let plan = Plan { whole: false, ..directory.plan_look() };
    let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, probing::place(directory, relay, plan)).await else {
        return;
    };
    let place = Arc::new(place);
    let wrong = match see(directory, &first, &place).await {
        Seen::Wrong(wrong) => wrong,
        Seen::Right => {
            directory.audits.count(Outcome::MatchedElsewhere);
            directory.relays.roster().seen_elsewhere(relay);
            return;
        }
        Seen::Nothing(why) => {
            tracing::debug!(%relay, by = %first.registration.relay, why, "another relay saw nothing there");
            directory.audits.count(Outcome::FailedElsewhere);
            return;
        }
    };
    let own = tokio::time::timeout(PATIENCE, place.look(directory, plan)).await;
    let mut sights = vec![first.sight(Saw::Wrong)];
    if let Some(second) = vantage(directory, relay, Some(&first)) {
        sights.push(second.sight(see(directory, &second, &place).await.saw()));
    }
    let (saw, wrong) = match own {
        Ok(Verdict::Matched) => (Saw::Right, wrong),
        Ok(Verdict::WrongBytes(wrong)) => (Saw::Wrong, wrong),
        Ok(Verdict::Failed(_)) | Err(_) => (Saw::Nothing, wrong),
    };
    let now = directory.clock.now();
    match sights::judge(saw, &sights) {
        Judgement::Lies => {
            let words = "it gave wrong bytes to another relay that looked for this directory";
            tracing::warn!(%relay, seen = sights.len(), "a relay lies to some, and is quarantined");
            directory.audits.count(Outcome::Lied);
            if saw == Saw::Right {
                // Two that agree against what this directory saw may be two of one hand: each pair does that twice a day at most.
                for sight in sights.iter().filter(|sight| sight.saw == Saw::Wrong) {
                    directory.audits.unconfirmed().note(sight.by, *relay, now);
                }
            }
            directory.relays.on(relay, Event::Lied(words), now).await;
            report(directory, relay, &place, wrong, saw == Saw::Wrong, &sights).await;
        }
        Judgement::Doubtful => {
            let by = first.registration.relay;
            tracing::warn!(%relay, %by, "another relay says that it got wrong bytes there, and nobody else does");
            directory.audits.count(Outcome::Doubtful);
            if saw == Saw::Right {
                // Where this directory saw nothing, nobody contradicts it.
                directory.audits.unconfirmed().note(by, *relay, now);
            }
            let words = "another relay says that it got wrong bytes from it; it is looked at anew";
            directory.relays.on(relay, Event::Reported(words), now).await;
        }
        Judgement::Clear => {}
    }
}

/// Makes the report of a lie that this directory has met itself, confirmed by other relays where there are any.
pub(crate) async fn confirmed(
    directory: &Arc<Directory>,
    relay: &PublicKey,
    place: Place,
    wrong: WrongBytes,
) {
    let place = Arc::new(place);
    let mut sights = Vec::new();
    let turn = directory.audits.turns.try_acquire();
    if turn.is_ok() && place.spot.len() <= SEEN_BYTES_MAX {
        let first = vantage(directory, relay, None);
        let second = first.as_ref().and_then(|first| vantage(directory, relay, Some(first)));
        for vantage in first.into_iter().chain(second) {
            sights.push(vantage.sight(see(directory, &vantage, &place).await.saw()));
        }
    }
    report(directory, relay, &place, wrong, true, &sights).await;
}

async fn report(
    directory: &Arc<Directory>,
    relay: &PublicKey,
    place: &Place,
    wrong: WrongBytes,
    own: bool,
    sights: &[Sight],
) {
    let wrongs = sights.iter().filter(|sight| sight.saw == Saw::Wrong);
    let mut seen: Vec<PublicKey> = wrongs.map(|sight| sight.by).collect();
    seen.sort_unstable();
    seen.dedup();
    if place.url.as_str().len() > AUDIT_URL_BYTES_MAX {
        return;
    }
    let audit = Audit {
        v: 1,
        by: directory.id,
        relay: *relay,
        t: directory.clock.now(),
        url: place.url.to_string(),
        cat: place.catalog.id(),
        head: place.head,
        blob: place.entry.blob,
        off: wrong.off,
        len: wrong.len,
        got: wrong.got,
        own,
        seen,
    };
    directory.reports.add(directory, audit).await;
}

impl Vantage {
    const fn sight(&self, saw: Saw) -> Sight {
        Sight { by: self.registration.relay, network: self.network, saw }
    }
}

/// Draws a relay that agreed to look at others: ready, not the one that is looked at, and after a first one preferably of another
/// network.
fn vantage(directory: &Directory, relay: &PublicKey, after: Option<&Vantage>) -> Option<Vantage> {
    let now = directory.clock.now();
    let is_lab = directory.config.private_addresses == PrivateAddresses::Allowed;
    let unconfirmed = directory.audits.unconfirmed();
    let roster = directory.relays.roster();
    let may = |member: &&Member| {
        member.relay() != *relay
            && member.trial().stage() == Stage::Ready
            && member.announced().is_some_and(|said| said.inventory.can(VANTAGE))
            && after.is_none_or(|first| first.registration.relay != member.relay())
            && unconfirmed.has_voice(&member.relay(), now)
    };
    let vantage = |member: &Member| {
        let network = (!is_lab).then(|| member.network());
        Some(Vantage { registration: member.registration()?.clone(), network })
    };
    let mut candidates: Vec<Vantage> = roster.selectable(now).filter(may).filter_map(vantage).collect();
    drop(roster);
    let is_apart = |candidate: &Vantage| {
        let first = after.and_then(|first| first.network);
        first.is_none_or(|first| candidate.network != Some(first))
    };
    if candidates.iter().any(is_apart) {
        candidates.retain(is_apart);
    }
    let at = usize::try_from(directory.draw()).unwrap_or(0).checked_rem(candidates.len())?;
    Some(candidates.swap_remove(at))
}

/// Has a relay look at a place, and compares what it got.
async fn see(directory: &Directory, vantage: &Vantage, place: &Arc<Place>) -> Seen {
    let looked = match tokio::time::timeout(PATIENCE, ask(directory, vantage, place)).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(why)) => return Seen::Nothing(why),
        Err(_) => return Seen::Nothing("it takes too long".to_owned()),
    };
    let expected = if place.spot.range().is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if looked.status != expected.as_u16() {
        return Seen::Nothing(format!("it was answered {} instead of {expected}", looked.status));
    }
    let place = Arc::clone(place);
    let judged =
        off_worker(move || place.spot.judge(&looked.bytes, &place.entry, place.list.as_deref())).await;
    match judged {
        Verdict::Matched => Seen::Right,
        Verdict::WrongBytes(wrong) => Seen::Wrong(wrong),
        Verdict::Failed(why) => Seen::Nothing(why),
    }
}

async fn ask(directory: &Directory, vantage: &Vantage, place: &Place) -> Result<Looked, String> {
    let range = place.spot.range().map(|range| (range.start, range.end));
    let look = Look { v: 1, dir: directory.id, url: place.url.to_string(), range };
    let body = look.encode().map_err(|error| error.to_string())?;
    let post = Post { path: LOOK, body, reply_bytes_max: LOOKED_BYTES_MAX };
    let body = body_of(post.send_first(directory, &vantage.registration).await?).await?;
    Looked::decode(&body).map_err(|_| "it answered something else".to_owned())
}
