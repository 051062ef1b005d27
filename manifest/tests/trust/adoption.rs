//! Heads against the catalog's history: what is followed, what is refused, and why.

use crate::catalog::{Catalog, NOW, key, later, publics};
use odi_manifest::{Adoption, Ancestors, Because, Floor, Head, HeadRefusal, Unverified, Verified, judge};

/// Follows `candidate`, fetching ancestors from the catalog as `judge` asks; also says how many it took.
fn follow(
    catalog: &Catalog,
    held: Option<&Verified<Head>>,
    candidate: &Unverified<Head>,
) -> Result<(Adoption, usize), HeadRefusal> {
    let candidate = catalog.trust.verify_head(candidate)?;
    let mut ancestors = Ancestors::default();
    for fetched in 0.. {
        match judge(&catalog.trust, held, &candidate, &ancestors, NOW)? {
            Adoption::NeedsAncestor { seq, head } => {
                let found = catalog.head(&head).unwrap_or_else(|| panic!("no head {head} at {seq}"));
                assert_eq!(found.claims().seq, seq);
                ancestors.insert(&head, found.clone())?;
            }
            decided => return Ok((decided, fetched)),
        }
    }
    unreachable!("the loop ends by a decision")
}

fn because(followed: Result<(Adoption, usize), HeadRefusal>) -> Because {
    match followed.unwrap().0 {
        Adoption::Adopt(adopted) => adopted.because,
        other => panic!("{other:?}"),
    }
}

fn refused(followed: Result<(Adoption, usize), HeadRefusal>) -> &'static str {
    followed.unwrap_err().name()
}

#[test]
fn the_next_head_is_adopted_and_the_same_one_is_nothing_new() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    assert_eq!(because(follow(&catalog, None, &first)), Because::First);
    let held = catalog.verified(&first);
    assert_eq!(follow(&catalog, Some(&held), &first).unwrap().0, Adoption::Same);
    let second = catalog.publish("two");
    assert_eq!(because(follow(&catalog, Some(&held), &second)), Because::Descends);
}

#[test]
fn an_older_head_is_a_rollback() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let second = catalog.publish("two");
    let held = catalog.verified(&second);
    assert_eq!(refused(follow(&catalog, Some(&held), &first)), "rollback");
}

#[test]
fn a_long_absence_costs_a_short_walk() {
    let mut catalog = Catalog::begin();
    let heads: Vec<_> = (0..600).map(|number| catalog.publish(&number.to_string())).collect();
    let newest = heads.last().unwrap();
    for away in [0, 1, 2, 62, 63, 64, 127, 254, 300, 511, 598] {
        let held = catalog.verified(&heads[away]);
        let (decision, fetched) = follow(&catalog, Some(&held), newest).unwrap();
        assert!(matches!(decision, Adoption::Adopt(_)), "{away}: {decision:?}");
        assert!(fetched <= 60, "{away}: {fetched} heads fetched");
    }
}

#[test]
fn expired_heads_and_roots_bring_nothing_new_and_take_nothing_away() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let held = catalog.verified(&first);
    let second = catalog.publish("two");
    let candidate = catalog.verified(&second);
    let ancestors = Ancestors::default();
    let at = |now| judge(&catalog.trust, Some(&held), &candidate, &ancestors, now);
    assert!(matches!(at(later(NOW, 29)), Ok(Adoption::Adopt(_))));
    assert_eq!(at(later(NOW, 30)).unwrap_err().name(), "expired");
    assert_eq!(at(later(NOW, 365)).unwrap_err().name(), "root-expired");
    let same = judge(&catalog.trust, Some(&held), &held, &ancestors, later(NOW, 999));
    assert_eq!(same, Ok(Adoption::Same));
}

