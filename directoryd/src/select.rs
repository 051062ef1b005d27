//! Which relay answers a request: one pure function behind redirects, and later mirror lists and `?explain`.
//!
//! Filter, then order. A relay qualifies if it is live and probed, has a URL of the request's scheme, serves a head at
//! which the path names this very blob, and says that it holds the blob. The order is weighted rendezvous hashing of
//! the client's network over relays: one network keeps meeting the same relay, so that connections are reused, and a
//! relay that goes moves only its own share.

use std::collections::HashMap;

use odi_manifest::{BlobId, HeadId, PublicKey};
use odi_wire::message::{CatalogInventory, PublicUrl};
use odi_wire::serve::Scheme;

use crate::network::Network;

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Where the client sits.
    pub client: Network,
    /// How it came. A redirect keeps the scheme: browsers block https to http, and apt calls it fatal.
    pub scheme: Scheme,
    /// The blob.
    pub blob: BlobId,
    /// The servable heads at which the path asked for names that blob, newest first.
    pub named_at: &'a [HeadId],
    /// Those of them whose pin the redirect may name, best first: one of them where the URL itself is pinned.
    pub pins: &'a [HeadId],
    /// Relays that the client asks to be spared, by the hexadecimal form of their key or the host of a URL.
    pub avoid: &'a [String],
}

/// A relay that is live, probed and not shut out.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its key.
    pub relay: PublicKey,
    /// Its proved URLs.
    pub urls: &'a [PublicUrl],
    /// From where it registered: relays of one network share what few of them would get.
    pub network: Network,
    /// Its share beside others': any unit, at least 1.
    pub weight: u64,
    /// What it says that it holds of the catalog.
    pub holding: &'a CatalogInventory,
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
}

/// However many relays of one network hold a blob, together they get what so many would: whoever rents a network to take over
/// the traffic of a file has to rent many.
const NETWORK_RELAYS: u64 = 4;

/// The best relay for a request; `None` if no candidate qualifies. `seed` is the directory's own secret: without it
/// nobody can grind a key that wins a network.
#[must_use]
pub fn select<'a>(
    ask: &Ask<'_>,
    seed: &[u8; 32],
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Option<Choice<'a>> {
    let mut qualified = Vec::new();
    let mut of_network: HashMap<Network, u64> = HashMap::new();
    for candidate in candidates {
        if let Some(choice) = qualifies(ask, &candidate) {
            *of_network.entry(candidate.network).or_default() += 1;
            qualified.push((candidate, choice));
        }
    }
    let mut best: Option<(f64, Choice<'a>)> = None;
    for (mut candidate, choice) in qualified {
        let neighbours = of_network.get(&candidate.network).copied().unwrap_or(1);
        candidate.weight = candidate.weight.saturating_mul(NETWORK_RELAYS) / neighbours.max(NETWORK_RELAYS);
        let score = score(ask.client, seed, &candidate);
        if best.as_ref().is_none_or(|(former, _)| score > *former) {
            best = Some((score, choice));
        }
    }
    best.map(|(_, choice)| choice)
}

fn qualifies<'a>(ask: &Ask<'_>, candidate: &Candidate<'a>) -> Option<Choice<'a>> {
    if !holds(candidate.holding, &ask.blob, ask.named_at) || is_avoided(ask, candidate) {
        return None;
    }
    let head = ask.pins.iter().find(|head| candidate.holding.served.contains(head)).copied()?;
    let url = candidate.urls.iter().find(|url| url.is_https() == (ask.scheme == Scheme::Https))?;
    Some(Choice { relay: candidate.relay, url, head })
}

/// Whether a relay says that it holds a blob which the path asked for names at the heads `named_at`. What came after its
/// full head is not held, and that is judged by the path: the relay holds what the path named then.
#[must_use]
pub fn holds(holding: &CatalogInventory, blob: &BlobId, named_at: &[HeadId]) -> bool {
    holding.holds(blob, holding.full.is_some_and(|full| named_at.contains(&full)))
}

