//! Which relays answer a request, and in which order: one pure function behind redirects, mirror lists, metalinks and `?explain`.
//!
//! Filter, then order. A relay qualifies if it is live and probed, has a URL of the request's scheme, serves a head at
//! which the path names this very blob, and says that it holds the blob. The order is weighted rendezvous hashing of
//! the client's network over relays: one network keeps meeting the same relay, so that connections are reused, and a
//! relay that goes moves only its own share.

mod repeats;
mod score;
mod why;

use std::collections::HashMap;

use odi_manifest::{BlobId, HeadId, PublicKey};
use odi_wire::message::{CatalogInventory, IdRanges, PublicUrl};
use odi_wire::serve::Scheme;

use crate::network::Network;

pub use repeats::Repeats;
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

/// Judges every candidate. `seed` is the directory's own secret: without it nobody can grind a key that wins a network.
#[must_use]
pub fn rank<'a>(
    ask: &Ask<'_>,
    seed: &[u8; 32],
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Ranking<'a> {
    let mut qualified = Vec::new();
    let mut passed_over = Vec::new();
    let mut of_network: HashMap<Network, u64> = HashMap::new();
    for candidate in candidates {
        match qualifies(ask, &candidate) {
            Ok(choice) => {
                *of_network.entry(candidate.network).or_default() += 1;
                qualified.push((candidate.network, choice));
            }
            Err(why) => passed_over.push((candidate, why)),
        }
    }
    let mut scored: Vec<(f64, Choice<'a>)> = Vec::with_capacity(qualified.len());
    for (network, mut choice) in qualified {
        let neighbours = of_network.get(&network).copied().unwrap_or(1);
        choice.weight = among_neighbours(choice.weight, neighbours);
        scored.push((score::score(ask.client, seed, &choice.relay, choice.weight), choice));
    }
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    Ranking { choices: scored.into_iter().map(|(_, choice)| choice).collect(), passed_over }
}

/// What is left of a relay's weight where so many relays of its network qualify, itself among them.
#[must_use]
pub fn among_neighbours(weight: u64, neighbours: u64) -> u64 {
    (weight.saturating_mul(NETWORK_RELAYS) / neighbours.max(NETWORK_RELAYS)).max(1)
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
