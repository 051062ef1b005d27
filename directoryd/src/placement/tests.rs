//! Room, floor, spread and stillness, over random relays and catalogs.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use odi_manifest::SigningKey;
use odi_wire::message::IdRanges;
use proptest::prelude::*;

use super::*;

mod spread;

const COPIES: usize = 3;

fn relay(n: usize) -> PublicKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(&seed).public_key()
}

fn network(n: usize) -> Network {
    Network::of(IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap() << 8)))
}

fn offer(n: u8, bytes: u64) -> Offer {
    Offer { id: CatalogId::from_bytes([n; 32]), name: format!("c{n}"), tags: vec![], bytes }
}

/// Relays with that much room each, in networks of their own, that want everything.
fn bearers<'a>(rooms: &[u64], offers: &'a [Offer]) -> Vec<Bearer<'a>> {
    let bearer = |(n, room): (usize, &u64)| Bearer {
        relay: relay(n),
        network: network(n),
        operator: None,
        country: None,
        room: *room,
        hot_room: 0,
        wanted: offers.iter().collect(),
    };
    rooms.iter().enumerate().map(bearer).collect()
}

type Placed = HashMap<PublicKey, Vec<AssignedCatalog>>;

/// The networks that hold each part of a catalog.
fn networks(bearers: &[Bearer<'_>], placed: &Placed, catalog: &CatalogId) -> Vec<BTreeSet<Network>> {
    let width = u16::try_from(65_536 / PARTS).unwrap();
    (0..PARTS)
        .map(|part| {
            let value = u16::try_from(part).unwrap() * width;
            let mut blob = [0; 32];
            blob[..2].copy_from_slice(&value.to_be_bytes());
            let blob = odi_manifest::BlobId::from_bytes(blob);
            let holds = |bearer: &&Bearer<'_>| {
                placed[&bearer.relay].iter().any(|held| held.cat == *catalog && held.ranges.contains(&blob))
            };
            bearers.iter().filter(holds).map(|bearer| bearer.network).collect()
        })
        .collect()
}

fn ranges(placed: &Placed, relay: &PublicKey) -> IdRanges {
    placed[relay].first().map_or_else(IdRanges::none, |held| held.ranges.clone())
}

/// Of the id space, the share that is in one set of ranges and not in another.
fn moved(from: &IdRanges, to: &IdRanges) -> u32 {
    let within = |(lo, hi): &(u16, u16)| (*lo..=*hi).collect::<Vec<u16>>();
    let of = |ranges: &IdRanges| ranges.as_slice().iter().flat_map(within).collect::<BTreeSet<u16>>();
    u32::try_from(of(to).difference(&of(from)).count()).unwrap()
}

#[test]
fn small_catalogs_go_whole_and_the_large_one_takes_the_rest() {
    let offers = [offer(3, 10_000), offer(1, 10), offer(2, 200)];
    let placed = place(&bearers(&[1000], &offers), COPIES, &[]);
    let held = &placed[&relay(0)];
    assert!(held[..2].iter().all(|catalog| catalog.ranges == IdRanges::all()));
    let large = held[2].ranges.expected_bytes(10_000);
    assert!((700..=790).contains(&large), "{large}");
}

#[test]
fn the_largest_catalog_has_its_copies_before_small_ones_are_everywhere() {
    // Twelve small ones of 100 GB, and one of 20 TB: each relay would spend its terabyte on the small ones.
    let mut offers: Vec<Offer> = (1..=12).map(|n| offer(n, 100 << 30)).collect();
    offers.push(offer(99, 20 << 40));
    let bearers = bearers(&[1 << 40; 200], &offers);
    let placed = place(&bearers, COPIES, &[]);
    for offer in &offers {
        let least = networks(&bearers, &placed, &offer.id).iter().map(BTreeSet::len).min();
        assert!(least >= Some(COPIES), "{}: {least:?}", offer.name);
    }
}

#[test]
fn every_part_has_its_copies_where_the_room_suffices() {
    // Room for 3.2 copies: rendezvous alone would leave many parts with one or two.
    let offers = [offer(1, 1 << 40)];
    let rooms: Vec<u64> = (1..=32).map(|n| (1u64 << 40) / 10 * (1 + n % 2) * 2 / 3).collect();
    let bearers = bearers(&rooms, &offers);
    let placed = place(&bearers, COPIES, &[]);
    let least = networks(&bearers, &placed, &offers[0].id).iter().map(BTreeSet::len).min();
    assert!(least >= Some(COPIES), "{least:?}");
}

#[test]
fn two_relays_of_a_network_count_for_one_copy() {
    let offers = [offer(1, 1 << 40)];
    let mut bearers = bearers(&[1 << 39; 16], &offers);
    for (n, bearer) in bearers.iter_mut().enumerate() {
        bearer.network = network(n / 4);
    }
    let placed = place(&bearers, COPIES, &[]);
    let least = networks(&bearers, &placed, &offers[0].id).iter().map(BTreeSet::len).min();
    assert_eq!(least, Some(COPIES), "of four networks");
}

