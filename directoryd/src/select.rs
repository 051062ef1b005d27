//! Which relays answer a request, and in which order: one pure function behind redirects, mirror lists, metalinks and `?explain`.
//!
//! A [`Field`] proposes relays in an order of the client's own network, which keeps meeting the same one, so that connections are
//! reused; shares follow weights, and a relay that goes moves hardly more than its own. Whoever is proposed is judged by what
//! is known of it now: it qualifies if it is live and probed, has a URL of the request's scheme, serves a head at which the
//! path names this very blob, and says that it holds the blob.

mod field;
mod repeats;
mod urn;
mod why;

use std::collections::{HashMap, HashSet};

use odi_manifest::{BlobId, HeadId, PublicKey};
use odi_wire::message::{CatalogInventory, IdRanges, PublicUrl};
use odi_wire::serve::Scheme;

use crate::network::Network;

pub use field::{Entrant, Field};
pub use repeats::{ROUND, Repeats, Turn};
pub use why::Why;

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Where the client sits.
    pub client: Network,
    /// How it came. A redirect keeps the scheme: browsers block https to http, and apt calls it fatal.
    pub scheme: Scheme,
    /// What of the catalog.
    pub wanted: Wanted<'a>,
    /// The heads whose pin the redirect may name, best first: one of them where the URL itself is pinned.
    pub pins: &'a [HeadId],
    /// Relays that the client asks to be spared, by the hexadecimal form of their key, a URL's host, or its authority.
    pub avoid: &'a [String],
    /// The only relay that the client takes, if it says so; named likewise.
    pub only: Option<&'a str>,
}

/// What of a catalog a relay has to have.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// One blob.
    Blob {
        /// Which.
        blob: BlobId,
        /// The servable heads at which the path asked for names that blob, newest first.
        named_at: &'a [HeadId],
    },
    /// Everything: whoever is named as the base of many URLs has to answer for each of them.
    Whole,
}

/// A relay, as far as selection goes.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its key.
    pub relay: PublicKey,
    /// Its proved URLs.
    pub urls: &'a [PublicUrl],
    /// From where it registered: relays of one network share what few of them would get.
    pub network: Network,
    /// Why it takes no clients at all, if so.
    pub shut: Option<Why>,
    /// Its share beside others': any unit, at least 1.
    pub weight: u64,
    /// What it says that it holds of the catalog, if it follows it.
    pub holding: Option<&'a CatalogInventory>,
}

/// Where a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The relay.
    pub relay: PublicKey,
    /// Its URL of the request's scheme.
    pub url: &'a PublicUrl,
    /// The head whose pin the redirect names.
    pub head: HeadId,
    /// Its share beside the other choices'.
    pub weight: u64,
}

/// What became of every candidate.
#[derive(Clone, Debug, Default)]
pub struct Ranking<'a> {
    /// Those that qualify, best first.
    pub choices: Vec<Choice<'a>>,
    /// The others, in the order in which they were given.
    pub passed_over: Vec<(Candidate<'a>, Why)>,
}

/// However many relays of one network hold a blob, together they get what so many would: whoever rents a network to take over
/// the traffic of a file has to rent many.
const NETWORK_RELAYS: u64 = 4;

/// The first `most` relays that qualify, in the client's order; `find` tells what is known now of one of the field's.
pub fn choose<'a>(
    ask: &Ask<'_>,
    seed: &[u8; 32],
    field: &Field,
    most: usize,
    find: impl Fn(&PublicKey) -> Option<Candidate<'a>>,
) -> Vec<Choice<'a>> {
    let mut met = HashSet::new();
    field
        .row(&ask.wanted, client_key(ask.client, seed))
        .filter(|proposed| met.insert(proposed.relay))
        .filter_map(|proposed| {
            let choice = qualifies(ask, &find(&proposed.relay)?).ok()?;
            Some(Choice { weight: proposed.weight, ..choice })
        })
        .take(most)
        .collect()
}