#[test]
fn two_heads_of_one_number_are_a_proof_that_verifies_offline() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let mut thief = catalog.clone();
    let ours = catalog.publish("ours");
    let theirs = thief.publish("theirs");
    let held = catalog.verified(&ours);
    let Adoption::Equivocation(proof) = follow(&catalog, Some(&held), &theirs).unwrap().0 else { panic!() };
    let again = odi_manifest::Equivocation::decode(&proof.encode()).unwrap();
    assert_eq!(again.verify(*catalog.trust.catalog()), Ok(2));
    assert!(again.verify(*Catalog::begin_named("other").trust.catalog()).is_err());
    assert!(odi_manifest::Equivocation::between(&catalog.trust, &held, &catalog.verified(&first)).is_none());
}

#[test]
fn a_divergent_line_is_refused_until_a_head_voids_the_held_one() {
    let mut catalog = Catalog::begin();
    let _ = catalog.publish("one");
    let mut thief = catalog.clone();
    let held = catalog.verified(&thief.publish("theirs"));
    let _ = catalog.publish("ours");
    let third = catalog.publish("three");
    assert_eq!(refused(follow(&catalog, Some(&held), &third)), "divergent");
    let voiding = catalog.publish_with("four", |head| head.void(held.id()));
    assert_eq!(because(follow(&catalog, Some(&held), &voiding)), Because::Voids);
    let later = catalog.publish("five");
    assert_eq!(because(follow(&catalog, Some(&held), &later)), Because::Voids);
}

#[test]
fn numbers_cannot_jump() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let held = catalog.verified(&first);
    let second = catalog.publish("two");
    let jump = catalog.forge(&second, |head| head.seq = 1 << 63);
    assert_eq!(refused(follow(&catalog, Some(&held), &jump)), "sequence-jump");
    let two_up = catalog.forge(&second, |head| head.seq = 3);
    assert_eq!(refused(follow(&catalog, Some(&held), &two_up)), "sequence-jump");
}

#[test]
fn a_new_epoch_drops_the_thiefs_heads_and_goes_on_above_them() {
    let mut catalog = Catalog::begin();
    let good = catalog.publish("good");
    let mut thief = catalog.clone();
    let stolen: Vec<_> = (0..5).map(|number| thief.publish(&format!("evil {number}"))).collect();
    let held = catalog.verified(&stolen[4]);
    let floor = Floor { seq: 1, head: good.id(), next: 9 };
    catalog.rotate(|root| root.release_keys(1, publics(&[30])).new_epoch(floor));
    catalog.release = vec![key(30)];

    assert_eq!(catalog.trust.verify_head(&stolen[4]).unwrap_err().name(), "former-epoch");
    assert!(odi_manifest::Mark::of(&catalog.trust, &held).is_fallen(&catalog.trust));
    // Back to the floor is a step forward in the order, once; then the epoch's own heads follow.
    assert_eq!(because(follow(&catalog, Some(&held), &good)), Because::NewEpoch);
    let floor_held = catalog.verified(&good);
    assert_eq!(refused(follow(&catalog, Some(&floor_held), &stolen[0])), "former-epoch");
    let first = catalog.publish("new keys");
    assert_eq!((first.claims().seq, first.claims().epoch), (9, 2));
    let twelfth = (10..=12).map(|number| catalog.publish(&number.to_string())).last().unwrap();
    for held in [&held, &floor_held, &catalog.verified(&first)] {
        follow(&catalog, Some(held), &twelfth).unwrap();
    }
    assert_eq!(because(follow(&catalog, None, &twelfth)), Because::First);
}

#[test]
fn an_epoch_can_begin_with_nothing_good_before_it() {
    let mut catalog = Catalog::begin();
    let evil = catalog.publish("evil");
    let held = catalog.verified(&evil);
    let floor = Floor { seq: 0, head: Floor::NO_HEAD, next: 6 };
    catalog.rotate(|root| root.release_keys(1, publics(&[30])).new_epoch(floor));
    catalog.release = vec![key(30)];
    catalog.newest = None;
    let sixth = catalog.publish("good");
    assert_eq!(sixth.claims().skip, Some(Floor::NO_HEAD));
    let seventh = catalog.publish("better");
    assert_eq!(because(follow(&catalog, Some(&held), &sixth)), Because::NewEpoch);
    assert_eq!(because(follow(&catalog, Some(&held), &seventh)), Because::NewEpoch);
}

