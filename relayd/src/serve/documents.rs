//! What a relay says about itself, and folders.

use odi_manifest::Child;
use odi_wire::listing::{Page, Row};
use odi_wire::message::{
    BudgetStatus, DOCUMENT_VERSION, DaemonKind, JSON, RelayState, RelayStatus, STATUS_LIST_MAX,
    ServedCatalog, WellKnown, to_json,
};
use odi_wire::serve::Response;
use odi_wire::sync::RetainedHead;

use crate::catalog::Catalog;
use crate::relay::Relay;

/// `/`: what this is, and what it has.
pub(super) fn front_page(relay: &Relay) -> Response {
    let mut text = String::from("This is a relay of the Open Distribution Initiative. It serves:\n\n");
    for catalog in relay.catalogs.all() {
        text.push_str(&format!("  /{}/\n", catalog.name));
    }
    text.push_str("\nHow it is: /odi/v1/status\n");
    Response::ok("text/plain; charset=utf-8", text)
}

/// `/.well-known/odi`.
pub(super) fn well_known(relay: &Relay) -> Response {
    let served = |catalog: std::sync::Arc<Catalog>| {
        Some(ServedCatalog {
            name: catalog.name.to_string(),
            id: *catalog.id(),
            seq: catalog.state().newest()?.seq(),
        })
    };
    let document = WellKnown {
        v: DOCUMENT_VERSION,
        kind: DaemonKind::Relay,
        id: relay.identity.public_key(),
        urls: relay.config.public_urls.iter().map(ToString::to_string).collect(),
        catalogs: relay.catalogs.all().into_iter().filter_map(served).collect(),
    };
    Response::ok(JSON, to_json(&document))
}

/// `/odi/v1/status`.
pub(super) fn status(relay: &Relay) -> Response {
    Response::ok(JSON, to_json(&status_document(relay)))
}

/// The whole status, for the API and for what measures.
pub(crate) fn status_document(relay: &Relay) -> RelayStatus {
    let now = relay.clock.now();
    let terms = relay.terms();
    let assigner = relay.assigner().map(|directory| directory.url.clone());
    let catalogs = relay.catalogs.all();
    let directories = relay.directories.all();
    // What an introduced directory has pending makes nobody unready.
    let agreed = relay.directories.agreed_to();
    let counts = |catalog: &Catalog| agreed.iter().any(|(id, _)| id == catalog.id());
    let mut configured = directories.iter().filter(|directory| !directory.is_introduced());
    let ready = directories.iter().any(|directory| directory.link().state == RelayState::Ready)
        && !configured.any(|directory| directory.link().has_other_assignment())
        && catalogs.iter().any(|catalog| catalog.is_complete())
        && catalogs
            .iter()
            .filter(|catalog| counts(catalog))
            .all(|catalog| catalog.is_complete() || catalog.assigned().is_nothing());
    let (disk_used, _) = relay.store.usage();
    let mut sources = relay.fill.sources().status();
    sources.truncate(STATUS_LIST_MAX);
    RelayStatus {
        v: DOCUMENT_VERSION,
        kind: DaemonKind::Relay,
        id: relay.identity.public_key(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: relay.started,
        ready,
        catalogs: catalogs.iter().take(STATUS_LIST_MAX).map(|catalog| catalog.status(now)).collect(),
        stored_bytes: disk_used,
        budget: BudgetStatus {
            disk_bytes: relay.config.disk.0,
            disk_used,
            rate_bytes: terms.schedule.bandwidth(now).map(|rate| rate.0),
            rate_until: terms.schedule.changes(now),
            transfer_bytes: terms.transfer.map(|transfer| transfer.0),
            transfer_used: relay.meter.used(&relay.throttle),
            transfer_renewed: Some(relay.meter.month().ends()),
            capacity: relay.capacity(now),
        },
        sources,
        directories: directories
            .iter()
            .map(|directory| directory.status(assigner.as_ref() == Some(&directory.url)))
            .collect(),
    }
}

/// One page of a folder under one head.
pub(super) fn folder(
    catalog: &Catalog,
    head: &RetainedHead,
    folder: &str,
    children: &[Child],
    next: Option<String>,
) -> Page {
    let row = |child: &Child| match child {
        Child::Folder { name } => Row::Folder { name: name.clone() },
        Child::Artifact { name, entry } => Row::Artifact {
            name: name.clone(),
            size: entry.size,
            mtime: entry.mtime,
            blake3: entry.blob,
            sha256: entry.sha256,
        },
    };
    Page {
        catalog: catalog.name.to_string(),
        folder: if folder.is_empty() { String::new() } else { format!("{folder}/") },
        pin: head.pin.to_string(),
        children: children.iter().map(row).collect(),
        next,
        at_directory: false,
    }
}
