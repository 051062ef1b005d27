//! What is measured of catalogs and directories beside each other: who vouches, what contradicts, who is behind.

use odi_manifest::{PublicKey, Timestamp};
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

/// What directories pass on about relays, what each holds against them, and what looks at them came to: peers by their URLs, this
/// directory as `here`.
pub(super) fn passing(directory: &Directory, status: &DirectoryStatus) -> [Metric; 4] {
    let passed = status.peers.iter().map(|peer| (peer.url.clone(), peer.passed));
    let name_of = |key| {
        let peer = || directory.peers.iter().find(|peer| peer.id() == Some(key));
        if key == directory.id { Some("here".to_owned()) } else { Some(peer()?.url.to_string()) }
    };
    let named = |(by, count): (PublicKey, usize)| Some((name_of(by)?, count as u64));
    let denied = directory.reports.counts(directory.id).into_iter().filter_map(named);
    let seen: Vec<(PublicKey, usize)> = directory.reports.heard().audit_counts().collect();
    let gauge = |name, help| Metric::gauge(name, help, 0);
    let counter = |name, help| Metric::counter(name, help, 0);
    [
        counter("odi_directory_passed_statements", "Inventories that came through another directory.")
            .by("peer", passed),
        gauge("odi_directory_relays_denied", "Relays that an operator shut out.").by("by", denied),
        gauge("odi_directory_audit_reports", "Lies of relays that were seen in the last 30 days.")
            .by("by", seen.into_iter().filter_map(named)),
        counter("odi_directory_looks", "Looks at relays.").by("outcome", directory.audits.counts()),
    ]
}
