//! All relays at once: placement over them, what is held how often, who takes a client.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use odi_directoryd::Network as ClientNetwork;
use odi_directoryd::balance::Balance;
use odi_directoryd::heat::Hot;
use odi_directoryd::placement::{Bearer, Drawn, place_again};
use odi_directoryd::select::{Ask, Choice, Field, Wanted, choose};
use odi_directoryd::whereabouts::Whereabouts;
use odi_manifest::{BlobId, PublicKey};
use odi_wire::client::Family;
use odi_wire::serve::Scheme;

use super::blame::Held;
use super::catalogs::{Artifact, Catalogs};
use super::chance::Chance;
use super::parts::PARTS;
use super::relay::{Asked, HEAD, Presence, Relay, part_bytes};

/// The directory's secret, which is none here.
const SEED: [u8; 32] = [7; 32];
/// A silent relay's part is left to it for so many minutes.
const LEFT_TO_IT: f64 = 60.0;

/// The network.
pub(super) struct Network {
    pub(super) catalogs: Catalogs,
    pub(super) relays: Vec<Relay>,
    /// Where each relay is among them.
    at: HashMap<PublicKey, usize>,
    fields: Vec<Field>,
    pub(super) balance: Balance,
    drawn: Drawn,
    born: u32,
    copies: usize,
    /// Sizes of what has been asked for by name.
    pub(super) sizes: HashMap<BlobId, u64>,
}

/// What a new placement asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) parts: u64,
    pub(super) named: u64,
    /// What could not be helped: what newcomers are asked for, and what had too few copies.
    pub(super) least: u64,
    pub(super) took: Duration,
}

impl Network {
    pub(super) fn new(relays: usize, catalogs: Catalogs, copies: usize, chance: &mut Chance) -> Self {
        let mut network = Self {
            catalogs,
            relays: Vec::with_capacity(relays),
            at: HashMap::new(),
            fields: Vec::new(),
            balance: Balance::default(),
            drawn: Drawn::default(),
            born: 0,
            copies,
            sizes: HashMap::new(),
        };
        (0..relays).for_each(|_| network.join(chance));
        network
    }

    /// Another relay comes.
    pub(super) fn join(&mut self, chance: &mut Chance) {
        self.relays.push(Relay::new(self.born, &self.catalogs.offers, chance));
        self.born += 1;
        self.index();
    }

    /// Relays go for good.
    pub(super) fn retain(&mut self, stays: impl FnMut(&Relay) -> bool) {
        self.relays.retain(stays);
        self.index();
    }

    fn index(&mut self) {
        self.at = self.relays.iter().enumerate().map(|(at, relay)| (relay.key, at)).collect();
    }

    /// Places everything anew over the relays that are counted on.
    pub(super) fn place(&mut self, hot: &[Hot], now: f64) -> Moved {
        let counted_on = |relay: &&Relay| match relay.presence {
            Presence::Up => true,
            Presence::Silent { since, .. } => now - since <= LEFT_TO_IT,
        };
        let offers = self.catalogs.offers.clone();
        let bearers: Vec<Bearer<'_>> =
            self.relays.iter().filter(counted_on).map(|relay| relay.bearer(&offers)).collect();
        let lacking = self.lacking(counted_on);
        let begun = Instant::now();
        let placed = place_again(&mut self.drawn, &bearers, self.copies, hot);
        let took = begun.elapsed();
        self.sizes.extend(hot.iter().map(|hot| (hot.blob, hot.size)));
        let sizes = |blob: &BlobId| self.sizes.get(blob).copied().unwrap_or(0);
        let mut moved = Moved { least: lacking, took, ..Moved::default() };
        for relay in &mut self.relays {
            let is_new =
                relay.parts.iter().all(|parts| parts.iter().next().is_none()) && relay.missing.is_empty();
            // Whoever is not counted on keeps what it has, and is asked for nothing.
            let Some(assigned) = placed.get(&relay.key) else { continue };
            let Asked { parts, named } = relay.assign(&offers, assigned, &sizes);
            moved.parts += parts;
            moved.named += named;
            moved.least += if is_new { parts } else { 0 };
        }
        moved
    }

    /// The bytes of copies that are lacking among some relays.
    fn lacking(&self, among: impl Fn(&&Relay) -> bool) -> u64 {
        let relays: Vec<&Relay> = self.relays.iter().filter(among).collect();
        let poor = |copies: &usize| self.copies.saturating_sub(*copies) as u64;
        (0..self.catalogs.offers.len())
            .zip(&self.catalogs.offers)
            .map(|(at, offer)| copies(&relays, at).iter().map(poor).sum::<u64>() * part_bytes(offer))
            .sum()
    }

    /// Parts that relays which are up hold in fewer networks than there should be.
    pub(super) fn below_floor(&self) -> Vec<(usize, u8)> {
        let up: Vec<&Relay> = self.relays.iter().filter(|relay| relay.is_up()).collect();
        let of_catalog = |at: usize| {
            let poor =
                copies(&up, at).into_iter().zip(0..=u8::MAX).filter(|(copies, _)| *copies < self.copies);
            poor.map(move |(_, part)| (at, part)).collect::<Vec<_>>()
        };
        (0..self.catalogs.offers.len()).flat_map(of_catalog).collect()
    }

