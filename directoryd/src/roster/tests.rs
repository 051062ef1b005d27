//! The roster's transitions, one story each, and its bounds under hostile registrations.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CatalogId, HeadId, PublicKey, SigningKey, Timestamp};
use odi_wire::message::{CatalogInventory, CatalogPattern, DerivedKey, IdRanges, Inventory, PublicUrl, Sent};

use super::*;

fn key(n: u16) -> PublicKey {
    let [high, low] = n.to_be_bytes();
    let mut seed = [0; 32];
    seed[0] = high;
    seed[1] = low;
    SigningKey::from_seed(&seed).public_key()
}

fn network(n: u32) -> Network {
    Network::of(IpAddr::V4(Ipv4Addr::from(n << 8)))
}

fn registration(relay: PublicKey, generation: u64, url: &str) -> Registration {
    Registration {
        relay,
        generation,
        urls: vec![PublicUrl::parse(url).unwrap()],
        request_key: DerivedKey::from_bytes([1; 32]),
        answer_key: DerivedKey::from_bytes([2; 32]),
        catalogs: vec![CatalogPattern::parse("*").unwrap()],
        tags: vec![],
        disk: 1 << 40,
        rate: 0,
        place: None,
    }
}

const PLENTY: Room = Room { challenges: 64, tests: 64, probes: 64 };
const SELFTEST: CatalogId = CatalogId::from_bytes([9; 32]);

fn examined() -> Examined {
    Examined { selftest: Some(SELFTEST), followed: BTreeSet::from([CatalogId::from_bytes([1; 32])]) }
}

fn announcement(generation: u64, expires: u64) -> Announcement {
    let head = HeadId::from_bytes([1; 32]);
    let holding = |cat| CatalogInventory {
        cat,
        served: vec![head],
        full: Some(head),
        fills: IdRanges::all(),
        ranges: IdRanges::all(),
        plus: vec![],
        minus: vec![],
        sent: None,
    };
    let inventory = Inventory {
        v: 1,
        relay: key(1),
        generation,
        t: Timestamp(0),
        exp: Timestamp(expires),
        bans: Vec::new(),
        urls: vec![],
        caps: vec![],
        catalogs: vec![holding(CatalogId::from_bytes([1; 32])), holding(SELFTEST)],
    };
    Announcement { inventory: inventory.into(), envelope: bytes::Bytes::new() }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_000_000 + seconds)
}

const FAR: u64 = 2_000_000;

/// Passes the self-test, and as many probes as a relay on probation needs.
fn show(roster: &mut Roster, relay: &PublicKey, seconds: u64) {
    assert_eq!(roster.on(relay, Event::TestPassed, at(seconds)), Some(Action::Write));
    for _ in 0..roster.limits().probation_probes {
        roster.on(relay, Event::ProbeMatched, at(seconds));
    }
}

/// A roster with one relay that is proved, tested, alive and ready at time 0.
fn ready() -> (Roster, PublicKey) {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let relay = key(1);
    roster.register(registration(relay, 1, "http://a.example"), network(1), at(0)).unwrap();
    assert!(roster.proved(&relay, 1, at(0)));
    roster.announce(&relay, announcement(1, FAR), Came::Directly, at(0)).unwrap();
    show(&mut roster, &relay, 0);
    (roster, relay)
}

fn standing(roster: &Roster, relay: &PublicKey, seconds: u64) -> Standing {
    roster.member(relay).unwrap().standing(at(seconds))
}

#[test]
fn saying_the_same_again_sends_nobody_elsewhere() {
    let (mut roster, relay) = ready();
    let before = roster.changes();
    let given = |bytes| Some(Sent { bytes, since: at(0), bodies: bytes });
    let with = |generation, sent| {
        let announcement = announcement(generation, FAR);
        let mut inventory = Inventory::clone(&announcement.inventory);
        inventory.catalogs[0].sent = sent;
        Announcement { inventory: inventory.into(), ..announcement }
    };
    roster.announce(&relay, with(2, given(10)), Came::Directly, at(1)).unwrap();
    roster.announce(&relay, with(3, given(2000)), Came::Directly, at(2)).unwrap();
    assert_eq!(roster.changes(), before, "what it gave is no news to clients");
    let mut holds_less = Inventory::clone(&announcement(4, FAR).inventory);
    holds_less.catalogs[0].ranges = IdRanges::none();
    let less = Announcement { inventory: holds_less.into(), ..announcement(4, FAR) };
    roster.announce(&relay, less, Came::Directly, at(3)).unwrap();
    assert!(roster.changes() > before);
}

