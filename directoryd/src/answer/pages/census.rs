//! The relays as they stand at one moment: what pages say of them, taken under one short lock.

use std::collections::HashMap;
use std::sync::Arc;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{CatalogInventory, Inventory, RelayState};

use crate::answer::relay_state;
use crate::directory::Directory;
use crate::network::Network;
use crate::pages::Verdict;
use crate::roster::Member;
use crate::select::among_neighbours;
use crate::whereabouts::Site;

/// One relay.
pub(super) struct Seen {
    pub(super) relay: PublicKey,
    pub(super) urls: Vec<String>,
    pub(super) state: RelayState,
    pub(super) shut: Option<Verdict>,
    /// Its share of clients; 0 if it is shut out.
    pub(super) weight: u64,
    /// Where it is, if that is known.
    pub(super) at: Option<(i16, i16)>,
    pub(super) probed: Option<Timestamp>,
    /// What it said last.
    pub(super) said: Option<Arc<Inventory>>,
    /// Whether its lease runs, and its URLs are proved.
    pub(super) lives: bool,
    /// Whether its word on what it holds counts: it lives, and has passed its self-test.
    pub(super) counts: bool,
    network: Network,
}

/// All of them, those with the most clients first.
pub(super) struct Census {
    pub(super) relays: Vec<Seen>,
    /// What the weights add up to.
    pub(super) weights: u64,
}

impl Census {
    pub(super) fn take(directory: &Directory, now: Timestamp) -> Self {
        let mut relays: Vec<Seen> = {
            let roster = directory.relays.roster();
            roster
                .members()
                .map(|member| seen(directory, member, roster.shut_out(member, now).map(Verdict::from), now))
                .collect()
        };
        let mut of_network: HashMap<Network, u64> = HashMap::new();
        for relay in relays.iter().filter(|relay| relay.shut.is_none()) {
            *of_network.entry(relay.network).or_default() += 1;
        }
        for relay in relays.iter_mut().filter(|relay| relay.shut.is_none()) {
            let neighbours = of_network.get(&relay.network).copied().unwrap_or(1);
            relay.weight = among_neighbours(relay.weight, neighbours);
        }
        relays.sort_by(|one, other| other.weight.cmp(&one.weight).then(one.relay.cmp(&other.relay)));
        let weights = relays.iter().map(|relay| relay.weight).fold(0, u64::saturating_add);
        Self { relays, weights }
    }

    /// The relays whose word counts and that follow a catalog, with what they hold of it.
    pub(super) fn followers(&self, catalog: &CatalogId) -> impl Iterator<Item = (&Seen, &CatalogInventory)> {
        let counting = self.relays.iter().filter(|relay| relay.counts);
        counting.filter_map(|relay| Some((relay, relay.said.as_ref()?.catalog(catalog)?)))
    }
}

fn seen(directory: &Directory, member: &Member, shut: Option<Verdict>, now: Timestamp) -> Seen {
    let place = member.registration().and_then(|registration| registration.place.as_ref());
    let site = Site::of(place, directory.geography.of(member.network()));
    let lives = member.is_proved() && member.is_alive(now);
    Seen {
        relay: member.relay(),
        urls: member.urls().iter().map(ToString::to_string).collect(),
        state: relay_state(member.standing(now)),
        weight: if shut.is_none() { member.weight().unwrap_or(0) } else { 0 },
        shut,
        at: site.whereabouts.point.map(|point| (point.lat, point.lon)),
        probed: member.trial().probed(),
        said: member.announced().map(|said| Arc::clone(&said.inventory)),
        lives,
        counts: lives && member.has_passed(),
        network: member.network(),
    }
}
