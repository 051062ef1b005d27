//! Witnesses: whose word makes a head fresh, for how long, and against which clock.

use odi_manifest::{
    CLOCK_SKEW_MAX, COSIGNATURE_LIFE, Cosig, Cosignature, Freshness, Head, Mark, Staleness, Timestamp,
    Unverified, Verified, Witness, default_witness_quorum, freshness, trusted_now,
};

use crate::catalog::{Catalog, NOW, key, later};

/// A catalog with three witnesses, keys 50 to 52, and a head that is held.
fn witnessed() -> (Catalog, Verified<Head>) {
    let mut catalog = Catalog::begin();
    let witnesses =
        [50, 51, 52].map(|seed| Witness { key: key(seed).public_key(), name: format!("witness {seed}") });
    catalog.rotate(|root| root.witnesses(witnesses, None));
    let head = catalog.publish("one");
    let held = catalog.verified(&head);
    (catalog, held)
}

fn cosign(catalog: &Catalog, head: &Verified<Head>, seed: u8, at: Timestamp) -> Cosignature {
    let mark = Mark::of(&catalog.trust, head);
    let cosig = Unverified::draft(Cosig::of(*catalog.trust.catalog(), &mark, at)).unwrap();
    catalog.trust.verify_cosig(&cosig.signed_by(&key(seed)).unwrap()).unwrap()
}

fn have(catalog: &Catalog, held: &Verified<Head>, cosignatures: &[Cosignature], now: Timestamp) -> usize {
    match freshness(&catalog.trust, held, cosignatures, now) {
        Freshness::Fresh { witnesses, .. } => witnesses,
        Freshness::Stale(Staleness::TooFewWitnesses { have, .. }) => have,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_majority_of_distinct_witnesses_makes_a_head_fresh() {
    let (catalog, held) = witnessed();
    let first = cosign(&catalog, &held, 50, NOW);
    let again = cosign(&catalog, &held, 50, NOW.plus(COSIGNATURE_LIFE / 2));
    let second = cosign(&catalog, &held, 51, NOW);
    let too_few = Freshness::Stale(Staleness::TooFewWitnesses { needed: 2, have: 1 });
    let now = NOW.plus(COSIGNATURE_LIFE / 2);
    assert_eq!(freshness(&catalog.trust, &held, &[first.clone(), again.clone()], now), too_few);
    let fresh = Freshness::Fresh { witnesses: 2, until: NOW.plus(COSIGNATURE_LIFE) };
    assert_eq!(freshness(&catalog.trust, &held, &[first, again, second], now), fresh);
}

#[test]
fn old_future_and_other_cosignatures_do_not_count() {
    let (mut catalog, held) = witnessed();
    let word = cosign(&catalog, &held, 50, NOW);
    assert_eq!(have(&catalog, &held, std::slice::from_ref(&word), NOW.plus(COSIGNATURE_LIFE)), 1);
    let past = NOW.plus(COSIGNATURE_LIFE).plus(std::time::Duration::from_secs(1));
    assert_eq!(have(&catalog, &held, std::slice::from_ref(&word), past), 0);
    let ahead = cosign(&catalog, &held, 50, NOW.plus(CLOCK_SKEW_MAX * 2));
    assert_eq!(have(&catalog, &held, std::slice::from_ref(&ahead), NOW), 0);
    let second = catalog.publish("two");
    let newer = catalog.verified(&second);
    assert_eq!(have(&catalog, &newer, &[word], NOW), 0);

    let mark = Mark::of(&catalog.trust, &held);
    let cosig = Unverified::draft(Cosig::of(*catalog.trust.catalog(), &mark, NOW)).unwrap();
    assert!(catalog.trust.verify_cosig(&cosig).is_err());
    assert!(catalog.trust.verify_cosig(&cosig.signed_by(&key(99)).unwrap()).is_err());
}

#[test]
fn a_clock_that_was_set_back_is_corrected_by_witnesses() {
    let (catalog, held) = witnessed();
    let word = cosign(&catalog, &held, 50, NOW);
    let back = Timestamp(NOW.0 - 60);
    assert_eq!(trusted_now(std::slice::from_ref(&word), back), NOW);
    assert_eq!(trusted_now(&[word], Timestamp(NOW.0 - 3600)), Timestamp(NOW.0 - 3600));
}

#[test]
fn expiry_comes_before_witnesses_and_no_quorum_is_no_protection() {
    let (catalog, held) = witnessed();
    let judged = |days| freshness(&catalog.trust, &held, &[], later(NOW, days));
    assert_eq!(judged(30), Freshness::Stale(Staleness::HeadExpired));
    assert_eq!(judged(365), Freshness::Stale(Staleness::RootExpired));
    let mut alone = Catalog::begin();
    let head = alone.publish("one");
    let head = alone.verified(&head);
    let unprotected = Freshness::Unprotected { until: later(NOW, 30) };
    assert_eq!(freshness(&alone.trust, &head, &[], NOW), unprotected);
    assert_eq!([0, 1, 2, 3, 4, 5].map(default_witness_quorum), [0, 1, 1, 2, 3, 3]);
}