#[test]
fn a_probe_that_finds_what_the_last_one_found_sends_nobody_elsewhere() {
    let (mut roster, relay) = ready();
    let before = roster.changes();
    roster.on(&relay, Event::ProbeMatched, at(1));
    assert_eq!(roster.changes(), before);
    roster.on(&relay, Event::ProbeFailed("away"), at(2));
    assert_eq!(roster.changes(), before + 1, "its share is halved");
    roster.on(&relay, Event::ProbeMatched, at(3));
    assert_eq!(roster.changes(), before + 2);
}

#[test]
fn a_relay_takes_traffic_only_after_challenge_lease_test_and_probe() {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let relay = key(1);
    let selectable = |roster: &Roster| roster.selectable(at(0)).count();
    roster.register(registration(relay, 1, "http://a.example"), network(1), at(0)).unwrap();
    let early = roster.announce(&relay, announcement(1, FAR), Came::Directly, at(0));
    assert_eq!(early, Ok(Announced::Unproven));
    assert!(roster.member(&relay).unwrap().announced().is_none(), "nothing is kept of an unproven relay's");
    assert_eq!((standing(&roster, &relay, 0), selectable(&roster)), (Standing::Unproven, 0));
    assert!(
        matches!(roster.due(PLENTY, at(0))[..], [Due::Challenge(_)]),
        "nothing is probed before the challenge"
    );
    assert!(roster.due(PLENTY, at(1)).is_empty(), "a challenge under way is not sent twice");
    assert!(roster.proved(&relay, 1, at(1)));
    assert_eq!((standing(&roster, &relay, 1), selectable(&roster)), (Standing::Probation, 0));
    roster.announce(&relay, announcement(1, FAR), Came::Directly, at(1)).unwrap();
    assert!(matches!(roster.due(PLENTY, at(1))[..], [Due::Test(_)]), "the self-test comes first");
    assert_eq!(roster.on(&relay, Event::ProbeMatched, at(2)), None, "a probe stands in for no test");
    roster.on(&relay, Event::TestPassed, at(2));
    assert!(matches!(roster.due(PLENTY, at(2))[..], [Due::Probe(_)]));
    assert_eq!(roster.selectable(at(2)).count(), 0);
    roster.on(&relay, Event::ProbeMatched, at(2));
    assert_eq!((standing(&roster, &relay, 2), roster.selectable(at(2)).count()), (Standing::Probation, 1));
    for _ in 1..roster.limits().probation_probes {
        roster.on(&relay, Event::ProbeMatched, at(2));
    }
    assert_eq!(standing(&roster, &relay, 2), Standing::Ready);
}

#[test]
fn a_lease_ends_after_sixty_seconds_or_with_the_statement() {
    let (mut roster, relay) = ready();
    assert_eq!(roster.selectable(at(59)).count(), 1);
    assert_eq!(roster.selectable(at(60)).count(), 0);
    let short = announcement(2, at(80).0);
    let announced = roster.announce(&relay, short, Came::Directly, at(70)).unwrap();
    assert_eq!(announced, Announced::Lease { standing: Standing::Ready, until: at(80) });
    assert_eq!(roster.selectable(at(80)).count(), 0);
}

#[test]
fn replayed_statements_change_nothing() {
    let (mut roster, relay) = ready();
    let stale = Err(RosterRefusal::StaleGeneration { known: 1 });
    assert_eq!(
        roster.announce(&relay, announcement(1, FAR), Came::Directly, at(50)),
        stale.map(|()| Announced::Unknown)
    );
    assert_eq!(
        roster.register(registration(relay, 1, "http://evil.example"), network(1), at(1)).map(drop),
        stale
    );
    assert_eq!(roster.leave(&relay, 1), stale.map(|()| true));
    assert_eq!(roster.selectable(at(59)).count(), 1);
    assert_eq!(roster.leave(&relay, 2), Ok(true));
    assert_eq!(roster.selectable(at(1)).count(), 0);
    assert!(
        roster.announce(&relay, announcement(2, FAR), Came::Directly, at(1)).is_err(),
        "a replay does not undo leaving"
    );
    assert!(roster.announce(&relay, announcement(3, FAR), Came::Directly, at(1)).is_ok());
}

