//! The bucket and its line, over made-up time.

use proptest::prelude::*;

use super::*;

const PIECE: u64 = PACE_PIECE_BYTES;
const RATE: u64 = 50_000_000;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Clients that always want more, each with so many connections, for ten seconds; bytes per client.
fn saturated(rate: u64, connections: &[usize], look_every: Duration) -> Vec<u64> {
    let mut pacer = Pacer::new(Some(rate), u64::MAX, Duration::ZERO);
    let piece = pacer.piece_bytes();
    let mut owner = HashMap::new();
    let mut sent = vec![0; connections.len()];
    let (mut now, end) = (Duration::ZERO, Duration::from_secs(10));
    let mut free: Vec<usize> =
        connections.iter().enumerate().flat_map(|(client, n)| vec![client; *n]).collect();
    while now < end {
        while let Some(client) = free.pop() {
            match pacer.ask(&client, piece, true, now) {
                None => {
                    sent[client] += piece;
                    free.push(client);
                }
                Some(ticket) => _ = owner.insert(ticket, client),
            }
        }
        now = pacer.next().unwrap().max(now + look_every);
        for ticket in pacer.grant(now) {
            let client = owner.remove(&ticket).unwrap();
            sent[client] += piece;
            free.push(client);
        }
    }
    sent
}

#[test]
fn the_rate_is_kept_within_a_percent_however_late_the_looks() {
    for (rate, late) in [(100_000, 40), (RATE, 0), (RATE, 40), (1_250_000_000, 0), (1_250_000_000, 1)] {
        let sent: u64 = saturated(rate, &[1, 3, 8], at(late)).iter().sum();
        let due = rate * 10;
        assert!(sent.abs_diff(due) <= due / 100 + PIECE * 2, "{sent} of {due} at {late} ms");
    }
}

#[test]
fn clients_share_equally_however_many_connections_they_have() {
    let sent = saturated(RATE, &[1, 1, 50, 7], Duration::ZERO);
    let fair = RATE * 10 / 4;
    for bytes in &sent {
        assert!(bytes.abs_diff(fair) <= fair / 50, "{sent:?}");
    }
}

#[test]
fn one_alone_takes_everything() {
    let sent = saturated(RATE, &[1], Duration::ZERO);
    assert!(sent[0].abs_diff(RATE * 10) < RATE / 20, "{sent:?}");
}

#[test]
fn whoever_comes_new_goes_next() {
    let mut pacer = Pacer::new(Some(RATE), u64::MAX, at(0));
    let mut greedy: Vec<Ticket> = (0..200).filter_map(|_| pacer.ask(&"greedy", PIECE, true, at(0))).collect();
    greedy.reverse();
    let served = pacer.grant(at(20));
    assert!(!served.is_empty() && served.iter().all(|ticket| greedy.pop() == Some(*ticket)));
    let small = pacer.ask(&"small", 300, true, at(20)).unwrap();
    let next = pacer.next().unwrap();
    assert!(next < at(30), "{next:?}");
    assert_eq!(pacer.grant(next)[0], small);
}

#[test]
fn a_small_answer_waits_for_nothing_while_the_bucket_has_something() {
    let mut pacer = Pacer::new(Some(RATE), u64::MAX, at(0));
    assert_eq!(pacer.ask(&1, PIECE - 1, true, at(0)), None);
    assert_eq!(pacer.ask(&2, 300, true, at(0)), None);
    assert_eq!(pacer.next(), None, "nobody waits, so nobody is woken");
}

#[test]
fn coming_back_on_another_connection_is_no_way_to_go_first() {
    let mut pacer = Pacer::new(Some(RATE), u64::MAX, at(0));
    let mut sent = [0_u64; 2];
    let mut now = at(0);
    let (mut patient, mut hasty) = (None, None);
    for _ in 0..2000 {
        for (client, held) in [(0, &mut patient), (1, &mut hasty)] {
            while held.is_none() {
                *held = pacer.ask(&client, PIECE, true, now);
                sent[client] += if held.is_none() { PIECE } else { 0 };
            }
        }
        now = pacer.next().unwrap();
        for ticket in pacer.grant(now) {
            let (client, held) = if patient == Some(ticket) { (0, &mut patient) } else { (1, &mut hasty) };
            *held = None;
            sent[client] += PIECE;
        }
        // The hasty one gives up whatever it waits for, and asks anew.
        if let Some(ticket) = hasty.take() {
            pacer.withdraw(&1, ticket);
        }
    }
    assert!(sent[1] <= sent[0] + sent[0] / 10, "{sent:?}");
}

