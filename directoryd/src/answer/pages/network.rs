//! What the first page says.

use odi_manifest::{HeadId, Timestamp};
use odi_wire::message::{DOCUMENT_VERSION, RelayHolding};

use super::census::{Census, Seen};
use super::traffic;
use crate::answer::status::{count_relays, head_status, own_urls};
use crate::catalog::Catalog;
use crate::catalog::lifetime::Terms;
use crate::directory::Directory;
use crate::pages::{CatalogLine, LINES_MAX, NetworkPage, RelayLine, Spread};
use crate::statistics::Subject;

pub(super) fn gather(directory: &Directory) -> NetworkPage {
    let now = directory.clock.now();
    let census = Census::take(directory, now);
    let configured = directory.configured.now();
    let mut catalogs: Vec<CatalogLine> =
        configured.values().map(|catalog| of_catalog(catalog, &census, now)).collect();
    catalogs.sort_by(|one, other| one.name.cmp(&other.name));
    NetworkPage {
        v: DOCUMENT_VERSION,
        id: directory.id,
        urls: own_urls(directory),
        version: env!("CARGO_PKG_VERSION"),
        started: directory.started,
        now,
        counts: count_relays(directory, now),
        catalogs,
        relays: census.relays.iter().take(LINES_MAX).map(|relay| of_relay(directory, relay)).collect(),
        weights: census.weights,
        traffic: traffic::of(directory, Subject::All),
        peers: directory.peers.iter().map(|peer| peer.status(directory)).collect(),
    }
}

fn of_catalog(catalog: &Catalog, census: &Census, now: Timestamp) -> CatalogLine {
    let view = catalog.view();
    let heads = view.newest().map(|state| (state.id, state.head.seq));
    let known = view.known().map(|state| (state.id, state.head.seq));
    let spread = Spread::over(known, census.followers(&catalog.id()).map(|(_, holding)| holding));
    CatalogLine {
        name: catalog.name().to_string(),
        id: catalog.id(),
        title: view.adopted().and_then(|state| state.head.meta.title.clone()),
        lifetime: Terms::of(&catalog.believed(), now).nearest(),
        freshness: catalog.freshness(now).map(|freshness| freshness.state),
        served: view.newest().map(|state| head_status(state)),
        created: view.newest().map(|state| state.head.created),
        waiting: view.waiting(),
        followers: u32::try_from(census.followers(&catalog.id()).count()).unwrap_or(u32::MAX),
        reach: heads.map(|(id, _)| spread.of(&id)).unwrap_or_default(),
        fault: catalog.standing().fault,
    }
}

fn of_relay(directory: &Directory, seen: &Seen) -> RelayLine {
    let catalogs = seen.said.as_ref().map(|said| said.catalogs.as_slice()).unwrap_or_default();
    let holdings = catalogs.iter().map(|holding| RelayHolding {
        id: holding.cat,
        seq: holding.served.iter().find_map(|head: &HeadId| directory.seq_of(&holding.cat, head)),
        share: holding.ranges.share(),
    });
    RelayLine {
        id: seen.relay,
        urls: seen.urls.clone(),
        state: seen.state,
        shut_out: seen.shut,
        weight: seen.weight,
        at: seen.at,
        probed: seen.probed,
        catalogs: holdings.collect(),
    }
}