/// Judges every candidate: as [`choose`] does, without an end, and with the reason against each of the others.
#[must_use]
pub fn rank<'a>(ask: &Ask<'_>, seed: &[u8; 32], field: &Field, candidates: &[Candidate<'a>]) -> Ranking<'a> {
    let known: HashMap<PublicKey, &Candidate<'a>> =
        candidates.iter().map(|candidate| (candidate.relay, candidate)).collect();
    let choices = choose(ask, seed, field, usize::MAX, |relay| known.get(relay).map(|candidate| **candidate));
    let against = |candidate: &Candidate<'a>| qualifies(ask, candidate).err().map(|why| (*candidate, why));
    Ranking { choices, passed_over: candidates.iter().filter_map(against).collect() }
}

/// The secret number of a client's network, from which its order follows. One for all blobs: a network keeps meeting the same
/// relay, so that connections are reused.
fn client_key(client: Network, seed: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::keyed_hash(seed, &client.to_bytes()).as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What is left of a relay's weight where so many relays of its network qualify, itself among them.
#[must_use]
pub fn among_neighbours(weight: u64, neighbours: u64) -> u64 {
    (weight.saturating_mul(NETWORK_RELAYS) / neighbours.max(NETWORK_RELAYS)).max(1)
}

impl Ask<'_> {
    /// Whether a relay qualifies.
    #[must_use]
    pub fn is_met_by(&self, candidate: &Candidate<'_>) -> bool {
        qualifies(self, candidate).is_ok()
    }
}

impl<'a> Candidate<'a> {
    /// What a field is laid out from, if it takes clients and follows the catalog.
    #[must_use]
    pub fn entrant(&self) -> Option<Entrant<'a>> {
        let Self { relay, network, shut, weight, holding, .. } = *self;
        shut.is_none().then_some(Entrant { relay, network, weight, holding: holding? })
    }
}

fn qualifies<'a>(ask: &Ask<'_>, candidate: &Candidate<'a>) -> Result<Choice<'a>, Why> {
    if let Some(why) = candidate.shut {
        return Err(why);
    }
    let holding = candidate.holding.ok_or(Why::NotFollowed)?;
    match ask.wanted {
        Wanted::Blob { blob, named_at } if !holds(holding, &blob, named_at) => return Err(Why::NotHeld),
        Wanted::Whole if !has_all(holding) => return Err(Why::NotWhole),
        Wanted::Blob { .. } | Wanted::Whole => {}
    }
    if ask.avoid.iter().any(|word| is_called(candidate, word)) {
        return Err(Why::Avoided);
    }
    if ask.only.is_some_and(|word| !is_called(candidate, word)) {
        return Err(Why::NotAskedFor);
    }
    let head = ask.pins.iter().find(|head| holding.served.contains(head)).copied().ok_or(Why::OtherState)?;
    let url = candidate.urls.iter().find(|url| url.is_https() == (ask.scheme == Scheme::Https));
    let url = url.ok_or(Why::OtherScheme)?;
    Ok(Choice { relay: candidate.relay, url, head, weight: candidate.weight })
}

/// Whether a relay says that it holds a blob which the path asked for names at the heads `named_at`. What came after its
/// full head is not held, and that is judged by the path: the relay holds what the path named then.
#[must_use]
pub fn holds(holding: &CatalogInventory, blob: &BlobId, named_at: &[HeadId]) -> bool {
    holding.holds(blob, holding.full.is_some_and(|full| named_at.contains(&full)))
}

fn has_all(holding: &CatalogInventory) -> bool {
    holding.full.is_some() && holding.minus.is_empty() && holding.ranges == IdRanges::all()
}

fn is_called(candidate: &Candidate<'_>, word: &str) -> bool {
    *word == candidate.relay.to_hex()
        || candidate.urls.iter().any(|url| {
            let url = url.to_url();
            url.host_str() == Some(word) || url.authority() == word
        })
}

#[cfg(test)]
mod tests;