#[test]
fn a_new_registration_waits_beside_the_proved_one() {
    let (mut roster, relay) = ready();
    roster.register(registration(relay, 2, "http://b.example"), network(1), at(1)).unwrap();
    assert_eq!(roster.member(&relay).unwrap().urls()[0].as_str(), "http://a.example");
    assert_eq!(roster.selectable(at(1)).count(), 1);
    roster.challenge_failed(&relay, 2, "no answer", at(1));
    assert_eq!(roster.selectable(at(1)).count(), 1);
    assert!(!roster.proved(&relay, 1, at(2)), "an answer to a former challenge proves nothing");
    assert!(roster.proved(&relay, 2, at(2)));
    assert_eq!(roster.member(&relay).unwrap().urls()[0].as_str(), "http://b.example");
    assert_eq!(standing(&roster, &relay, 2), Standing::Probation, "other URLs have to be tested anew");
}

#[test]
fn the_same_urls_under_a_new_key_keep_their_traffic() {
    let (mut roster, relay) = ready();
    roster.register(registration(relay, 2, "http://a.example"), network(1), at(1)).unwrap();
    assert!(roster.proved(&relay, 2, at(2)));
    assert_eq!(standing(&roster, &relay, 2), Standing::Ready);
}

#[test]
fn probes_that_fail_take_the_traffic_away_and_a_match_brings_some_back() {
    let (mut roster, relay) = ready();
    let failed =
        |roster: &mut Roster, seconds| roster.on(&relay, Event::ProbeFailed("timed out"), at(seconds));
    assert_eq!((failed(&mut roster, 1), failed(&mut roster, 2)), (None, None));
    assert_eq!(standing(&roster, &relay, 2), Standing::Ready);
    assert_eq!(failed(&mut roster, 3), Some(Action::Write));
    assert_eq!(standing(&roster, &relay, 3), Standing::Probation);
    assert_eq!(roster.selectable(at(3)).count(), 0);
    assert_eq!(roster.member(&relay).unwrap().reason(), Some("timed out"));
    assert!(roster.due(PLENTY, at(4)).is_empty(), "the next waits");
    assert!(matches!(roster.due(PLENTY, at(30))[..], [Due::Probe(_)]));
    roster.on(&relay, Event::ProbeMatched, at(31));
    assert_eq!((standing(&roster, &relay, 31), roster.selectable(at(31)).count()), (Standing::Probation, 1));
}

#[test]
fn a_probe_older_than_five_minutes_sends_no_traffic() {
    let (mut roster, relay) = ready();
    for n in 0..20 {
        roster.announce(&relay, announcement(2 + n, FAR), Came::Directly, at(20 * n)).unwrap();
    }
    assert_eq!(roster.selectable(at(300)).count(), 1);
    assert_eq!(roster.selectable(at(301)).count(), 0);
}

#[test]
fn wrong_bytes_shut_a_relay_out_for_a_while() {
    let (mut roster, relay) = ready();
    roster.on(&relay, Event::Lied("wrong byte"), at(1));
    assert_eq!(standing(&roster, &relay, 1), Standing::Quarantined);
    roster.announce(&relay, announcement(2, FAR), Came::Directly, at(10)).unwrap();
    roster.register(registration(relay, 2, "http://a.example"), network(1), at(10)).unwrap();
    assert!(roster.proved(&relay, 2, at(11)));
    assert_eq!(standing(&roster, &relay, 12), Standing::Quarantined, "registering again does not help");
    roster.announce(&relay, announcement(3, FAR), Came::Directly, at(3601)).unwrap();
    assert_eq!(standing(&roster, &relay, 3601), Standing::Probation);
    assert!(matches!(roster.due(PLENTY, at(3601))[..], [Due::Test(_)]), "from the beginning");
}