    /// How many relays that are up hold a blob.
    pub(super) fn holders(&self, artifact: &Artifact) -> usize {
        let holds = |relay: &&Relay| {
            relay.is_up()
                && relay.holdings.get(artifact.catalog).is_some_and(|held| held.holds(&artifact.blob, true))
        };
        self.relays.iter().filter(holds).count()
    }

    /// Who of those that are up holds a blob, and how late the best of them would be.
    pub(super) fn held(&self, artifact: &Artifact) -> Held {
        let holds = |relay: &&Relay| {
            relay.is_up()
                && relay.holdings.get(artifact.catalog).is_some_and(|held| held.holds(&artifact.blob, true))
        };
        let mut held = Held { least_late: u64::MAX, ..Held::default() };
        for relay in self.relays.iter().filter(holds) {
            held.holders += 1;
            held.rate += relay.rate;
            held.least_late = held.least_late.min(self.balance.late(&relay.key, artifact.size));
        }
        held
    }

    /// What a relay gives, in bytes per second.
    pub(super) fn rate(&self, relay: &PublicKey) -> u64 {
        self.at.get(relay).and_then(|at| self.relays.get(*at)).map_or(0, |relay| relay.rate)
    }

    /// Whether a relay is there and up.
    pub(super) fn is_up(&self, relay: &PublicKey) -> bool {
        self.at.get(relay).and_then(|at| self.relays.get(*at)).is_some_and(Relay::is_up)
    }

    /// For some relays, what they were sent for their rate beside the mean of them; ascending.
    #[expect(clippy::cast_precision_loss, reason = "compared roughly")]
    pub(super) fn relative_loads(
        &self,
        sent: &HashMap<PublicKey, u64>,
        among: impl Fn(&Relay) -> bool,
    ) -> Vec<(f64, PublicKey)> {
        let of =
            |relay: &Relay| (sent.get(&relay.key).copied().unwrap_or(0) as f64, relay.rate as f64, relay.key);
        let loads: Vec<(f64, f64, PublicKey)> =
            self.relays.iter().filter(|relay| among(relay)).map(of).collect();
        let (bytes, rate) =
            loads.iter().fold((0.0, 0.0), |(bytes, rate), load| (bytes + load.0, rate + load.1));
        let mean = (bytes / rate).max(f64::MIN_POSITIVE);
        let mut relative: Vec<(f64, PublicKey)> =
            loads.iter().map(|(own, could, relay)| (own / could / mean, *relay)).collect();
        relative.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        relative
    }

    /// A minute is over for the balance, and everybody is laid out anew.
    pub(super) fn lay_out(&mut self) {
        let up: Vec<&Relay> = self.relays.iter().filter(|relay| relay.is_up()).collect();
        let weights: Vec<(PublicKey, u64)> = up.iter().map(|relay| (relay.key, relay.rate)).collect();
        self.balance.turn(&weights);
        let field = |catalog: usize| {
            let entrants = up
                .iter()
                .filter_map(|relay| relay.entrant(catalog, self.balance.weight(&relay.key, relay.rate)));
            Field::of(entrants, &SEED)
        };
        self.fields = (0..self.catalogs.offers.len()).map(field).collect();
    }

    /// The relay that a client is sent to for an artifact.
    pub(super) fn choose(&self, artifact: &Artifact, client: ClientNetwork) -> Option<usize> {
        let wanted = Wanted::Blob { blob: artifact.blob, named_at: &[HEAD] };
        let ask = Ask {
            client,
            whereabouts: Whereabouts::default(),
            family: Family::V4,
            only_family: false,
            scheme: Scheme::Https,
            wanted,
            pins: &[HEAD],
            avoid: &[],
            only: None,
        };
        let find = |relay: &PublicKey| {
            let relay = self.relays.get(*self.at.get(relay)?)?;
            Some(relay.candidate(artifact.catalog, self.balance.late(&relay.key, artifact.size)))
        };
        let field = self.fields.get(artifact.catalog)?;
        let Choice { relay, .. } = choose(&ask, &SEED, field, 1, find).into_iter().next()?;
        self.at.get(&relay).copied()
    }
}

/// In how many networks these relays hold each part of a catalog.
fn copies(relays: &[&Relay], catalog: usize) -> Vec<usize> {
    let mut networks: Vec<BTreeSet<ClientNetwork>> = vec![BTreeSet::new(); PARTS];
    for relay in relays {
        let Some(parts) = relay.parts.get(catalog) else { continue };
        for part in parts.iter() {
            // What is held often enough need not be counted further.
            if let Some(holders) = networks.get_mut(usize::from(part)).filter(|holders| holders.len() < 16) {
                holders.insert(relay.network);
            }
        }
    }
    networks.iter().map(BTreeSet::len).collect()
}
