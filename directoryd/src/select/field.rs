//! The relays of one catalog, laid out so that a request meets at once those that are near and hold what it wants: a [`Pool`] of
//! all of them, and for each vicinity its own relays, as a pool where they are many.
//!
//! It only proposes. Whoever is drawn is judged by what the roster knows of it now, so that a field which is a moment old may
//! miss a newcomer and never sends anybody to a relay that has gone. A vicinity whose relays are sent more than they can take
//! keeps only so many of its clients, always the same ones; the others look one vicinity further out, where those relays are
//! among more.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use odi_manifest::PublicKey;
use odi_wire::client::Family;
use odi_wire::message::CatalogInventory;
use odi_wire::serve::Scheme;

use super::few::{self, Neighbour};
use super::pool::{self, Held, Pool};
use super::urn::{Drawn, Kept, mixed};
use super::vicinity::{self, Vicinity};
use super::{Ask, Nearness, Wanted, Ways, among_neighbours};
use crate::network::Network;
use crate::whereabouts::Site;

/// Up to so many relays of a vicinity are weighed one by one.
const FEW: usize = 64;

/// A relay that follows the catalog and takes clients.
#[derive(Clone, Copy, Debug)]
pub struct Entrant<'a> {
    /// Its key.
    pub relay: PublicKey,
    /// From where it registered.
    pub network: Network,
    /// Where it is.
    pub site: &'a Site,
    /// How it is reached.
    pub ways: Ways,
    /// What it is to get.
    pub share: Share,
    /// What it says that it holds.
    pub holding: &'a CatalogInventory,
}

/// What a relay is to get beside others, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of clients for whom it is one of several, at least 1.
    pub weight: u64,
    /// Of the clients nearest to it it keeps `kept` of each `full`.
    pub kept: u64,
    /// What it could take.
    pub full: u64,
}

impl Share {
    /// One that keeps every client that it is nearest to.
    #[must_use]
    pub const fn all(weight: u64) -> Self {
        Self { weight, kept: weight, full: weight }
    }

    pub(super) const fn kept(self) -> Kept {
        Kept { kept: self.kept, full: self.full }
    }
}

/// The relays of one catalog.
#[derive(Clone, Debug, Default)]
pub struct Field {
    relays: Vec<Seated>,
    /// How any of them is reached.
    ways: Ways,
    everywhere: Pool,
    vicinities: HashMap<Vicinity, Near>,
    /// How narrow the prefixes are that relays are there for, the narrowest first.
    widths: Vec<(bool, u8)>,
}

/// What is asked of a relay before it is looked up.
#[derive(Clone, Copy, Debug)]
struct Seated {
    relay: PublicKey,
    ways: Ways,
    held: Held,
}

/// The relays of a vicinity.
#[derive(Clone, Debug)]
enum Near {
    Few(Few),
    Many(Box<Pool>),
}

/// Relays that are weighed one by one.
#[derive(Clone, Debug)]
struct Few {
    relays: Vec<Neighbour>,
    /// Whether each keeps all clients that it is nearest to.
    keep_all: bool,
}

/// A relay whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    /// In the numbering of the field.
    pub(super) at: u32,
    pub(super) relay: PublicKey,
    pub(super) weight: u64,
    pub(super) nearness: Nearness,
}