#[test]
fn a_url_that_never_answers_is_challenged_a_few_times_and_dropped() {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let victim = key(1);
    roster.register(registration(victim, 1, "http://victim.example"), network(1), at(0)).unwrap();
    let mut challenges = 0;
    let mut now = 0;
    while roster.member(&victim).is_some() {
        for due in roster.due(PLENTY, at(now)) {
            let Due::Challenge(registration) = due else { panic!("nothing else is ever sent") };
            challenges += 1;
            roster.challenge_failed(&victim, registration.generation, "404", at(now));
        }
        roster.sweep(at(now));
        now += 1;
        assert!(now < 3600, "it is never dropped");
    }
    assert_eq!(challenges, 8);
}

#[test]
fn one_network_cannot_fill_the_roster() {
    let limits = RosterLimits { relays: 100, ..RosterLimits::default() };
    let mut roster = Roster::new(limits, examined());
    let mut register = |n: u16, from: u32| {
        roster.register(registration(key(n), 1, "http://a.example"), network(from), at(0)).map(drop)
    };
    assert!((0..8).all(|n| register(n, 1).is_ok()));
    assert_eq!(register(9, 1), Err(RosterRefusal::TooManyUnproven));
    assert!((10..102).all(|n| register(n, 10 + u32::from(n)).is_ok()));
    assert_eq!(register(200, 1000), Err(RosterRefusal::Full));
}

#[test]
fn what_was_proved_survives_a_restart_and_is_forgotten_after_a_week() {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let relay = key(1);
    roster.restore(registration(relay, 7, "http://a.example"), network(1), Stage::Ready, at(0));
    assert_eq!(roster.live(at(0)).count(), 0, "no lease before it announces itself");
    assert!(roster.register(registration(relay, 7, "http://a.example"), network(1), at(0)).is_err());
    roster.announce(&relay, announcement(1, FAR), Came::Directly, at(1)).unwrap();
    assert_eq!(standing(&roster, &relay, 1), Standing::Probation);
    assert!(matches!(roster.due(PLENTY, at(1))[..], [Due::Probe(_)]), "it was tested before");
    roster.on(&relay, Event::ProbeMatched, at(2));
    assert_eq!(standing(&roster, &relay, 2), Standing::Ready);
    assert!(roster.sweep(at(86_400)).is_empty());
    assert_eq!(roster.sweep(at(8 * 86_400)), [Lapsed { relay, was_proved: true }]);
}

#[test]
fn registering_again_neither_hastens_challenges_nor_renews_them() {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let attacker = key(1);
    let mut challenges = 0;
    let mut generation = 0;
    for second in 0..3600 {
        generation += 1;
        let again = registration(attacker, generation, "http://victim.example");
        roster.register(again, network(1), at(second)).unwrap();
        for due in roster.due(PLENTY, at(second)) {
            let Due::Challenge(registration) = due else { panic!("nothing else is ever sent") };
            challenges += 1;
            roster.challenge_failed(&attacker, registration.generation, "404", at(second));
        }
        if roster.sweep(at(second)).len() == 1 {
            break;
        }
    }
    assert_eq!(challenges, 8);
}

#[test]
fn a_proved_relay_that_registers_again_waits_like_any_other() {
    let (mut roster, _) = ready();
    let limits = *roster.limits();
    for n in 2..2 + u16::try_from(limits.unproven_per_network).unwrap() {
        roster.register(registration(key(n), 1, "http://b.example"), network(1), at(0)).unwrap();
    }
    let again = registration(key(1), 2, "http://victim.example");
    assert_eq!(roster.register(again, network(1), at(0)), Err(RosterRefusal::TooManyUnproven));
}

#[test]
fn a_host_gets_only_so_many_challenges_whoever_registers_it() {
    let limits =
        RosterLimits { host_challenges: 3, host_challenges_per_minute: 6, ..RosterLimits::default() };
    let mut roster = Roster::new(limits, examined());
    for n in 0..10u16 {
        let url = format!("http://victim.example:{}", 8000 + n);
        roster.register(registration(key(n), 1, &url), network(u32::from(n)), at(0)).unwrap();
    }
    roster.register(registration(key(20), 1, "http://other.example"), network(20), at(0)).unwrap();
    assert_eq!(roster.due(PLENTY, at(0)).len(), 4, "three there, and another host's own");
    assert_eq!(roster.due(PLENTY, at(9)).len(), 0);
    assert_eq!(roster.due(PLENTY, at(10)).len(), 1, "one every ten seconds");
}

