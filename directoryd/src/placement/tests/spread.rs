//! Copies with different operators, in different networks and countries.

use super::*;

/// For each part of a catalog, what of its holders differs.
fn differing<T: Ord>(
    bearers: &[Bearer<'_>],
    placed: &Placed,
    catalog: &CatalogId,
    of: impl Fn(&Bearer<'_>) -> T,
) -> Vec<usize> {
    let holds = |relay: &PublicKey, part: u16| {
        let value = part * 256;
        let is_held = |held: &AssignedCatalog| {
            held.cat == *catalog
                && held.ranges.as_slice().iter().any(|(first, last)| (*first..=*last).contains(&value))
        };
        placed[relay].iter().any(is_held)
    };
    let differing = |part| {
        let holders = bearers.iter().filter(|bearer| holds(&bearer.relay, part));
        holders.map(&of).collect::<BTreeSet<T>>().len()
    };
    (0..256).map(differing).collect()
}

const OPERATORS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

fn country(n: usize) -> Option<Country> {
    Some(["DE", "FR", "JP", "US", "BR"][n % 5].parse().unwrap())
}

#[test]
fn relays_of_an_operator_count_for_one_copy() {
    let offers = [offer(1, 1 << 40)];
    let mut bearers = bearers(&[1 << 39; 16], &offers);
    for (n, bearer) in bearers.iter_mut().enumerate() {
        bearer.operator = Some(OPERATORS[n / 4]);
    }
    let placed = place(&bearers, COPIES, &[]);
    let counts = differing(&bearers, &placed, &offers[0].id, |bearer| bearer.operator.map(str::to_owned));
    assert!(counts.iter().all(|count| *count >= COPIES), "of four operators: {counts:?}");
}

#[test]
fn where_operators_are_fewer_than_copies_networks_count_and_then_relays() {
    let offers = [offer(1, 1 << 40)];
    for relays_in_network in [1, 4] {
        let mut bearers = bearers(&[1 << 39; 8], &offers);
        for (n, bearer) in bearers.iter_mut().enumerate() {
            bearer.operator = Some(OPERATORS[n / 4]);
            bearer.network = network(n / relays_in_network);
        }
        let placed = place(&bearers, COPIES, &[]);
        let least = |of: fn(&Bearer<'_>) -> String| {
            differing(&bearers, &placed, &offers[0].id, of).into_iter().min().unwrap()
        };
        assert_eq!(least(|bearer| format!("{:?}", bearer.operator)), 2);
        assert_eq!(
            least(|bearer| bearer.network.to_string()),
            if relays_in_network == 1 { COPIES } else { 2 }
        );
        assert!(least(|bearer| bearer.relay.to_hex()) >= COPIES);
    }
}

#[test]
fn who_is_in_a_network_of_an_operators_counts_with_it() {
    let offers = [offer(1, 1 << 40)];
    let mut bearers = bearers(&[1 << 39; 8], &offers);
    // Relays 0 to 3 are linked by an operator, or by a network of one of its relays.
    for (at, (net, operator)) in
        [(0, Some("one")), (1, Some("one")), (1, None), (0, Some("two"))].iter().enumerate()
    {
        (bearers[at].network, bearers[at].operator) = (network(*net), *operator);
    }
    let refs: Vec<&Bearer<'_>> = bearers.iter().collect();
    let parties: BTreeSet<u32> =
        domains::domains(&refs).iter().map(|domains| domains[domains::PARTY]).collect();
    assert_eq!(parties.len(), 5);
    let placed = place(&bearers, COPIES, &[]);
    let party = |bearer: &Bearer<'_>| {
        bearers[..4].iter().all(|other| other.relay != bearer.relay).then_some(bearer.relay)
    };
    let counts =
        differing(&bearers, &placed, &offers[0].id, |bearer| party(bearer).map(|relay| relay.to_hex()));
    assert!(counts.iter().all(|count| *count >= COPIES), "{counts:?}");
}

#[test]
fn copies_are_in_different_countries_where_there_are_any() {
    let offers = [offer(1, 1 << 40)];
    // Room for three copies, and a little more in the second case: nothing can be spared in the first.
    for room in [1 << 38, (1 << 38) + (1 << 34)] {
        let mut bearers = bearers(&[room; 12], &offers);
        for (n, bearer) in bearers.iter_mut().enumerate() {
            bearer.country = country(n % 3);
        }
        let placed = place(&bearers, COPIES, &[]);
        let networks = differing(&bearers, &placed, &offers[0].id, |bearer| bearer.network);
        assert!(networks.iter().all(|count| *count >= COPIES), "{networks:?}");
        let countries = differing(&bearers, &placed, &offers[0].id, |bearer| bearer.country);
        assert!(countries.iter().all(|count| *count >= 2), "{countries:?}");
        let all = countries.iter().filter(|count| **count == COPIES).count();
        assert!(all >= 250, "{all} parts in every country: {countries:?}");
    }
}

#[test]
fn a_relay_that_goes_moves_little_of_the_others_with_operators_and_countries() {
    let offers = [offer(1, 1 << 40)];
    let mut all = bearers(&[1 << 38; 24], &offers);
    for (n, bearer) in all.iter_mut().enumerate() {
        bearer.operator = Some(OPERATORS[n / 3]);
        bearer.country = country(n);
    }
    let before = place(&all, COPIES, &[]);
    let after = place(&all[1..], COPIES, &[]);
    let of = |bearer: &Bearer<'_>| moved(&ranges(&before, &bearer.relay), &ranges(&after, &bearer.relay));
    let moved: u32 = all[1..].iter().map(of).sum();
    let lost = ranges(&before, &all[0].relay).share();
    assert!(moved <= lost, "{moved} moved for {lost} lost");
}

proptest! {
    /// The claim at the head of floor.rs: no part is with one operator twice, or in one network, while another could have it.
    #[test]
    fn the_floor_is_reached_whenever_there_is_room_for_it(
        shares in prop::collection::vec(1usize..=PARTS, 3..24),
        of_network in 1usize..4,
        of_operator in 1usize..4,
        countries in 1usize..5,
    ) {
        let offers = [offer(1, 1 << 40)];
        let rooms: Vec<u64> = shares.iter().map(|parts| parts::bytes_of(1 << 40, *parts)).collect();
        let mut bearers = bearers(&rooms, &offers);
        let mut room_of: HashMap<usize, usize> = HashMap::new();
        let operator = |n: usize| n / of_network / of_operator;
        for (n, (bearer, parts)) in bearers.iter_mut().zip(&shares).enumerate() {
            bearer.network = network(n / of_network);
            // Who runs it alone need not say so, and there are no more names than these.
            bearer.operator = OPERATORS.get(operator(n)).copied().filter(|_| of_operator > 1);
            bearer.country = country(n % countries);
            let party = if bearer.operator.is_some() { operator(n) } else { 100 + n / of_network };
            *room_of.entry(party).or_default() += parts;
        }
        // What a party holds of a part counts once.
        let copies_possible = room_of.values().map(|parts| *parts.min(&PARTS)).sum::<usize>() / PARTS;
        let copies = copies_possible.clamp(1, COPIES);
        let placed = place(&bearers, copies, &[]);
        let party = |bearer: &Bearer<'_>| bearer.operator.map_or_else(|| bearer.network.to_string(), str::to_owned);
        let least = differing(&bearers, &placed, &offers[0].id, party).into_iter().min().unwrap();
        prop_assert!(copies_possible == 0 || least >= copies, "{least} of {copies}, {shares:?}");
        let backwards: Vec<Bearer<'_>> = bearers.iter().cloned().rev().collect();
        prop_assert_eq!(place(&backwards, copies, &[]), placed);
    }
}
