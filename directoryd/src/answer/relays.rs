//! What relays say to a directory, and what it passes on about them.
//!
//! Every statement is judged in the same order: the caller's pace, size, signature, audience, time, and only then the
//! roster, so that a stranger costs one signature check at most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{CatalogId, PublicKey, RecordKind, Timestamp, Verified};
use odi_wire::http::header::CONTENT_TYPE;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{
    CBOR, HOLDERS_BYTES_MAX, HOLDERS_MAX, Inventory, JSON, LeaseReply, Leave, RegistrationReply,
    RelayHolding, RelayReg, RelayState, RelaySummary, Statement, StatementError, encode_holders, open,
    to_json,
};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Request, Response, Scheme};

use crate::config::PrivateAddresses;
use crate::directory::{Directory, Large};
use crate::network::Network;
use crate::roster::{Announced, Announcement, Came, Member, Registration, RosterRefusal, Standing};

/// How far a relay's clock may be off in a registration.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(300);
/// For how long the list of holders is given as it was made, if nobody came or went meanwhile.
const HOLDERS_KEPT: Duration = Duration::from_secs(10);
/// When a relay that met a full roster may come back.
const FULL_RETRY: Duration = Duration::from_secs(600);

pub(super) async fn register(directory: &Directory, mut request: Request) -> Result<Response, Refusal> {
    let now = directory.clock.now();
    let network = Network::of(request.peer.ip());
    directory.pace_signed(network)?;
    if directory.scheme_of(&request) == Scheme::Http
        && directory.config.private_addresses == PrivateAddresses::Refused
    {
        return Err(Refusal::Forbidden("a registration carries a secret and comes over https".into()));
    }
    let body = request.read_body(RecordKind::RelayReg.envelope_bytes_max()).await?;
    let registration = opened::<RelayReg>(&body)?;
    judge_registration(directory, &registration, now)?;
    let relay = registration.relay;
    let standing =
        directory.relays.roster().register(accepted(&registration), network, now).map_err(refused)?;
    directory.relays_due.notify_one();
    tracing::info!(%relay, ?standing, "a relay registered");
    let reply = RegistrationReply { state: relay_state(standing) };
    Ok(json(StatusCode::ACCEPTED, to_json(&reply)))
}

fn judge_registration(directory: &Directory, said: &RelayReg, now: Timestamp) -> Result<(), Refusal> {
    let unprocessable = |reason: &'static str| Err(Refusal::Unprocessable(reason.into()));
    if said.dir != directory.id {
        return unprocessable("the registration is meant for another directory");
    }
    if said.ct.0.abs_diff(now.0) > CLOCK_OFF_MAX.as_secs() {
        return unprocessable("the registration was made more than five minutes from now; check both clocks");
    }
    let own = |url: &url::Url| said.urls.iter().any(|claimed| claimed.to_url() == *url);
    if directory.config.public_urls.iter().any(own) {
        return unprocessable("that URL is this directory's own");
    }
    Ok(())
}

fn accepted(said: &RelayReg) -> Registration {
    Registration {
        relay: said.relay,
        generation: said.generation,
        urls: said.urls.clone(),
        request_key: said.psk.request_key(&said.dir, &said.relay),
        answer_key: said.psk.answer_key(&said.dir, &said.relay),
        catalogs: said.catalogs.clone(),
        tags: said.tags.clone(),
        disk: said.disk,
        rate: said.rate,
        place: said.place.clone(),
    }
}

pub(super) async fn announce(directory: &Directory, mut request: Request) -> Result<Response, Refusal> {
    let now = directory.clock.now();
    directory.pace_signed(Network::of(request.peer.ip()))?;
    let body = request.read_body(RecordKind::Inventory.envelope_bytes_max()).await?;
    let inventory = opened::<Inventory>(&body)?;
    if inventory.exp <= now {
        return Err(Refusal::Unprocessable("the inventory has expired; check both clocks".into()));
    }
    let relay = inventory.relay;
    let announcement = Announcement { inventory: Arc::new((*inventory).clone()), envelope: body };
    let announced = directory.hear(announcement, Came::Directly, now).await.map_err(refused)?;
    Ok(json(StatusCode::OK, to_json(&lease_reply(directory, &relay, announced).await)))
}

async fn lease_reply(directory: &Directory, relay: &PublicKey, announced: Announced) -> LeaseReply {
    let roster_gen = directory.relays.roster().revision();
    let nothing =
        |state| LeaseReply { state, lease_until: Timestamp(0), assignment_gen: 0, roster_gen, reason: None };
    let (standing, until) = match announced {
        Announced::Unknown => return nothing(RelayState::Unknown),
        Announced::Unproven => {
            let roster = directory.relays.roster();
            let failed = roster.member(relay).and_then(Member::reason);
            let reason = failed.unwrap_or("nothing is kept of an inventory before the challenge is answered");
            return LeaseReply { reason: Some(reason.to_owned()), ..nothing(RelayState::Unproven) };
        }
        Announced::Lease { standing, until } => (standing, until),
    };
    let assignment_gen = directory.plan().await.generation(relay);
    let reason =
        directory.relays.roster().member(relay).and_then(|member| member.reason().map(str::to_owned));
    // A relay that waits for its first probe has something to show now.
    directory.relays_due.notify_one();
    LeaseReply { state: relay_state(standing), lease_until: until, assignment_gen, roster_gen, reason }
}