#[test]
fn an_inventory_names_only_urls_that_were_proved() {
    let (mut roster, relay) = ready();
    let mut foreign = announcement(2, FAR);
    Arc::make_mut(&mut foreign.inventory).urls = vec![PublicUrl::parse("http://victim.example").unwrap()];
    assert_eq!(roster.announce(&relay, foreign, Came::Directly, at(1)), Err(RosterRefusal::UnprovenUrls));
    let mut own = announcement(2, FAR);
    Arc::make_mut(&mut own.inventory).urls = vec![PublicUrl::parse("http://a.example").unwrap()];
    assert!(roster.announce(&relay, own, Came::Directly, at(1)).is_ok());
    // Once it has moved, what it said of its former URL is passed on no more.
    roster.register(registration(relay, 2, "http://b.example"), network(1), at(2)).unwrap();
    assert!(roster.proved(&relay, 2, at(2)));
    assert!(roster.member(&relay).unwrap().announced().is_none());
}

#[test]
fn what_a_relay_says_of_itself_raises_its_weight_to_a_bound_only() {
    let weight = |rate: u64| {
        let mut roster = Roster::new(RosterLimits::default(), examined());
        let relay = key(1);
        let registration = Registration { rate, ..registration(relay, 1, "http://a.example") };
        roster.restore(registration, network(1), Stage::Ready, at(0));
        roster.member(&relay).unwrap().weight().unwrap()
    };
    assert_eq!(weight(1_000), 1_000);
    assert_eq!(weight(1_000_000_000_000), weight(u64::MAX));
    assert!(weight(u64::MAX) < 100 * weight(100_000_000));
}

#[test]
fn no_more_is_begun_than_there_is_room_for_and_everybody_has_a_turn() {
    let mut roster = Roster::new(RosterLimits::open_network(), examined());
    for n in 1..=5 {
        let registration = registration(key(n), 1, &format!("https://r{n}.example"));
        roster.restore(registration, network(n.into()), Stage::Untested, at(0));
        let mut said = announcement(1, 1_000_000_000);
        let mut inventory = (*said.inventory).clone();
        (inventory.relay, inventory.urls) =
            (key(n), vec![PublicUrl::parse(&format!("https://r{n}.example")).unwrap()]);
        said.inventory = Arc::new(inventory);
        roster.announce(&key(n), said, Came::Directly, at(0)).unwrap();
    }
    let mut tested = BTreeSet::new();
    for _ in 0..5 {
        let due = roster.due(Room { tests: 1, ..PLENTY }, at(1));
        let [Due::Test(relay)] = due[..] else { panic!("{due:?}") };
        assert!(tested.insert(relay), "twice the same");
        // Its test fails at once: others come first all the same.
        roster.on(&relay, Event::TestFailed("no"), at(0));
    }
    assert!(roster.due(Room { tests: 0, ..PLENTY }, at(40)).is_empty());
    let [Due::Test(again)] = roster.due(Room { tests: 1, ..PLENTY }, at(40))[..] else { panic!("none") };
    assert!(tested.contains(&again));
}

fn decided(verdict: Verdict) -> Option<Decision> {
    Some(Decision { verdict, why: Some("so".to_owned()), at: at(0) })
}

#[test]
fn who_the_operator_shuts_out_stays_so_whatever_it_shows() {
    let (mut roster, relay) = ready();
    assert!(roster.decide(&relay, decided(Verdict::Quarantined)));
    let is_out = |roster: &mut Roster, seconds: u64| {
        let member = roster.member(&relay).unwrap();
        assert_eq!(roster.shut_out(member, at(seconds)), Some(Why::Barred));
        assert_eq!(member.reason(), Some("this directory's operator has shut it out: so"));
        assert_eq!(member.standing(at(seconds)), Standing::Quarantined);
        assert_eq!(roster.passed(at(seconds)).count(), 0, "nor is its word passed on");
    };
    is_out(&mut roster, 1);
    assert!(roster.due(PLENTY, at(1)).is_empty(), "it is neither tested nor probed");
    roster.on(&relay, Event::ProbeMatched, at(1));
    roster.announce(&relay, announcement(2, FAR), Came::Directly, at(2)).unwrap();
    roster.register(registration(relay, 2, "http://b.example"), network(1), at(3)).unwrap();
    assert!(roster.proved(&relay, 2, at(4)));
    is_out(&mut roster, 4);
    assert!(roster.decide(&relay, None));
    assert_eq!(
        roster.shut_out(roster.member(&relay).unwrap(), at(5)),
        Some(Why::Untested),
        "it moved meanwhile"
    );
}