impl Field {
    /// Lays out the relays. `seed` is the directory's own secret: without it nobody can grind a key for a place.
    #[must_use]
    pub fn of<'a>(entrants: impl IntoIterator<Item = Entrant<'a>>, seed: &[u8; 32]) -> Self {
        let entrants: Vec<Entrant<'a>> = entrants.into_iter().collect();
        let places: Vec<u64> = entrants.iter().map(|entrant| place(&entrant.relay, seed)).collect();
        let mut members: HashMap<Vicinity, Vec<usize>> = HashMap::new();
        for (at, entrant) in entrants.iter().enumerate() {
            for vicinity in vicinity::of_relay(entrant.site) {
                members.entry(vicinity).or_default().push(at);
            }
        }
        let widths: BTreeSet<Reverse<(u8, bool)>> = members
            .keys()
            .filter_map(|vicinity| match vicinity {
                Vicinity::Prefix(bits) => Some(bits.width()),
                _ => None,
            })
            .map(|(is_v6, count)| Reverse((count, is_v6)))
            .collect();
        let near = |(vicinity, members): (Vicinity, Vec<usize>)| {
            Some((vicinity, Near::of(vicinity, &entrants, &places, members)?))
        };
        let seated = |entrant: &Entrant<'_>| Seated {
            relay: entrant.relay,
            ways: entrant.ways,
            held: Held::of(entrant.holding),
        };
        Self {
            relays: entrants.iter().map(seated).collect(),
            ways: entrants.iter().fold(Ways::default(), |all, entrant| all.or(entrant.ways)),
            everywhere: Pool::of(&entrants, &places, 0..entrants.len()),
            vicinities: members.into_iter().filter_map(near).collect(),
            widths: widths.into_iter().map(|Reverse((count, is_v6))| (is_v6, count)).collect(),
        }
    }

    /// Every relay that may have what is wanted and is reached so, in the order of the client whose secret number `key` is.
    /// Some come more than once.
    pub(super) fn row<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        key: u64,
        scheme: Scheme,
        family: Option<Family>,
    ) -> impl Iterator<Item = Proposed> + 'a {
        let wanted = &ask.wanted;
        let near = self.near(ask).filter(move |(nearness, near)| self.keeps(near, wanted, *nearness, key));
        let near = near.flat_map(move |(nearness, near)| {
            let row: Box<dyn Iterator<Item = Drawn> + 'a> = match near {
                Near::Few(few) => Box::new(few::row(self.having(few, wanted), key)),
                Near::Many(pool) => Box::new(pool.row(wanted, key)),
            };
            row.map(move |drawn| (nearness, drawn))
        });
        let anywhere = self.everywhere.row(wanted, key).map(|drawn| (Nearness::Anywhere, drawn));
        near.chain(anywhere).filter_map(move |(nearness, Drawn { relay: at, weight })| {
            let seated = self.relays.get(usize::try_from(at).ok()?)?;
            let reached = seated.ways.has(scheme, family);
            reached.then_some(Proposed { at, relay: seated.relay, weight, nearness })
        })
    }

    /// How near the relays are from which a client is sent on, because too many are nearest to them.
    pub(super) fn sent_on<'a>(&'a self, ask: &'a Ask<'a>, key: u64) -> impl Iterator<Item = Nearness> + 'a {
        let wanted = &ask.wanted;
        let sent_on = self.near(ask).filter(move |(near_as, near)| !self.keeps(near, wanted, *near_as, key));
        sent_on.map(|(nearness, _)| nearness)
    }

    /// Whether any of the relays is reached over a family.
    pub(super) const fn reaches(&self, scheme: Scheme, family: Family) -> bool {
        self.ways.has(scheme, Some(family))
    }

    fn near<'a>(&'a self, ask: &'a Ask<'a>) -> impl Iterator<Item = (Nearness, &'a Near)> + 'a {
        let looks = vicinity::of_client(ask.client, ask.whereabouts, &self.widths);
        looks.filter_map(|(nearness, vicinity)| Some((nearness, self.vicinities.get(&vicinity)?)))
    }

    /// Whether the relays of a vicinity that may have what is wanted keep a client.
    fn keeps(&self, near: &Near, wanted: &Wanted<'_>, nearness: Nearness, key: u64) -> bool {
        let kept = match near {
            Near::Few(few) if few.keep_all => return true,
            Near::Few(few) => {
                self.having(few, wanted).fold(Kept::default(), |sum, neighbour| sum.and(neighbour.kept))
            }
            Near::Many(pool) => pool.kept(wanted),
        };
        kept.keeps(mixed(mixed(key).wrapping_add(nearness.number())))
    }

    fn having<'b>(
        &'b self,
        few: &'b Few,
        wanted: &'b Wanted<'b>,
    ) -> impl Iterator<Item = Neighbour> + Clone + 'b {
        let seated = |near: &Neighbour| self.relays.get(usize::try_from(near.relay).ok()?);
        let may_have = move |near: &&Neighbour| {
            near.is_whole || seated(near).is_some_and(|seated| seated.held.may_have(wanted))
        };
        few.relays.iter().filter(may_have).copied()
    }
}

impl Near {
    /// `None` if there are many and a coarser name does as well: relays are in so many cells and prefixes that a pool for each
    /// would be out of proportion.
    fn of(vicinity: Vicinity, entrants: &[Entrant<'_>], places: &[u64], members: Vec<usize>) -> Option<Self> {
        if members.len() > FEW {
            let is_small = matches!(vicinity, Vicinity::Prefix(_) | Vicinity::Cell(..));
            let pool = || Self::Many(Box::new(Pool::of(entrants, places, members.into_iter())));
            return (!is_small).then(pool);
        }
        let mut of_network: HashMap<Network, u64> = HashMap::new();
        for entrant in members.iter().filter_map(|at| entrants.get(*at)) {
            *of_network.entry(entrant.network).or_default() += 1;
        }
        let neighbour = |at: usize| {
            let (entrant, place) = (entrants.get(at)?, *places.get(at)?);
            let neighbours = of_network.get(&entrant.network).copied().unwrap_or(1);
            let weight = among_neighbours(entrant.share.weight, neighbours);
            let (relay, kept) = (u32::try_from(at).ok()?, entrant.share.kept());
            Some(Neighbour { relay, is_whole: pool::is_whole(entrant.holding), place, weight, kept })
        };
        let relays: Vec<Neighbour> = members.into_iter().filter_map(neighbour).collect();
        let keep_all = relays.iter().all(|near| near.kept.kept >= near.kept.full);
        Some(Self::Few(Few { relays, keep_all }))
    }
}

fn place(relay: &PublicKey, seed: &[u8; 32]) -> u64 {
    let hash = blake3::keyed_hash(seed, relay.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