#[test]
fn other_catalogs_roots_and_keys_are_named_in_the_refusal() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let mut other = Catalog::begin_named("other");
    let foreign = other.publish("one");
    assert_eq!(refused(follow(&catalog, None, &foreign)), "wrong-catalog");
    let unknown = catalog.forge(&first, |head| head.root_version = 2);
    assert_eq!(refused(follow(&catalog, None, &unknown)), "unknown-root");
    let epoch = catalog.forge(&first, |head| head.epoch = 2);
    assert_eq!(refused(follow(&catalog, None, &epoch)), "epoch-mismatch");
    let unsigned = Unverified::draft(first.claims().clone()).unwrap();
    let error = catalog.trust.verify_head(&unsigned).unwrap_err();
    assert_eq!(error.name(), "wrong-keys");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the head is signed by 0 of the 1 release keys that it needs (0 signatures in all)");
    let stranger = unsigned.signed_by(&key(99)).unwrap();
    assert_eq!(refused(follow(&catalog, None, &stranger)), "wrong-keys");
}

#[test]
fn revoke_keys_may_revoke_and_nothing_else() {
    let mut catalog = Catalog::begin();
    catalog.rotate(|root| root.revoke_keys(1, publics(&[40])));
    let first = catalog.publish("one");
    let held = catalog.verified(&first);
    let list = odi_manifest::RevId::of(b"list");
    catalog.release = vec![key(40)];
    let revoking = catalog.publish_with("one", |head| head.revocations(list));
    assert_eq!(because(follow(&catalog, Some(&held), &revoking)), Because::Descends);
    assert_eq!(because(follow(&catalog, None, &revoking)), Because::First);
    let again = catalog.publish_with("one", |head| head.revocations(odi_manifest::RevId::of(b"more")));
    assert_eq!(because(follow(&catalog, Some(&held), &again)), Because::Descends);

    let mut thief = catalog.clone();
    let evil = thief.publish("evil");
    assert_eq!(refused(follow(&thief, Some(&held), &evil)), "revoke-changes-more");
    // An unsigned head between, with the thief's tree, vouches for nothing.
    let above = thief.publish("evil");
    assert_eq!(refused(follow(&thief, Some(&held), &above)), "revoke-changes-more");
    assert_eq!(refused(follow(&thief, None, &above)), "revoke-changes-more");

    catalog.release = vec![key(2)];
    let dropped = catalog.forge(&again, |head| head.revocations = None);
    assert_eq!(refused(follow(&catalog, Some(&catalog.verified(&revoking)), &dropped)), "revocation-lost");
}

#[test]
fn a_key_that_revokes_itself_is_believed_at_once_and_for_good() {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("one");
    let words = odi_manifest::SelfRevocation {
        t: NOW,
        v: 1,
        catalog: *catalog.trust.catalog(),
        key: key(2).public_key(),
    };
    let unsigned = Unverified::draft(words).unwrap();
    assert!(catalog.trust.retire(&unsigned.clone().signed_by(&key(3)).unwrap()).is_err());
    assert!(catalog.trust.verify_head(&first).is_ok());
    catalog.trust.retire(&unsigned.signed_by(&key(2)).unwrap()).unwrap();
    assert_eq!(catalog.trust.verify_head(&first).unwrap_err().name(), "wrong-keys");
    catalog.rotate(|root| root.release_keys(1, publics(&[2, 31])));
    catalog.release = vec![key(31)];
    let second = catalog.publish("two");
    assert!(catalog.trust.verify_head(&second).is_ok());
    assert_eq!(catalog.trust.verify_head(&first).unwrap_err().name(), "wrong-keys");
}