fn is_avoided(ask: &Ask<'_>, candidate: &Candidate<'_>) -> bool {
    !ask.avoid.is_empty()
        && ask.avoid.iter().any(|word| {
            *word == candidate.relay.to_hex()
                || candidate.urls.iter().any(|url| {
                    let url = url.to_url();
                    url.host_str() == Some(word.as_str()) || url.authority() == word
                })
        })
}

/// Weighted rendezvous: `-w / ln(u)` with u uniform in (0, 1) per (network, relay); the largest wins with probability
/// w / sum of weights.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash and of a weight are plenty for a choice")]
fn score(client: Network, seed: &[u8; 32], candidate: &Candidate<'_>) -> f64 {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(&client.to_bytes()).update(candidate.relay.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    let draw = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11;
    let uniform = (draw as f64 + 0.5) / (1u64 << 53) as f64;
    candidate.weight.max(1) as f64 / -uniform.ln()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};

    use odi_manifest::{CatalogId, SigningKey};
    use odi_wire::message::IdRanges;

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    struct Relay {
        key: PublicKey,
        urls: Vec<PublicUrl>,
        network: Network,
        weight: u64,
        holding: CatalogInventory,
    }

    fn key(n: u8) -> PublicKey {
        SigningKey::from_seed(&[n; 32]).public_key()
    }

    fn head(n: u8) -> HeadId {
        HeadId::from_bytes([n; 32])
    }

    fn relay(n: u8, urls: &[&str], weight: u64, heads: &[HeadId]) -> Relay {
        let urls = urls.iter().map(|url| PublicUrl::parse(url).unwrap()).collect();
        let network = network(1000 + u32::from(n));
        Relay { key: key(n), urls, network, weight, holding: holding(heads, IdRanges::all()) }
    }

    fn holding(heads: &[HeadId], ranges: IdRanges) -> CatalogInventory {
        CatalogInventory {
            cat: CatalogId::from_bytes([1; 32]),
            served: heads.to_vec(),
            full: heads.first().copied(),
            fills: ranges.clone(),
            ranges,
            plus: vec![],
            minus: vec![],
        }
    }

    fn pick<'a>(relays: &'a [Relay], ask: &Ask<'_>) -> Option<Choice<'a>> {
        select(
            ask,
            &SEED,
            relays.iter().map(|relay| Candidate {
                relay: relay.key,
                urls: &relay.urls,
                network: relay.network,
                weight: relay.weight,
                holding: &relay.holding,
            }),
        )
    }

    fn ask<'a>(named_at: &'a [HeadId], avoid: &'a [String]) -> Ask<'a> {
        Ask {
            client: Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            scheme: Scheme::Http,
            blob: BlobId::of(b"x"),
            named_at,
            pins: named_at,
            avoid,
        }
    }

    fn network(n: u32) -> Network {
        Network::of(IpAddr::V4(Ipv4Addr::from(n << 8)))
    }

    #[test]
    fn a_redirect_never_changes_the_scheme() {
        let relays = [relay(1, &["https://a.example"], 1, &[head(1)])];
        assert_eq!(pick(&relays, &ask(&[head(1)], &[])), None);
        let heads = [head(1)];
        let https = Ask { scheme: Scheme::Https, ..ask(&heads, &[]) };
        assert!(pick(&relays, &https).is_some());
        let both = [relay(1, &["https://a.example", "http://a.example"], 1, &[head(1)])];
        assert_eq!(pick(&both, &ask(&[head(1)], &[])).unwrap().url.as_str(), "http://a.example");
    }

    #[test]
    fn a_relay_at_an_older_head_is_pinned_there_and_only_if_the_entry_is_the_same() {
        let relays = [relay(1, &["http://a.example"], 1, &[head(1)])];
        assert_eq!(pick(&relays, &ask(&[head(3), head(1)], &[])).unwrap().head, head(1));
        assert_eq!(pick(&relays, &ask(&[head(3), head(2)], &[])), None);
    }

    #[test]
    fn held_is_in_range_at_the_full_head_and_not_excepted() {
        let blob = |first: u8| BlobId::from_bytes([first; 32]);
        let mut holding = holding(&[head(1), head(2)], IdRanges::from_prefixes(0..=0x7fff));
        holding.plus = vec![blob(0xf0)];
        holding.minus = vec![blob(0x10)];
        assert!(holds(&holding, &blob(0x20), &[head(2), head(1)]));
        assert!(!holds(&holding, &blob(0x20), &[head(2)]), "the path named something else at the full head");
        assert!(!holds(&holding, &blob(0x10), &[head(2), head(1)]), "in `minus`");
        assert!(!holds(&holding, &blob(0x80), &[head(2), head(1)]), "out of range");
        assert!(holds(&holding, &blob(0xf0), &[head(2)]), "in `plus`");
        holding.full = None;
        assert!(!holds(&holding, &blob(0x20), &[head(2), head(1)]), "nothing is full");
    }

    #[test]
    fn avoid_names_a_key_a_host_or_a_host_and_port() {
        let relays = [
            relay(1, &["http://a.example:8081"], 1, &[head(1)]),
            relay(2, &["http://b.example:8082"], 1, &[head(1)]),
        ];
        let first = pick(&relays, &ask(&[head(1)], &[])).unwrap();
        let url = first.url.to_url();
        for word in [first.relay.to_hex(), url.host_str().unwrap().to_owned(), url.authority().to_owned()] {
            let avoid = [word];
            let second = pick(&relays, &ask(&[head(1)], &avoid)).unwrap();
            assert_ne!(second.relay, first.relay);
        }
        let both = [key(1).to_hex(), key(2).to_hex()];
        assert_eq!(pick(&relays, &ask(&[head(1)], &both)), None);
    }

    #[test]
    fn shares_follow_weights_and_a_lost_relay_moves_only_its_own() {
        let mut relays: Vec<Relay> =
            (1..=4).map(|n| relay(n, &["http://r.example"], u64::from(n), &[head(1)])).collect();
        let chosen = |relays: &[Relay]| -> Vec<PublicKey> {
            (0..4000)
                .map(|n| pick(relays, &Ask { client: network(n), ..ask(&[head(1)], &[]) }).unwrap().relay)
                .collect()
        };
        let before = chosen(&relays);
        let mut counts: BTreeMap<PublicKey, usize> = BTreeMap::new();
        before.iter().for_each(|relay| *counts.entry(*relay).or_default() += 1);
        for n in 1..=4u8 {
            let expected = 400 * usize::from(n);
            let got = counts[&key(n)];
            assert!(got.abs_diff(expected) < 120, "relay {n}: {got} of 4000, {expected} expected");
        }
        let lost = relays.remove(1).key;
        for (was, is) in before.iter().zip(chosen(&relays)) {
            assert!(*was == lost || *was == is, "a client moved although its relay lives");
        }
    }

    #[test]
    fn a_hundred_relays_of_one_network_count_for_four() {
        let mut relays: Vec<Relay> =
            (1..=100).map(|n| relay(n, &["http://r.example"], 100, &[head(1)])).collect();
        relays.iter_mut().for_each(|relay| relay.network = network(7));
        relays.extend((101..=104).map(|n| relay(n, &["http://r.example"], 100, &[head(1)])));
        let honest: Vec<PublicKey> = relays.iter().skip(100).map(|relay| relay.key).collect();
        let to_honest = (0..4000)
            .filter(|n| {
                let heads = [head(1)];
                let choice = pick(&relays, &Ask { client: network(*n), ..ask(&heads, &[]) }).unwrap();
                honest.contains(&choice.relay)
            })
            .count();
        assert!((1880..2120).contains(&to_honest), "{to_honest} of 4000, half expected");
    }
}
