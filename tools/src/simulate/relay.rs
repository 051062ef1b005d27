//! One relay: what it offers, what it holds and is about to, and whether it is there.

use odi_directoryd::Network;
use odi_directoryd::placement::{Bearer, Offer, hot_room, room};
use odi_directoryd::roster::Stage;
use odi_directoryd::select::{Candidate, Entrant, Reach, Share, Ways, Why};
use odi_directoryd::whereabouts::Site;
use odi_manifest::{BlobId, HeadId, PublicKey, SigningKey};
use odi_wire::message::{AssignedCatalog, CatalogInventory, IdRanges, PublicUrl};

use super::chance::Chance;
use super::parts::{PARTS, Parts};

/// The one state of every catalog.
pub(super) const HEAD: HeadId = HeadId::from_bytes([1; 32]);
/// Disks in GB, and how many of a hundred relays have them.
const DISKS: [(u64, u64); 4] = [(200, 25), (1000, 40), (4000, 25), (16_000, 10)];
/// Rates in Mbit/s, likewise: little beside what is asked of real volunteers, because far fewer clients come than to a real network of
/// this size. What counts is how much of it is used.
const RATES: [(u64, u64); 4] = [(4, 25), (12, 40), (40, 25), (80, 10)];
/// The least of them, in bytes per second.
pub(super) const SLOWEST: u64 = RATES[0].0 * MBIT;
const MBIT: u64 = 125_000;
/// A relay fills with so many times what it gives to clients: its disk is of the size of a real one's.
const FILL: u64 = 25;

/// Whether a relay is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Presence {
    Up,
    /// Silent since a minute, until another.
    Silent {
        since: f64,
        until: f64,
    },
}

/// What a relay is about to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Part(usize, u8),
    Blob(usize, BlobId),
}

pub(super) struct Relay {
    pub(super) key: PublicKey,
    pub(super) network: Network,
    urls: Vec<PublicUrl>,
    pub(super) disk: u64,
    /// Bytes per second.
    pub(super) rate: u64,
    pub(super) presence: Presence,
    /// By catalog.
    pub(super) holdings: Vec<CatalogInventory>,
    pub(super) parts: Vec<Parts>,
    assigned: Vec<Parts>,
    named: Vec<Vec<BlobId>>,
    /// What it fills, in this order.
    pub(super) missing: Vec<Missing>,
    /// Bytes of the first that it has already.
    filled: u64,
}

/// What an assignment asks of a relay anew, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) parts: u64,
    pub(super) named: u64,
}

impl Relay {
    pub(super) fn new(number: u32, offers: &[Offer], chance: &mut Chance) -> Self {
        let mut seed = [0; 32];
        seed.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let nothing = |offer: &Offer| CatalogInventory {
            cat: offer.id,
            served: vec![HEAD],
            full: Some(HEAD),
            ranges: IdRanges::none(),
            fills: IdRanges::none(),
            plus: Vec::new(),
            minus: Vec::new(),
            sent: None,
        };
        let url = PublicUrl::parse(&format!("https://r{number}.example")).expect("a host and a scheme");
        // Nine in ten have a network of their own.
        let network = if chance.happens(0.1) { number / 20 * 20 } else { number };
        Self {
            key: SigningKey::from_seed(&seed).public_key(),
            network: Network::of(std::net::Ipv4Addr::from((network + 1) << 8).into()),
            urls: vec![url],
            disk: one_of(&DISKS, chance) * 1_000_000_000,
            rate: one_of(&RATES, chance) * MBIT,
            presence: Presence::Up,
            holdings: offers.iter().map(nothing).collect(),
            parts: vec![Parts::default(); offers.len()],
            assigned: vec![Parts::default(); offers.len()],
            named: vec![Vec::new(); offers.len()],
            missing: Vec::new(),
            filled: 0,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.presence, Presence::Up)
    }