#[test]
fn where_there_is_too_little_room_it_is_spread_evenly() {
    let offers = [offer(1, 1 << 40)];
    let bearers = bearers(&[1 << 38; 6], &offers);
    let counts: Vec<usize> =
        networks(&bearers, &place(&bearers, COPIES, &[]), &offers[0].id).iter().map(BTreeSet::len).collect();
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "room for one and a half: {counts:?}");
}

#[test]
fn a_relay_that_comes_or_goes_moves_little_of_the_others() {
    let offers = [offer(1, 1 << 40)];
    let rooms = [1 << 38; 24];
    let all = bearers(&rooms, &offers);
    let before = place(&all, COPIES, &[]);
    let after = place(&all[1..], COPIES, &[]);
    let moved: u32 = all[1..]
        .iter()
        .map(|bearer| moved(&ranges(&before, &bearer.relay), &ranges(&after, &bearer.relay)))
        .sum();
    let lost = ranges(&before, &all[0].relay).share();
    assert!(moved <= lost, "{moved} moved for {lost} lost");
}

#[test]
fn growing_keeps_what_is_held() {
    let offers = [offer(1, 1 << 40)];
    let of = |room| ranges(&place(&bearers(&[room], &offers), 1, &[]), &relay(0));
    let (less, more) = (of(1 << 36), of(1 << 37));
    assert_eq!((less.share(), more.share()), (65_536 / 16, 65_536 / 8));
    assert_eq!(moved(&more, &less), 0);
}

#[test]
fn what_is_hot_gets_further_holders_within_the_room_for_that() {
    let offers = [offer(1, 1 << 40)];
    let mut bearers = bearers(&[1 << 38; 12], &offers);
    bearers.iter_mut().for_each(|bearer| bearer.hot_room = 100);
    bearers[0].hot_room = 0;
    let blob = odi_manifest::BlobId::of(b"hot");
    let of = |placed: &Placed| -> (usize, usize) {
        let all = || placed.values().flatten();
        let anyway = all().filter(|held| held.ranges.contains(&blob)).count();
        let further = all().filter(|held| held.plus == [blob]).count();
        assert!(all().all(|held| !(held.ranges.contains(&blob) && held.plus.contains(&blob))));
        (anyway, further)
    };
    let hot = |size, further| [Hot { catalog: offers[0].id, blob, size, further }];
    let cold = of(&place(&bearers, COPIES, &[]));
    assert_eq!(cold, (COPIES, 0));
    assert_eq!(of(&place(&bearers, COPIES, &hot(100, 4))), (COPIES, 4));
    let most = of(&place(&bearers, COPIES, &hot(100, 64)));
    assert!([(COPIES, 8), (COPIES, 9)].contains(&most), "everybody who has room: {most:?}");
    assert_eq!(of(&place(&bearers, COPIES, &hot(101, 4))), (COPIES, 0), "it fits nowhere");
    assert!(place(&bearers, COPIES, &[]).get(&bearers[0].relay).unwrap()[0].plus.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_more_than_the_room_and_the_order_does_not_matter(
        sizes in prop::collection::vec(0u64..1 << 50, 0..6),
        rooms in prop::collection::vec(0u64..1 << 50, 0..12),
    ) {
        let offers: Vec<Offer> = (0..).zip(&sizes).map(|(n, bytes)| offer(n, *bytes)).collect();
        let bearers = bearers(&rooms, &offers);
        let placed = place(&bearers, COPIES, &[]);
        for bearer in &bearers {
            let catalogs = &placed[&bearer.relay];
            prop_assert!(catalogs.is_sorted_by(|a, b| a.cat < b.cat));
            let held: u64 = catalogs
                .iter()
                .map(|held| {
                    let offer = offers.iter().find(|offer| offer.id == held.cat).unwrap();
                    held.ranges.expected_bytes(offer.bytes)
                })
                .sum();
            prop_assert!(held <= bearer.room, "{held} of {}", bearer.room);
        }
        let backwards: Vec<Bearer<'_>> = bearers.into_iter().rev().collect();
        prop_assert_eq!(place(&backwards, COPIES, &[]), placed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// What was drawn before saves time and decides nothing: relays go, come back, and get more room or less.
    #[test]
    fn a_placement_is_the_same_whatever_was_drawn_before(
        times in prop::collection::vec(prop::collection::btree_map(0..8_usize, 0..3000_u64, 1..8), 2..4),
    ) {
        let offers = [offer(1, 900), offer(2, 2000)];
        let mut drawn = Drawn::default();
        for rooms in times {
            let all = bearers(&(0..8).map(|n| rooms.get(&n).copied().unwrap_or(0)).collect::<Vec<_>>(), &offers);
            let there: Vec<_> = (0..).zip(all).filter(|(n, _)| rooms.contains_key(n)).map(|(_, b)| b).collect();
            prop_assert_eq!(place_again(&mut drawn, &there, COPIES, &[]), place(&there, COPIES, &[]));
        }
    }
}
