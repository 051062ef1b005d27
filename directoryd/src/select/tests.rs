//! Who qualifies, in which order, and what moves when a relay goes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use odi_manifest::{CatalogId, SigningKey};
use odi_wire::message::IdRanges;

use super::*;
use crate::whereabouts::{Continent, Point, Site};

const SEED: [u8; 32] = [7; 32];

struct Relay {
    key: PublicKey,
    urls: Vec<PublicUrl>,
    reach: Reach,
    network: Network,
    site: Site,
    share: Share,
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
    let (site, share) = (Site::default(), Share::all(weight));
    let holding = holding(heads, IdRanges::all());
    Relay { key: key(n), urls, reach: Reach::default(), network, site, share, holding }
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
        sent: None,
    }
}

fn ranked<'a>(relays: &'a [Relay], ask: &Ask<'_>) -> Ranking<'a> {
    rank(ask, &SEED, &field(relays), &candidates(relays))
}

fn candidates<'a>(relays: &'a [Relay]) -> Vec<Candidate<'a>> {
    let candidate = |relay: &'a Relay| {
        let Relay { key, urls, reach, holding, .. } = relay;
        Candidate { relay: *key, urls, reach, shut: None, holding: Some(holding), late: 0 }
    };
    relays.iter().map(candidate).collect()
}

fn field<'a>(relays: &'a [Relay]) -> Field {
    let entrant = |relay: &'a Relay| {
        let Relay { key, urls, reach, network, site, share, holding } = relay;
        let ways = Ways::of(urls, reach);
        Entrant { relay: *key, network: *network, site, ways, share: *share, holding }
    };
    Field::of(relays.iter().map(entrant), &SEED)
}

fn pick<'a>(relays: &'a [Relay], ask: &Ask<'_>) -> Option<Choice<'a>> {
    ranked(relays, ask).choices.first().copied()
}

/// Whom the first so many networks are sent to.
fn first_choices(relays: &[Relay], networks: u32) -> Vec<PublicKey> {
    first_choices_from(relays, networks, Whereabouts::default())
}

fn first_choices_from(relays: &[Relay], networks: u32, whereabouts: Whereabouts) -> Vec<PublicKey> {
    let (candidates, field) = (candidates(relays), field(relays));
    let find = |relay: &PublicKey| candidates.iter().find(|candidate| candidate.relay == *relay).copied();
    let heads = [head(1)];
    (0..networks)
        .map(|n| {
            choose(&Ask { client: network(n), whereabouts, ..ask(&heads, &[]) }, &SEED, &field, 1, find)[0]
                .relay
        })
        .collect()
}