    pub(super) fn bearer<'a>(&self, offers: &'a [Offer]) -> Bearer<'a> {
        Bearer {
            relay: self.key,
            network: self.network,
            operator: None,
            country: None,
            room: room(self.disk, Stage::Ready),
            hot_room: hot_room(self.disk, Stage::Ready),
            wanted: offers.iter().collect(),
        }
    }

    /// As selection sees it, for a catalog.
    pub(super) fn candidate(&self, catalog: usize, late: u64) -> Candidate<'_> {
        Candidate {
            relay: self.key,
            urls: &self.urls,
            reach: const { &Reach::NOTHING },
            shut: (!self.is_up()).then_some(Why::Silent),
            holding: self.holdings.get(catalog),
            late,
        }
    }

    /// As a field is laid out from it. Where relays are is not simulated.
    pub(super) fn entrant(&self, catalog: usize, weight: u64) -> Option<Entrant<'_>> {
        let holding = self.holdings.get(catalog)?;
        let (site, ways) = (const { &Site::NOWHERE }, Ways::of(&self.urls, &Reach::NOTHING));
        Some(Entrant {
            relay: self.key,
            network: self.network,
            site,
            ways,
            share: Share::all(weight),
            holding,
        })
    }

    /// Takes an assignment: lets go what it is not asked for any more, and is about to hold the rest.
    pub(super) fn assign(
        &mut self,
        offers: &[Offer],
        asked_for: &[AssignedCatalog],
        sizes: &impl Fn(&BlobId) -> u64,
    ) -> Asked {
        let mut asked = Asked::default();
        for (at, offer) in offers.iter().enumerate() {
            let assigned = asked_for.iter().find(|assigned| assigned.cat == offer.id);
            let parts = assigned.map(|assigned| Parts::of(&assigned.ranges)).unwrap_or_default();
            let named = assigned.map(|assigned| assigned.plus.clone()).unwrap_or_default();
            let (Some(was), Some(were_named)) = (self.assigned.get_mut(at), self.named.get_mut(at)) else {
                continue;
            };
            asked.parts += parts.without(was).count() as u64 * part_bytes(offer);
            let new = |blob: &&BlobId| were_named.binary_search(blob).is_err();
            asked.named += named.iter().filter(new).map(sizes).sum::<u64>();
            (*was, *were_named) = (parts, named);
            if let Some(held) = self.parts.get_mut(at) {
                *held = held.and(&parts);
            }
            self.say(at);
        }
        self.line_up();
        asked
    }

    /// What is asked for and not held: what is wanted by a crowd comes first.
    fn line_up(&mut self) {
        let first = self.missing.first().copied();
        self.missing.clear();
        for (at, (named, holding)) in self.named.iter().zip(&self.holdings).enumerate() {
            let lacking = named.iter().filter(|blob| holding.plus.binary_search(blob).is_err());
            self.missing.extend(lacking.map(|blob| Missing::Blob(at, *blob)));
        }
        for (at, (assigned, held)) in self.assigned.iter().zip(&self.parts).enumerate() {
            self.missing.extend(assigned.without(held).map(|part| Missing::Part(at, part)));
        }
        if self.missing.first().copied() != first {
            self.filled = 0;
        }
    }

    /// Fills for a minute, with half of its rate; whether it holds more then.
    pub(super) fn fill(&mut self, offers: &[Offer], sizes: &impl Fn(&BlobId) -> u64) -> bool {
        let mut budget = self.rate / 2 * 60 * FILL;
        let mut done = 0;
        for missing in &self.missing {
            let bytes = match missing {
                Missing::Part(at, _) => offers.get(*at).map_or(0, part_bytes),
                Missing::Blob(_, blob) => sizes(blob),
            };
            let lacking = bytes.saturating_sub(self.filled);
            if lacking > budget {
                self.filled += budget;
                break;
            }
            budget -= lacking;
            self.filled = 0;
            done += 1;
        }
        let filled: Vec<Missing> = self.missing.drain(..done).collect();
        for missing in &filled {
            match missing {
                Missing::Part(at, part) => {
                    if let Some(held) = self.parts.get_mut(*at) {
                        held.insert(*part);
                    }
                    self.say(*at);
                }
                Missing::Blob(at, blob) => {
                    if let Some(holding) = self.holdings.get_mut(*at)
                        && let Err(place) = holding.plus.binary_search(blob)
                    {
                        holding.plus.insert(place, *blob);
                    }
                }
            }
        }
        !filled.is_empty()
    }

    /// Begins as a relay that has been there for long: with all that it is asked for.
    pub(super) fn fill_at_once(&mut self) {
        self.parts.clone_from(&self.assigned);
        (0..self.parts.len()).for_each(|at| self.say(at));
        self.missing.clear();
    }

    fn say(&mut self, at: usize) {
        let (Some(holding), Some(held), Some(named)) =
            (self.holdings.get_mut(at), self.parts.get(at), self.named.get(at))
        else {
            return;
        };
        holding.ranges = held.ranges();
        holding.plus.retain(|blob| named.binary_search(blob).is_ok());
    }
}

/// What a part of a catalog has.
pub(super) const fn part_bytes(offer: &Offer) -> u64 {
    offer.bytes / PARTS as u64
}

fn one_of(table: &[(u64, u64)], chance: &mut Chance) -> u64 {
    let mut draw = chance.below(100);
    for (value, share) in table {
        if draw < *share {
            return *value;
        }
        draw -= share;
    }
    0
}
