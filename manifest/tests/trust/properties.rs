//! What holds for any bytes and any history, not only for the ones that somebody thought of.

use std::sync::LazyLock;

use odi_manifest::{
    Adoption, Ancestors, Because, Cosig, Envelope, Equivocation, Head, Mark, Pin, PublicKey, Record,
    RecordKind, RevocationList, Root, SelfRevocation, Unverified, judge,
};
use proptest::prelude::*;

use crate::catalog::{Catalog, NOW, key};
use crate::cbor_like::cbor_like;
use crate::damage::{damage, damaged};

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(samples);

/// An envelope of some real record of each kind.
fn samples() -> Vec<Vec<u8>> {
    let mut catalog = Catalog::begin();
    let heads: Vec<_> = (0..6).map(|number| catalog.publish(&number.to_string())).collect();
    let other = catalog.forge(&heads[5], |head| head.entries = 9);
    let verified = [&heads[5], &other].map(|head| catalog.verified(head));
    let mark = Mark::of(&catalog.trust, &verified[0]);
    let id = *catalog.trust.catalog();
    let cosig = Unverified::draft(Cosig::of(id, &mark, NOW)).unwrap().signed_by(&key(9)).unwrap();
    let words = SelfRevocation { t: NOW, v: 1, catalog: id, key: key(2).public_key() };
    vec![
        catalog.trust.root().encode(),
        heads[0].encode(),
        heads[5].encode(),
        cosig.encode(),
        Unverified::draft(words).unwrap().encode(),
        Equivocation::between(&catalog.trust, &verified[0], &verified[1]).unwrap().encode(),
    ]
}

/// Reads bytes as everything that this crate signs or proves; whatever is read must be written back the same.
fn read_as_everything(bytes: &[u8]) {
    fn record<T: Record>(bytes: &[u8]) {
        if let Ok(record) = Unverified::<T>::decode(bytes) {
            assert_eq!(record.encode(), bytes);
            assert_eq!(Unverified::draft(record.claims().clone()).unwrap().payload(), record.payload());
        }
    }
    record::<Root>(bytes);
    record::<Head>(bytes);
    record::<Cosig>(bytes);
    record::<SelfRevocation>(bytes);
    if let Ok(envelope) = Envelope::decode(bytes) {
        assert_eq!(envelope.encode(), bytes);
    }
    if let Ok(proof) = Equivocation::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        let _ = proof.verify(*Catalog::begin().trust.catalog());
    }
    if let Ok(list) = RevocationList::decode(bytes) {
        assert_eq!(list.encode(), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_in_one_spelling(bytes in cbor_like()) {
        read_as_everything(&bytes);
        for kind in [RecordKind::Root, RecordKind::Head, RecordKind::Cosig, RecordKind::SelfRevoke] {
            if let Ok(envelope) = Envelope::new(kind, bytes.clone()) {
                read_as_everything(&envelope.encode());
                // What follows an envelope is no part of it, and no other spelling of it either.
                read_as_everything(&[envelope.encode(), bytes.clone()].concat());
            }
        }
    }

    #[test]
    fn texts_are_read_without_panic_and_in_one_spelling(text in "\\PC{0,100}") {
        if let Ok(key) = text.parse::<PublicKey>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
        if let Ok(pin) = text.parse::<Pin>() {
            prop_assert_eq!(pin.to_string(), text);
        }
    }

    #[test]
    fn judgement_agrees_with_a_walk_over_every_head(
        history in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..6u8), 2..40),
        held in any::<prop::sample::Index>(),
        candidate in any::<prop::sample::Index>(),
    ) {
        let heads = grow(&history);
        let (catalog, held) = held.get(&heads);
        let (_, candidate) = candidate.get(&heads);
        let expected = expect(&heads, held, candidate);
        prop_assert_eq!(decide(&heads, catalog, held, candidate), expected);
    }
}

proptest! {
    // A longer form of one header, and nothing else wrong, is one case in hundreds.
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_records_are_read_without_panic_and_in_one_spelling(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let sample = which.get(&SAMPLES);
        read_as_everything(&damaged(sample, &damages));
        // Within the envelope its length would give away most of what happens to a payload.
        if let Ok(envelope) = Envelope::decode(sample) {
            let payload = damaged(envelope.payload(), &damages);
            if let Ok(envelope) = Envelope::new(envelope.kind(), payload) {
                read_as_everything(&envelope.encode());
            }
        }
    }
}

/// Heads upon heads: each step publishes after some earlier head, and now and then voids another one.
fn grow(history: &[(prop::sample::Index, prop::sample::Index, u8)]) -> Vec<(Catalog, Unverified<Head>)> {
    let mut start = Catalog::begin();
    let first = start.publish("first");
    let mut heads = vec![(start, first)];
    for (number, (after, other, dice)) in history.iter().enumerate() {
        // Mostly the newest line grows, so that skips get long; else some older head gets a second successor.
        let mut catalog = if *dice < 4 { heads.last().unwrap() } else { after.get(&heads) }.0.clone();
        let divergent = other.get(&heads).1.id();
        let head = catalog.publish_with(&number.to_string(), |head| match dice {
            0 | 5 => head.void(divergent),
            _ => head,
        });
        heads.push((catalog, head));
    }
    heads
}

/// The rule as FORMAT.md states it, by walking every `prev`.
fn expect(
    heads: &[(Catalog, Unverified<Head>)],
    held: &Unverified<Head>,
    candidate: &Unverified<Head>,
) -> &'static str {
    let find = |id| heads.iter().map(|(_, head)| head).find(|head| head.id() == id);
    let (mine, theirs) = (held.claims().seq, candidate.claims().seq);
    if held.id() == candidate.id() {
        return "same";
    }
    if theirs == mine {
        return "equivocation";
    }
    if theirs < mine {
        return "rollback";
    }
    let mut at = candidate;
    while at.claims().seq > mine {
        at = find(at.claims().prev.unwrap()).unwrap();
    }
    if at.id() == held.id() {
        "descends"
    } else if candidate.claims().void.contains(&held.id()) {
        "voids"
    } else {
        "divergent"
    }
}

fn decide(
    heads: &[(Catalog, Unverified<Head>)],
    catalog: &Catalog,
    held: &Unverified<Head>,
    candidate: &Unverified<Head>,
) -> &'static str {
    let held = catalog.verified(held);
    let candidate = catalog.trust.verify_head(candidate).unwrap();
    let mut ancestors = Ancestors::default();
    loop {
        match judge(&catalog.trust, Some(&held), &candidate, &ancestors, NOW) {
            Ok(Adoption::NeedsAncestor { seq, head }) => {
                let found = heads.iter().map(|(_, known)| known).find(|known| known.id() == head).unwrap();
                assert_eq!(found.claims().seq, seq);
                ancestors.insert(&head, found.clone()).unwrap();
            }
            Ok(Adoption::Same) => return "same",
            Ok(Adoption::Equivocation(_)) => return "equivocation",
            Ok(Adoption::Adopt(adopted)) if adopted.because == Because::Descends => return "descends",
            Ok(Adoption::Adopt(adopted)) if adopted.because == Because::Voids => return "voids",
            Ok(Adoption::Adopt(adopted)) => panic!("{adopted:?}"),
            Err(refusal) => return refusal.name(),
        }
    }
}
