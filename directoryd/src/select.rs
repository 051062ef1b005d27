//! Which relays answer a request, and in which order: one pure function behind redirects, mirror lists, metalinks and `?explain`.
//!
//! A [`Field`] proposes relays in an order of the client's own network, which keeps meeting the same one, so that connections are
//! reused; the nearest first, if it is known where relays and clients are; shares follow weights, and a relay that goes moves hardly
//! more than its own. Whoever is proposed is judged by what is known of it now: it qualifies if it is live and probed, has a URL
//! of the request's scheme and family, serves a head at which the path names this very blob, and says that it holds the blob.

mod few;
mod field;
mod late;
mod looked;
pub mod mirrors;
mod nearness;
mod pool;
mod repeats;
mod urn;
mod vicinity;
mod ways;
mod why;

use std::collections::HashMap;

use odi_manifest::{BlobId, HeadId, PublicKey};
use odi_wire::client::Family;
use odi_wire::message::{CatalogInventory, IdRanges, PublicUrl};
use odi_wire::serve::Scheme;

use crate::network::Network;
use crate::whereabouts::Whereabouts;

use late::Found;
use looked::Looked;

pub use field::{Entrant, Field, Share};
pub use nearness::Nearness;
pub use repeats::{Met, ROUND, Repeats, Turn};
pub(crate) use urn::mixed;
pub use ways::{Reach, Ways};
pub use why::Why;

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Where the client sits.
    pub client: Network,
    /// Where that is, as far as it is known.
    pub whereabouts: Whereabouts,
    /// Over which family it asks to be answered, or else over which it came.
    pub family: Family,
    /// Whether it takes no other family.
    pub only_family: bool,
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
        /// The known heads at which the path asked for names that blob.
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
    /// Over which families they were seen to answer.
    pub reach: &'a Reach,
    /// Why it takes no clients at all, if so.
    pub shut: Option<Why>,
    /// What it says that it holds of the catalog, if it follows it.
    pub holding: Option<&'a CatalogInventory>,
    /// By how much it would be ahead of its share if it were sent this too, in seconds; 0 if that is no reason to send the client
    /// elsewhere.
    pub late: u64,
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
    /// Its share beside the other choices that are as near.
    pub weight: u64,
    /// How near it is.
    pub nearness: Nearness,
}

/// What became of every candidate.
#[derive(Clone, Debug, Default)]
pub struct Ranking<'a> {
    /// Those that qualify, best first.
    pub choices: Vec<Choice<'a>>,
    /// The others, in the order in which they were given.
    pub passed_over: Vec<(Candidate<'a>, Why)>,
    /// How near the relays are from which the client is sent on, because they are the nearest for more than they can take.
    pub sent_on: Vec<Nearness>,
}

/// However many relays of one network hold a blob, together they get what so many would: whoever rents a network to take over
/// the traffic of a file has to rent many.
const NETWORK_RELAYS: u64 = 4;

/// The first `most` relays that qualify, in the client's order; `find` tells what is known now of one of the field's. Those that
/// answer over the client's family come before those of which nobody knows.
pub fn choose<'a>(
    ask: &Ask<'_>,
    seed: &[u8; 32],
    field: &Field,
    most: usize,
    find: impl Fn(&PublicKey) -> Option<Candidate<'a>>,
) -> Vec<Choice<'a>> {
    let key = client_key(ask.client, seed);
    let mut looked = Looked::default();
    let mut found = Found::new(most);
    let mut add = |family: Option<Family>| {
        // To see who would come next costs as much as the first.
        if found.is_complete() {
            return;
        }
        for proposed in field.row(ask, key, ask.scheme, family) {
            if !found.has_room(proposed.nearness) {
                break;
            }
            if !looked.is_new(proposed.at) {
                continue;
            }
            let Some(candidate) = find(&proposed.relay) else { continue };
            if let Ok(choice) = qualifies(ask, &candidate) {
                let choice = Choice { weight: proposed.weight, nearness: proposed.nearness, ..choice };
                found.add(choice, candidate.late);
            }
        }
        found.turn();
    };
    if ask.only_family || field.reaches(ask.scheme, ask.family) {
        add(Some(ask.family));
    }
    if !ask.only_family {
        add(None);
    }
    found.into_choices()
}

/// Judges every candidate: as [`choose`] does, without an end, and with the reason against each of the others.
#[must_use]
pub fn rank<'a>(ask: &Ask<'_>, seed: &[u8; 32], field: &Field, candidates: &[Candidate<'a>]) -> Ranking<'a> {
    let known: HashMap<PublicKey, &Candidate<'a>> =
        candidates.iter().map(|candidate| (candidate.relay, candidate)).collect();
    let choices = choose(ask, seed, field, usize::MAX, |relay| known.get(relay).map(|candidate| **candidate));
    let against = |candidate: &Candidate<'a>| qualifies(ask, candidate).err().map(|why| (*candidate, why));
    let passed_over = candidates.iter().filter_map(against).collect();
    let sent_on = field.sent_on(ask, client_key(ask.client, seed)).collect();
    Ranking { choices, passed_over, sent_on }
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
    let mut urls = candidate.urls.iter().filter(|url| url.is_https() == (ask.scheme == Scheme::Https));
    let any = urls.clone().next().ok_or(Why::OtherScheme)?;
    let reached = urls.find(|url| candidate.reach.has(url, ask.family));
    let url = if ask.only_family { reached.ok_or(Why::OtherFamily)? } else { reached.unwrap_or(any) };
    Ok(Choice { relay: candidate.relay, url, head, weight: 1, nearness: Nearness::Anywhere })
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
