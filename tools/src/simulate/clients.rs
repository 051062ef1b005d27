//! A minute of clients: what they want, who they are, where they are sent.

use std::net::Ipv4Addr;

use odi_directoryd::Network as ClientNetwork;
use odi_directoryd::heat::Heat;
use odi_manifest::Timestamp;

use super::blame::Ledger;
use super::catalogs::Artifact;
use super::chance::Chance;
use super::network::Network;

/// Networks that clients sit in.
const NETWORKS: u64 = 4_000_000;

/// A crowd that wants one artifact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) artifact: Artifact,
    /// Of all downloads.
    pub(super) share: f64,
}

/// What is written down of a minute.
#[derive(Debug)]
pub(super) struct Books<'a> {
    /// Which minute it is.
    pub(super) minute: u64,
    /// Bytes by relay.
    pub(super) loads: &'a mut [u64],
    pub(super) ledgers: [&'a mut Ledger; 2],
}

/// What came of a minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// Downloads for which no relay was there.
    pub(super) nowhere: u64,
    /// Relays that got at least one of the crowd, once each.
    pub(super) of_crowd: Vec<usize>,
}

/// Sends so many clients somewhere, and counts the bytes of each relay.
pub(super) fn minute(
    network: &mut Network,
    heat: &mut Heat,
    books: &mut Books<'_>,
    downloads: u64,
    crowd: Option<Crowd>,
    now: Timestamp,
    chance: &mut Chance,
) -> Sent {
    let mut sent = Sent::default();
    for _ in 0..downloads {
        let of_crowd = crowd.filter(|crowd| chance.happens(crowd.share));
        let artifact = of_crowd.map_or_else(|| network.catalogs.wanted(chance), |crowd| crowd.artifact);
        let address = u32::try_from(chance.below(NETWORKS)).unwrap_or(0) << 8;
        let client = ClientNetwork::of(Ipv4Addr::from(address).into());
        if let Some(offer) = network.catalogs.offers.get(artifact.catalog) {
            heat.note(offer.id, artifact.blob, artifact.size, client, now);
        }
        let Some(at) = network.choose(&artifact, client) else {
            sent.nowhere += 1;
            continue;
        };
        let minute = books.minute;
        books.ledgers.iter_mut().for_each(|ledger| ledger.note(network, at, &artifact, minute));
        if let (Some(load), Some(relay)) = (books.loads.get_mut(at), network.relays.get(at)) {
            *load += artifact.size;
            network.balance.note(&relay.key, artifact.size);
        }
        if of_crowd.is_some() {
            sent.of_crowd.push(at);
        }
    }
    sent.of_crowd.sort_unstable();
    sent.of_crowd.dedup();
    sent
}
