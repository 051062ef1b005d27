//! What the page of a relay says.

use std::sync::Arc;

use odi_manifest::{PublicKey, Timestamp};
use odi_wire::message::{CatalogInventory, DOCUMENT_VERSION, Inventory, RelayState};

use super::census::Census;
use super::traffic;
use crate::audit::odds;
use crate::directory::Directory;
use crate::pages::{HoldingLine, LINES_MAX, RelayPage, Step};
use crate::roster::{Member, Registration, RosterLimits, Stage, Standing};
use crate::statistics::Subject;

/// `None` if this directory does not know the relay.
pub(super) fn gather(directory: &Directory, relay: &PublicKey) -> Option<RelayPage> {
    let now = directory.clock.now();
    let census = Census::take(directory, now);
    let seen = census.relays.iter().find(|seen| seen.relay == *relay)?;
    let said = seen.said.as_deref();
    let traffic = traffic::of(directory, Subject::Relay(*relay));
    let page = {
        let roster = directory.relays.roster();
        let member = roster.member(relay)?;
        let registration = member.registration();
        RelayPage {
            v: DOCUMENT_VERSION,
            id: *relay,
            urls: seen.urls.clone(),
            now,
            state: seen.state,
            step: step(member, roster.limits(), now),
            reason: member.reason().map(str::to_owned),
            decision: member.decision().cloned(),
            shut_out: seen.shut,
            lease_until: Some(member.lease_until()).filter(|until| until.0 > 0),
            probed: seen.probed,
            weight: seen.weight,
            weights: census.weights,
            rate: said
                .and_then(Inventory::rate)
                .or_else(|| registration.map(|said| said.rate).filter(|rate| *rate > 0)),
            disk: registration.map(|said| said.disk),
            wants: registration.map(wants).unwrap_or_default(),
            announced: said.map(|said| said.t),
            caps: said.map(|said| said.caps.clone()).unwrap_or_default(),
            catalogs: Vec::new(),
            traffic,
            reported_by: reporters(&census, relay),
            looks: member.looks(),
            history: directory.statistics.histories().of(relay).cloned().collect(),
            lies_less_than_one_in: odds::one_in(member.looks().matched),
            audits: directory.reports.audits_of(relay).into_iter().take(LINES_MAX).collect(),
            reports: directory.reports.of(relay),
            bans: said.map(|said| said.bans.clone()).unwrap_or_default(),
        }
    };
    let held = said.map(|said| said.catalogs.as_slice()).unwrap_or_default();
    let mut catalogs: Vec<HoldingLine> =
        held.iter().map(|holding| holding_line(directory, holding)).collect();
    // What it is tested with interests few, and what this directory does not follow it knows least of.
    let selftest = directory.selftest.catalog.id();
    catalogs.sort_by_key(|line| (line.name.is_none(), line.id == selftest));
    Some(RelayPage { catalogs, ..page })
}

fn step(member: &Member, limits: &RosterLimits, now: Timestamp) -> Step {
    match (member.standing(now), member.trial().stage()) {
        _ if member.is_barred() => Step::Barred,
        (Standing::Unproven, _) => Step::Unproven,
        (_, Stage::Quarantined { until }) if now < until => Step::Quarantined { until },
        (_, Stage::Untested | Stage::Quarantined { .. }) => Step::Untested,
        (_, Stage::Probation { matched }) => Step::Probation { matched, wanted: limits.probation_probes },
        (_, Stage::Ready) => Step::Ready,
    }
}

fn wants(registration: &Registration) -> Vec<String> {
    let names = registration.catalogs.iter().map(ToString::to_string);
    names.chain(registration.tags.iter().cloned()).collect()
}

/// The live relays that ban this one; what liars say is passed over, as in `/odi/v1/relays`.
fn reporters(census: &Census, relay: &PublicKey) -> Vec<PublicKey> {
    let bans = |said: &Arc<Inventory>| said.relay != *relay && said.bans.binary_search(relay).is_ok();
    let heard = census.relays.iter().filter(|seen| seen.lives && seen.state != RelayState::Quarantined);
    let reporters = heard.filter(|seen| seen.said.as_ref().is_some_and(bans));
    reporters.map(|seen| seen.relay).take(LINES_MAX).collect()
}

fn holding_line(directory: &Directory, holding: &CatalogInventory) -> HoldingLine {
    let catalog = directory.catalog(&holding.cat);
    let newest = catalog.as_ref().and_then(|catalog| catalog.view().newest().cloned());
    let seq = |head| directory.seq_of(&holding.cat, head);
    HoldingLine {
        id: holding.cat,
        name: catalog.map(|catalog| catalog.name().to_string()),
        seq: holding.served.iter().find_map(seq),
        full: holding.full.as_ref().and_then(seq),
        share: holding.ranges.share(),
        bytes: newest.map(|state| holding.ranges.expected_bytes(state.tree.bytes)),
        beside: holding.plus.len(),
        lacks: holding.minus.len(),
    }
}
