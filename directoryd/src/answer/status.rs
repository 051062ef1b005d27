//! Who this directory is and how it is doing, as JSON for tools.

use odi_manifest::Timestamp;
use odi_wire::catalog_settings::ClientInstructions;
use odi_wire::http::HeaderValue;
use odi_wire::message::{
    CatalogSummary, DOCUMENT_VERSION, DaemonKind, DirectoryCatalog, DirectoryStatus, HeadStatus, JSON,
    RelayCounts, ServedCatalog, WellKnown, to_json,
};
use odi_wire::serve::Response;

use crate::catalog::Catalog;
use crate::catalog::lifetime::Terms;
use crate::catalog::view::State;
use crate::customary::with_customary;
use crate::directory::Directory;
use crate::roster::Standing;

pub(super) fn well_known(directory: &Directory) -> Response {
    let catalogs = directory.catalogs();
    let served = catalogs.iter().filter_map(|catalog| {
        let seq = catalog.view().newest()?.head.seq;
        Some(ServedCatalog { name: catalog.name().to_string(), id: catalog.id(), seq })
    });
    json(&WellKnown {
        v: DOCUMENT_VERSION,
        kind: DaemonKind::Directory,
        id: directory.id,
        urls: own_urls(directory),
        catalogs: served.collect(),
    })
}

/// The catalogs by their newest adopted heads, which is what relays follow.
pub(super) fn catalogs(directory: &Directory) -> Response {
    let now = directory.clock.now();
    let summary = |catalog: &std::sync::Arc<Catalog>| {
        let view = catalog.view();
        let state = view.adopted()?;
        Some(CatalogSummary {
            name: catalog.name().to_string(),
            id: catalog.id(),
            seq: state.head.seq,
            head: state.id,
            pin: state.pin,
            entries: state.tree.entries,
            bytes: state.tree.bytes,
            expires: state.head.expires,
            stale: catalog.believed().is_stale(now),
            tags: state.head.meta.tags.iter().cloned().collect(),
            title: state.head.meta.title.clone(),
            clients: clients(catalog, &url_of(directory, catalog)),
        })
    };
    let summaries: Vec<CatalogSummary> = directory.catalogs().iter().filter_map(summary).collect();
    json(&summaries)
}

/// Where clients reach this directory: scheme and authority, without a slash.
pub(super) fn own_urls(directory: &Directory) -> Vec<String> {
    let urls = directory.config.public_urls.iter();
    urls.map(|url| url.as_str().trim_end_matches('/').to_owned()).collect()
}

/// Where a catalog is here, with a slash at its end.
pub(super) fn url_of(directory: &Directory, catalog: &Catalog) -> String {
    let base = own_urls(directory).into_iter().next();
    format!("{}/{}/", base.unwrap_or_default(), catalog.name())
}

/// How people point their clients at a catalog that is at this URL: as its settings say, and as its tags let expect.
pub(super) fn clients(catalog: &Catalog, url: &str) -> Vec<ClientInstructions> {
    let view = catalog.view();
    let tags = view.adopted().map(|state| state.head.meta.tags.as_slice()).unwrap_or_default();
    with_customary(catalog.settings.now().clients(), tags, url)
}

pub(super) fn status(directory: &Directory) -> Response {
    json(&status_document(directory))
}

/// The whole status, for the API and for readiness.
pub(crate) fn status_document(directory: &Directory) -> DirectoryStatus {
    let now = directory.clock.now();
    let relays = count_relays(directory, now);
    let catalogs: Vec<DirectoryCatalog> =
        directory.catalogs().iter().map(|catalog| catalog_status(directory, catalog, now)).collect();
    let known = relays.unproven + relays.probation + relays.ready + relays.quarantined;
    let ready = catalogs.iter().all(|catalog| catalog.served.is_some()) && (known == 0 || relays.ready > 0);
    DirectoryStatus {
        v: DOCUMENT_VERSION,
        kind: DaemonKind::Directory,
        id: directory.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: directory.started,
        ready,
        catalogs,
        relays,
        peers: directory.peers.iter().map(|peer| peer.status(directory)).collect(),
        carried_bytes: directory.carry.bytes(),
        carry_budget: directory.config.carry.0,
    }
}

pub(super) fn count_relays(directory: &Directory, now: Timestamp) -> RelayCounts {
    let mut counts = RelayCounts::default();
    for member in directory.relays.roster().members() {
        // Whoever has no lease takes no traffic, whatever it did before.
        let counter = match member.standing(now) {
            Standing::Unproven => &mut counts.unproven,
            Standing::Ready if member.is_alive(now) => &mut counts.ready,
            Standing::Probation | Standing::Ready => &mut counts.probation,
            Standing::Quarantined => &mut counts.quarantined,
        };
        *counter += 1;
    }
    counts
}

fn catalog_status(directory: &Directory, catalog: &Catalog, now: Timestamp) -> DirectoryCatalog {
    let view = catalog.view();
    let standing = catalog.standing();
    let believed = catalog.believed();
    let terms = Terms::of(&believed, now);
    DirectoryCatalog {
        name: catalog.name().to_string(),
        id: catalog.id(),
        adopted: view.adopted().map(|state| head_status(state)),
        served: view.newest().map(|state| head_status(state)),
        polled: standing.polled,
        stale: believed.is_stale(now),
        lifetime: terms.nearest(),
        root_expires: terms.root.map(|root| root.expires),
        freshness: catalog.freshness(now),
        equivocations: catalog.equivocations(),
        relays: u32::try_from(directory.inventories_of(&catalog.id(), now).len()).unwrap_or(u32::MAX),
        fault: standing.fault,
        settings_fault: catalog.settings.fault(),
    }
}

pub(super) fn head_status(state: &State) -> HeadStatus {
    HeadStatus {
        seq: state.head.seq,
        head: state.id,
        pin: state.pin,
        entries: state.tree.entries,
        bytes: state.tree.bytes,
        expires: state.head.expires,
    }
}

fn json<T: serde::Serialize>(document: &T) -> Response {
    Response::ok(JSON, to_json(document)).with_header("cache-control", HeaderValue::from_static("no-store"))
}
