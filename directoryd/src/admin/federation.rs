//! What is measured of catalogs and directories beside each other: who vouches, what contradicts, who is behind.

use odi_manifest::Timestamp;
use odi_wire::message::{CatalogFreshness, DifferenceKind, DirectoryStatus, FreshnessState};
use odi_wire::metrics::Metric;

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
