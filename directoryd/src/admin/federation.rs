//! What is measured of catalogs and directories beside each other: who vouches, what contradicts, who is behind.

use odi_manifest::Timestamp;
use odi_wire::message::{CatalogFreshness, DifferenceKind, DirectoryStatus, FreshnessState};
use odi_wire::metrics::Metric;

use crate::directory::Directory;

pub(super) fn metrics(status: &DirectoryStatus, now: Timestamp) -> [Metric; 4] {
    let witnessed = |measure: fn(&CatalogFreshness) -> u64| {
        let known = status.catalogs.iter().filter_map(|catalog| Some((catalog, catalog.freshness.as_ref()?)));
        let asked = known.filter(|(_, freshness)| freshness.state != FreshnessState::Unprotected);
        asked.map(move |(catalog, freshness)| (catalog.name.clone(), measure(freshness)))
    };
    let proofs =
        status.catalogs.iter().map(|catalog| (catalog.name.clone(), catalog.equivocations.len() as u64));
    let behind = status.peers.iter().map(|peer| {
        let lags = peer.differs.iter().filter(|differs| differs.kind == DifferenceKind::Behind);
        (peer.url.clone(), lags.map(|lag| now.since(lag.since).as_secs()).max().unwrap_or(0))
    });
    let gauge = |name, help| Metric::gauge(name, help, 0);
    [
        gauge("odi_directory_catalog_fresh", "1 if a quorum of its witnesses vouched lately.")
            .by("catalog", witnessed(|freshness| (freshness.state == FreshnessState::Fresh).into())),
        gauge("odi_directory_catalog_witnesses", "Witnesses that vouched lately.")
            .by("catalog", witnessed(|freshness| freshness.vouching.into())),
        gauge("odi_directory_catalog_equivocations", "Pairs of heads that its keys signed for one number.")
            .by("catalog", proofs),
        gauge("odi_directory_peer_behind_seconds", "How long another directory has shown an older head.")
            .by("peer", behind),
    ]
}

/// What directories pass on about relays, and how many each speaks against: peers by their URLs, this one as `here`.
pub(super) fn passing(directory: &Directory, status: &DirectoryStatus) -> [Metric; 2] {
    let passed = status.peers.iter().map(|peer| (peer.url.clone(), peer.passed));
    let url_of =
        |key| directory.peers.iter().find(|peer| peer.id() == Some(key)).map(|peer| peer.url.to_string());
    let denied = directory.reports.counts(directory.id).into_iter().filter_map(|(by, count)| {
        let name = if by == directory.id { "here".to_owned() } else { url_of(by)? };
        Some((name, count as u64))
    });
    [
        Metric::counter(
            "odi_directory_passed_statements",
            "Inventories that came through another directory.",
            0,
        )
        .by("peer", passed),
        Metric::gauge("odi_directory_relays_denied", "Relays that an operator shut out.", 0).by("by", denied),
    ]
}