pub(super) async fn leave(directory: &Directory, mut request: Request) -> Result<Response, Refusal> {
    directory.pace_signed(Network::of(request.peer.ip()))?;
    let body = request.read_body(RecordKind::Leave.envelope_bytes_max()).await?;
    let farewell = opened::<Leave>(&body)?;
    let was_known = directory.relays.leave(&farewell.relay, farewell.generation).await.map_err(refused)?;
    let state = if was_known { RelayState::Probation } else { RelayState::Unknown };
    tracing::info!(relay = %farewell.relay, "a relay left");
    let roster_gen = directory.relays.roster().revision();
    let reply = LeaseReply { state, lease_until: Timestamp(0), assignment_gen: 0, roster_gen, reason: None };
    Ok(json(StatusCode::OK, to_json(&reply)))
}

pub(super) async fn assignment(directory: &Directory, relay: &[u8; 32]) -> Result<Response, Refusal> {
    let relay = PublicKey::from_bytes(relay).map_err(|_| Refusal::NotFound)?;
    let signed = directory.assignment(&relay).await.ok_or(Refusal::NotFound)?;
    let envelope = signed.map_err(|error| super::internal(&error))?;
    Ok(Response::ok(CBOR, envelope).with_header("cache-control", HeaderValue::from_static("no-store")))
}

/// The inventories of relays that live, have passed their self-test and hold something of a catalog.
pub(super) async fn holders(
    directory: &Directory,
    request: &Request,
    catalog: &CatalogId,
) -> Result<Response, Refusal> {
    if directory.catalog(catalog).is_none() {
        return Err(Refusal::NotFound);
    }
    directory.pace(Network::of(request.peer.ip()))?;
    let now = directory.clock.now();
    let revision = directory.relays.roster().revision();
    let key = Large::Holders(*catalog, revision, now.0 / HOLDERS_KEPT.as_secs());
    let answer = directory.large.answer(key, HOLDERS_BYTES_MAX as u64, async || {
        let envelopes: Vec<Bytes> = {
            let roster = directory.relays.roster();
            let holders = roster.passed(now).filter(|member| member.holding(catalog).is_some());
            holders
                .filter_map(Member::announced)
                .map(|said| said.envelope.clone())
                .take(HOLDERS_MAX)
                .collect()
        };
        Ok(off_worker(move || encode_holders(envelopes.iter().map(Bytes::as_ref))).await)
    });
    Ok(Response::ok(CBOR, answer.await?).with_header("cache-control", HeaderValue::from_static("no-store")))
}

/// The relays, for people and tools. Whoever asks again and again holds up nobody's redirect: thousands of them take milliseconds.
pub(super) async fn list(directory: &Arc<Directory>, request: &Request) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let directory = Arc::clone(directory);
    let listed = off_worker(move || to_json(&summaries(&directory))).await;
    Ok(json(StatusCode::OK, listed))
}

fn summaries(directory: &Directory) -> Vec<RelaySummary> {
    let now = directory.clock.now();
    let roster = directory.relays.roster();
    let mut reports: BTreeMap<PublicKey, u32> = BTreeMap::new();
    let honest = roster.live(now).filter(|member| member.standing(now) != Standing::Quarantined);
    for said in honest.filter_map(Member::announced) {
        for accused in said.inventory.bans.iter().filter(|accused| **accused != said.inventory.relay) {
            *reports.entry(*accused).or_default() += 1;
        }
    }
    let reports = |member: &Member| reports.get(&member.relay()).copied().unwrap_or(0);
    roster.members().map(|member| summary(directory, member, reports(member), now)).collect()
}

fn summary(directory: &Directory, member: &Member, reports: u32, now: Timestamp) -> RelaySummary {
    let catalogs = member.announced().map(|said| said.inventory.catalogs.as_slice()).unwrap_or_default();
    let holdings = catalogs.iter().map(|holding| RelayHolding {
        id: holding.cat,
        seq: holding.served.iter().find_map(|head| directory.seq_of(&holding.cat, head)),
        share: holding.ranges.share(),
    });
    RelaySummary {
        id: member.relay(),
        urls: member.urls().iter().map(ToString::to_string).collect(),
        state: relay_state(member.standing(now)),
        lease_until: member.lease_until(),
        probed: member.trial().probed(),
        reports,
        catalogs: holdings.collect(),
        reason: member.reason().map(str::to_owned),
    }
}

fn opened<T: Statement>(body: &[u8]) -> Result<Verified<T>, Refusal> {
    open::<T>(body).map_err(|error| match error {
        StatementError::Malformed(reason) => {
            Refusal::bad_request(format!("the statement is malformed: {reason}"))
        }
        StatementError::Unsigned(_) | StatementError::OtherAuthor { .. } => Refusal::Unauthorized,
    })
}

fn refused(refusal: RosterRefusal) -> Refusal {
    match refusal {
        RosterRefusal::UnprovenUrls => Refusal::Unprocessable(refusal.to_string().into()),
        RosterRefusal::Removed => Refusal::Forbidden(refusal.to_string().into()),
        RosterRefusal::StaleGeneration { .. } | RosterRefusal::Left => {
            Refusal::Conflict(refusal.to_string().into())
        }
        RosterRefusal::Full | RosterRefusal::NetworkFull | RosterRefusal::TooManyUnproven => {
            Refusal::unavailable(refusal.to_string(), FULL_RETRY)
        }
    }
}

pub(crate) const fn relay_state(standing: Standing) -> RelayState {
    match standing {
        Standing::Unproven => RelayState::Unproven,
        Standing::Probation => RelayState::Probation,
        Standing::Ready => RelayState::Ready,
        Standing::Quarantined => RelayState::Quarantined,
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    Response::new(status)
        .with_header(CONTENT_TYPE, HeaderValue::from_static(JSON))
        .with_header("cache-control", HeaderValue::from_static("no-store"))
        .with_body(body)
}