#[test]
fn nothing_goes_beyond_the_allowance_and_an_extension_lets_it_go_on() {
    let mut pacer = Pacer::new(None, 1000, at(0));
    assert_eq!(pacer.ask(&1, 600, true, at(0)), None);
    let waits = pacer.ask(&1, 600, true, at(0)).unwrap();
    assert_eq!((pacer.grant(at(9000)), pacer.next(), pacer.allowance()), (vec![], None, 400));
    pacer.allow(601);
    assert_eq!((pacer.grant(at(9000)), pacer.allowance()), (vec![waits], 1));
}

#[test]
fn what_is_not_metered_does_not_stand_behind_what_waits_for_the_allowance() {
    let mut pacer = Pacer::new(None, 1000, at(0));
    let download = pacer.ask(&1, 2000, true, at(0)).unwrap();
    assert_eq!((pacer.next(), pacer.grant(at(1))), (None, vec![]));
    let of_another = pacer.ask(&2, 300, false, at(1)).unwrap();
    let of_the_same = pacer.ask(&1, 300, false, at(1)).unwrap();
    assert!(pacer.next().is_some());
    let mut granted = pacer.grant(at(1));
    granted.sort_unstable();
    assert_eq!(granted, [of_another, of_the_same]);
    assert_eq!((pacer.waiting(), pacer.next()), (1, None));
    pacer.allow(2000);
    assert_eq!(pacer.grant(at(2)), [download]);
}

#[test]
fn another_rate_holds_from_now_on() {
    let mut pacer = Pacer::new(Some(1_000_000), u64::MAX, at(0));
    while pacer.ask(&1, 30_000, true, at(0)).is_none() {}
    assert!(pacer.next().unwrap() < at(100));
    pacer.set_rate(Some(10_000), at(0));
    assert!(pacer.next().unwrap() > at(1000));
    pacer.set_rate(None, at(1));
    assert_eq!((pacer.next(), pacer.grant(at(1)).len()), (Some(at(1)), 1));
}

#[derive(Clone, Debug)]
enum Step {
    Ask { lane: u8, bytes: u64 },
    Wait { micros: u64 },
    GiveUp { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, 1_u64..=PIECE).prop_map(|(lane, bytes)| Step::Ask { lane, bytes }),
        3 => (0_u64..200_000).prop_map(|micros| Step::Wait { micros }),
        1 => any::<usize>().prop_map(|which| Step::GiveUp { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn never_more_than_the_rate_and_nobody_is_lost(steps in proptest::collection::vec(step(), 1..200)) {
        let rate = 2_000_000;
        let mut pacer = Pacer::new(Some(rate), u64::MAX, at(0));
        let mut now = at(0);
        let (mut sent, mut waiting) = (0_u64, Vec::<(Ticket, u8, u64)>::new());
        let credited = |now: Duration| worth(rate, now) / NANOS;
        for step in steps {
            match step {
                Step::Ask { lane, bytes } => match pacer.ask(&lane, bytes, true, now) {
                    None => sent += bytes,
                    Some(ticket) => waiting.push((ticket, lane, bytes)),
                },
                Step::Wait { micros } => now += Duration::from_micros(micros),
                Step::GiveUp { which } if !waiting.is_empty() => {
                    let (ticket, lane, _) = waiting.swap_remove(which % waiting.len());
                    pacer.withdraw(&lane, ticket);
                }
                Step::GiveUp { .. } => {}
            }
            for granted in pacer.grant(now) {
                let at = waiting.iter().position(|(ticket, ..)| *ticket == granted).unwrap();
                sent += waiting.swap_remove(at).2;
            }
            prop_assert!(i128::from(sent) <= credited(now) + i128::from(2 * PIECE), "{} at {:?}", sent, now);
            prop_assert_eq!(pacer.waiting(), waiting.len());
            prop_assert_eq!(pacer.next().is_some(), !waiting.is_empty());
        }
        while let Some(next) = pacer.next() {
            let granted = pacer.grant(next);
            prop_assert!(!granted.is_empty(), "a wake-up for nothing");
            waiting.retain(|(ticket, ..)| !granted.contains(ticket));
        }
        prop_assert!(waiting.is_empty());
    }
}