#[test]
fn who_is_approved_needs_no_probation_and_may_not_lie() {
    let mut roster = Roster::new(RosterLimits::default(), examined());
    let relay = key(1);
    roster.decide(&relay, decided(Verdict::Approved));
    roster.register(registration(relay, 1, "http://a.example"), network(1), at(0)).unwrap();
    assert!(roster.proved(&relay, 1, at(0)));
    roster.announce(&relay, announcement(1, FAR), Came::Directly, at(0)).unwrap();
    assert_eq!(roster.selectable(at(0)).count(), 0, "the self-test is for everybody");
    let written = roster.would_write(&relay, Event::TestPassed, at(0)).map(|(_, stage)| stage);
    assert_eq!(written, Some(Stage::Ready));
    roster.on(&relay, Event::TestPassed, at(0));
    assert_eq!(roster.selectable(at(0)).count(), 0, "and one probe");
    roster.on(&relay, Event::ProbeMatched, at(0));
    assert_eq!((standing(&roster, &relay, 0), roster.selectable(at(0)).count()), (Standing::Ready, 1));
    roster.on(&relay, Event::Lied("wrong bytes"), at(1));
    assert_eq!(standing(&roster, &relay, 1), Standing::Quarantined);
    roster.on(&relay, Event::Released, at(2));
    assert_eq!(roster.member(&relay).unwrap().trial().stage(), Stage::Untested);
}

#[test]
fn who_is_removed_does_not_come_back_by_itself() {
    let (mut roster, relay) = ready();
    assert!(roster.decide(&relay, decided(Verdict::Removed)));
    assert!(roster.member(&relay).is_none());
    let again = roster.register(registration(relay, 9, "http://a.example"), network(1), at(1));
    assert_eq!(again, Err(RosterRefusal::Removed));
    roster.decide(&relay, None);
    assert!(roster.register(registration(relay, 9, "http://a.example"), network(1), at(1)).is_ok());
}

#[test]
fn what_was_passed_on_counts_from_when_it_was_made_and_never_after_a_farewell() {
    let (mut roster, relay) = ready();
    let made = |generation, t: Timestamp| {
        let announcement = announcement(generation, FAR);
        let inventory = Inventory { t, ..(*announcement.inventory).clone() };
        Announcement { inventory: Arc::new(inventory), ..announcement }
    };
    let until = |announced| match announced {
        Ok(Announced::Lease { until, .. }) => until,
        other => panic!("{other:?}"),
    };
    let passed = roster.announce(&relay, made(50, at(100)), Came::PassedOn, at(130));
    assert_eq!(until(passed), at(160), "held back for half a minute, it is good for the other half");
    let passed = roster.announce(&relay, made(51, at(9000)), Came::PassedOn, at(131));
    assert_eq!(until(passed), at(131 + 60), "of the future it counts as of now");
    assert_eq!(roster.member(&relay).unwrap().silent_for(at(140)), Some(Duration::from_secs(9)));
    let passed = roster.announce(&relay, made(52, at(0)), Came::PassedOn, at(2000));
    assert_eq!(until(passed), at(131 + 60));
    assert!(!roster.member(&relay).unwrap().is_alive(at(2000)));
    let old = roster.announce(&relay, made(52, at(2000)), Came::PassedOn, at(2000));
    assert_eq!(old, Err(RosterRefusal::StaleGeneration { known: 52 }));
    roster.leave(&relay, 53).unwrap();
    assert_eq!(roster.member(&relay).unwrap().silent_for(at(2001)), None, "nobody is asked for it");
    assert_eq!(
        roster.announce(&relay, made(54, at(2001)), Came::PassedOn, at(2001)),
        Err(RosterRefusal::Left)
    );
    assert!(roster.announce(&relay, made(54, at(2001)), Came::Directly, at(2001)).is_ok());
    assert!(roster.announce(&relay, made(55, at(2002)), Came::PassedOn, at(2002)).is_ok());
}