fn ask<'a>(named_at: &'a [HeadId], avoid: &'a [String]) -> Ask<'a> {
    Ask {
        client: Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        whereabouts: Whereabouts::default(),
        family: Family::V4,
        only_family: false,
        scheme: Scheme::Http,
        wanted: Wanted::Blob { blob: BlobId::of(b"x"), named_at },
        pins: named_at,
        avoid,
        only: None,
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
    let before = first_choices(&relays, 4000);
    let mut counts: BTreeMap<PublicKey, usize> = BTreeMap::new();
    before.iter().for_each(|relay| *counts.entry(*relay).or_default() += 1);
    for n in 1..=4u8 {
        let expected = 400 * usize::from(n);
        let got = counts[&key(n)];
        assert!(got.abs_diff(expected) < 120, "relay {n}: {got} of 4000, {expected} expected");
    }
    let lost = relays.remove(1).key;
    for (was, is) in before.iter().zip(first_choices(&relays, 4000)) {
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
    let to_honest = first_choices(&relays, 4000).iter().filter(|relay| honest.contains(relay)).count();
    assert!((1880..2120).contains(&to_honest), "{to_honest} of 4000, half expected");
}

#[test]
fn every_candidate_is_ranked_or_told_why_not() {
    let mut relays: Vec<Relay> =
        (1..=6).map(|n| relay(n, &["http://r.example"], 5, &[head(2), head(1)])).collect();
    relays[0].holding.ranges = IdRanges::default();
    relays[1].holding.served = vec![head(1)];
    relays[2].urls = vec![PublicUrl::parse("https://r.example").unwrap()];
    let (heads, spared) = ([head(2)], [relays[3].key.to_hex()]);
    let ask = Ask { avoid: &spared, ..ask(&heads, &[]) };
    let ranking = ranked(&relays, &ask);
    let why: Vec<Why> = ranking.passed_over.iter().map(|(_, why)| *why).collect();
    assert_eq!(why, [Why::NotHeld, Why::OtherState, Why::OtherScheme, Why::Avoided]);
    assert_eq!(ranking.choices.len(), 2);
    let fifth = relays[4].key.to_hex();
    let only = ranked(&relays, &Ask { only: Some(&fifth), ..ask });
    assert_eq!(only.choices.iter().map(|choice| choice.relay).collect::<Vec<_>>(), [relays[4].key]);
    assert!(
        only.passed_over
            .iter()
            .any(|(candidate, why)| { candidate.relay == relays[5].key && *why == Why::NotAskedFor })
    );
}

#[test]
fn only_who_holds_everything_is_the_base_of_many_urls() {
    let mut relays: Vec<Relay> = (1..=3).map(|n| relay(n, &["http://r.example"], 5, &[head(1)])).collect();
    relays[0].holding.ranges = IdRanges::from_prefixes(0..=0x7fff);
    relays[1].holding.minus = vec![BlobId::of(b"hole")];
    let heads = [head(1)];
    let ranking = ranked(&relays, &Ask { wanted: Wanted::Whole, ..ask(&heads, &[]) });
    assert_eq!(ranking.choices.iter().map(|choice| choice.relay).collect::<Vec<_>>(), [relays[2].key]);
    assert!(ranking.passed_over.iter().all(|(_, why)| *why == Why::NotWhole));
}

fn placed(country: &str, asn: u32, lat: i16, lon: i16) -> Whereabouts {
    let country = country.parse().unwrap();
    let (continent, point) = (Continent::of(country), Some(Point { lat, lon }));
    Whereabouts { asn: Some(asn), country: Some(country), continent, point }
}

/// Six relays at other distances from Berlin.
fn around_berlin() -> Vec<Relay> {
    let sites = [
        placed("JP", 2500, 3570, 13_970),
        placed("ES", 766, 4040, -370),
        placed("PL", 8501, 5220, 2100),
        placed("DE", 1, 4810, 1160),
        placed("DE", 2, 5250, 1330),
        placed("DE", 680, 5070, 710),
    ];
    let relay = |(n, whereabouts): (u8, Whereabouts)| {
        let site = Site { whereabouts, prefixes: Vec::new() };
        Relay { site, ..relay(n, &["http://r.example"], 100, &[head(1)]) }
    };
    (1..).zip(sites).map(relay).collect()
}

#[test]
fn the_nearest_come_first_and_everybody_comes() {
    let mut relays = around_berlin();
    relays[1].site.prefixes = vec!["127.0.0.0/16".parse().unwrap()];
    let heads = [head(1)];
    let ask = Ask { whereabouts: placed("DE", 680, 5252, 1340), ..ask(&heads, &[]) };
    let order: Vec<(u8, Nearness)> = ranked(&relays, &ask)
        .choices
        .iter()
        .map(|choice| {
            ((1..).zip(&relays).find(|(_, relay)| relay.key == choice.relay).unwrap().0, choice.nearness)
        })
        .collect();
    let expected = [
        (2, Nearness::Prefix),
        (6, Nearness::System),
        (5, Nearness::NearInCountry),
        (4, Nearness::NearInCountry),
        (3, Nearness::Near),
        (1, Nearness::Anywhere),
    ];
    assert_eq!(order, expected);
}

#[test]
fn what_is_near_and_does_not_hold_it_is_passed_over() {
    let mut relays = around_berlin();
    relays[3..].iter_mut().for_each(|relay| relay.holding.ranges = IdRanges::default());
    let heads = [head(1)];
    let ask = Ask { whereabouts: placed("DE", 680, 5252, 1340), ..ask(&heads, &[]) };
    assert_eq!(pick(&relays, &ask).unwrap().relay, relays[2].key);
}

#[test]
fn relays_that_are_nearest_for_too_many_keep_the_same_part_of_them() {
    let berlin = placed("DE", 3320, 5252, 1340);
    let mut relays = around_berlin();
    relays.retain(|relay| relay.site.whereabouts.country != "PL".parse().ok());
    let to_germany = |relays: &[Relay]| -> Vec<bool> {
        let germans: Vec<PublicKey> = relays[2..].iter().map(|relay| relay.key).collect();
        first_choices_from(relays, 4000, berlin).iter().map(|relay| germans.contains(relay)).collect()
    };
    assert!(to_germany(&relays).iter().all(|is| *is));
    relays[2..].iter_mut().for_each(|relay| relay.share.kept = 25);
    let kept = to_germany(&relays);
    let count = kept.iter().filter(|kept| **kept).count();
    // A quarter stays near Berlin, of the rest one in the country, and so on; further out they are three of five.
    assert!((2000..3900).contains(&count), "{count} of 4000");
    relays[2..].iter_mut().for_each(|relay| relay.share.kept = 50);
    let more = to_germany(&relays);
    assert!(kept.iter().zip(&more).filter(|(before, after)| **before && !**after).count() < 40);
    let heads = [head(1)];
    let all =
        |n| ranked(&relays, &Ask { client: network(n), whereabouts: berlin, ..ask(&heads, &[]) }).sent_on;
    assert!((0..100).any(|n| all(n).contains(&Nearness::Country)) && (0..100).any(|n| all(n).is_empty()));
}

#[test]
fn many_in_a_country_share_its_clients_by_weight() {
    let mut relays: Vec<Relay> = (1..=200)
        .map(|n| relay(n, &["http://r.example"], if n % 2 == 0 { 300 } else { 100 }, &[head(1)]))
        .collect();
    for relay in &mut relays[..100] {
        relay.site.whereabouts = Whereabouts { point: None, asn: None, ..placed("BR", 1, 0, 0) };
    }
    let client = Whereabouts { country: "BR".parse().ok(), ..Whereabouts::default() };
    let chosen = first_choices_from(&relays, 4000, client);
    let heavy: Vec<PublicKey> = relays[..100].iter().skip(1).step_by(2).map(|relay| relay.key).collect();
    let all: Vec<PublicKey> = relays[..100].iter().map(|relay| relay.key).collect();
    assert!(chosen.iter().all(|relay| all.contains(relay)));
    let to_heavy = chosen.iter().filter(|relay| heavy.contains(relay)).count();
    assert!(to_heavy.abs_diff(3000) < 150, "{to_heavy} of 4000");
}

#[test]
fn a_client_meets_relays_of_its_own_family_first_and_no_other_if_it_says_so() {
    let mut relays: Vec<Relay> = (1..=40).map(|n| relay(n, &["http://r.example"], 5, &[head(1)])).collect();
    let url = relays[0].urls[0].clone();
    relays.iter_mut().for_each(|relay| _ = relay.reach.note(&url, Family::V4, true));
    let six = relays[7].key;
    relays[7].reach.note(&url, Family::V6, true);
    let heads = [head(1)];
    let over_six = Ask { family: Family::V6, ..ask(&heads, &[]) };
    let ranking = ranked(&relays, &over_six);
    assert_eq!((ranking.choices[0].relay, ranking.choices.len()), (six, 40));
    let only = ranked(&relays, &Ask { only_family: true, ..over_six });
    assert_eq!(only.choices.iter().map(|choice| choice.relay).collect::<Vec<_>>(), [six]);
    assert!(only.passed_over.iter().all(|(_, why)| *why == Why::OtherFamily));
    relays[7].reach = Reach::default();
    assert_eq!(ranked(&relays, &over_six).choices.len(), 40, "better one that may not answer than none");
}

/// Whom a client is sent to, if relays are late by so much.
fn chosen_beside(
    relays: &[Relay],
    ask: &Ask<'_>,
    most: usize,
    late: impl Fn(&PublicKey) -> u64,
) -> Vec<PublicKey> {
    let (candidates, field) = (candidates(relays), field(relays));
    let find = |relay: &PublicKey| {
        let known = candidates.iter().find(|candidate| candidate.relay == *relay)?;
        Some(Candidate { late: late(relay), ..*known })
    };
    choose(ask, &SEED, &field, most, find).iter().map(|choice| choice.relay).collect()
}

#[test]
fn who_is_late_is_passed_over_for_others_and_of_a_few_the_least_late_comes_first() {
    let relays: Vec<Relay> = (1..=20).map(|n| relay(n, &["http://r.example"], 10, &[head(1)])).collect();
    let heads = [head(1)];
    let ask = ask(&heads, &[]);
    let order = chosen_beside(&relays, &ask, usize::MAX, |_| 0);
    assert_eq!(order.len(), 20);
    let first_is_late = |relay: &PublicKey| u64::from(*relay == order[0]);
    assert_eq!(chosen_beside(&relays, &ask, 1, first_is_late), order[1..2]);
    assert_eq!(chosen_beside(&relays, &ask, 3, first_is_late), order[1..4]);
    assert_eq!(
        chosen_beside(&relays, &ask, usize::MAX, first_is_late)[19],
        order[0],
        "still better than nobody"
    );
    let place = |relay: &PublicKey| order.iter().position(|other| other == relay).unwrap() as u64;
    assert_eq!(chosen_beside(&relays, &ask, 1, |relay| 30 - place(relay)), order[7..8], "of those looked at");
    assert_eq!(chosen_beside(&relays, &ask, 1, |relay| 1 + place(relay)), order[..1]);
    let hours = |relay: &PublicKey| 3600 * (30 - place(relay));
    assert_eq!(chosen_beside(&relays, &ask, 1, hours), order[19..], "where all are late by hours, more are");
    // Until one is not late by so much.
    let soon = |relay: &PublicKey| if place(relay) == 10 { 600 } else { hours(relay) };
    assert_eq!(chosen_beside(&relays, &ask, 1, soon), order[10..11]);
}

#[test]
fn of_many_that_are_late_by_hours_thirty_two_are_looked_at() {
    let relays: Vec<Relay> = (1..=60).map(|n| relay(n, &["http://r.example"], 10, &[head(1)])).collect();
    let heads = [head(1)];
    let ask = ask(&heads, &[]);
    let order = chosen_beside(&relays, &ask, usize::MAX, |_| 0);
    let place = |relay: &PublicKey| order.iter().position(|other| other == relay).unwrap() as u64;
    let hours = |relay: &PublicKey| 3600 * (90 - place(relay));
    assert_eq!(chosen_beside(&relays, &ask, 1, hours), order[31..32]);
}

#[test]
fn who_is_near_and_late_comes_before_who_is_far() {
    let relays = around_berlin();
    let heads = [head(1)];
    let ask = Ask { whereabouts: placed("DE", 680, 5252, 1340), ..ask(&heads, &[]) };
    let order = chosen_beside(&relays, &ask, usize::MAX, |_| 0);
    assert_eq!(chosen_beside(&relays, &ask, usize::MAX, |relay| u64::from(*relay == order[0])), order);
}
