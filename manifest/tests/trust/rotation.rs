//! Root after root: what continues the chain, and what each refusal protects.

use odi_manifest::{Floor, HeadId, Root, RootBuilder, SigningKey, TrustRoot, Unverified};

use crate::catalog::{Catalog, NOW, key, later, publics};

fn after(catalog: &Catalog) -> RootBuilder {
    RootBuilder::after(catalog.trust.root(), NOW, later(NOW, 365))
}

fn signed(root: RootBuilder, seeds: &[u8]) -> Unverified<Root> {
    let mut root = root.build().unwrap();
    seeds.iter().map(|seed| key(*seed)).for_each(|key: SigningKey| root.sign(&key).unwrap());
    root
}

fn refused(catalog: &Catalog, next: &Unverified<Root>) -> &'static str {
    let mut trust = catalog.trust.clone();
    let refusal = trust.rotate(next).unwrap_err();
    assert_eq!(trust.root().id(), catalog.trust.root().id(), "a refusal changes nothing");
    refusal.name()
}

/// A root that no builder would make, signed all the same.
fn forged(like: &Unverified<Root>, change: impl FnOnce(&mut Root), seeds: &[u8]) -> Unverified<Root> {
    let mut root = like.claims().clone();
    change(&mut root);
    let mut root = Unverified::draft(root).unwrap();
    seeds.iter().for_each(|seed| root.sign(&key(*seed)).unwrap());
    root
}

#[test]
fn versions_go_up_by_exactly_one() {
    let mut catalog = Catalog::begin();
    let second = signed(after(&catalog), &[1]);
    assert_eq!(refused(&catalog, &forged(&second, |root| root.version = 3, &[1])), "not-the-next");
    let other = signed(after(&catalog).name("fedora"), &[1]);
    catalog.trust.rotate(&second).unwrap();
    assert_eq!(refused(&catalog, &second), "not-the-next");
    assert_eq!(refused(&catalog, &other), "forked");
    assert_eq!(refused(&catalog, &forged(&other, |_| {}, &[9])), "not-the-next");
    let astray = forged(
        &signed(after(&catalog), &[1]),
        |root| root.prev = Some(Catalog::begin().trust.root().id()),
        &[1],
    );
    assert_eq!(refused(&catalog, &astray), "wrong-previous");
}

#[test]
fn old_and_new_keys_both_agree() {
    let catalog = Catalog::begin();
    let hand_over = || after(&catalog).root_keys(1, publics(&[5]));
    assert_eq!(refused(&catalog, &signed(hand_over(), &[5])), "old-keys");
    assert_eq!(refused(&catalog, &signed(hand_over(), &[1])), "new-keys");
    let mut trust = catalog.trust.clone();
    trust.rotate(&signed(hand_over(), &[1, 5])).unwrap();
}

#[test]
fn taking_release_power_away_opens_an_epoch_with_a_floor() {
    let mut catalog = Catalog::begin();
    catalog.rotate(|root| root.release_keys(1, publics(&[2, 3])));
    let removed = || after(&catalog).release_keys(1, publics(&[3, 4]));
    let raised = || after(&catalog).release_keys(2, publics(&[2, 3]));
    assert_eq!(refused(&catalog, &signed(removed(), &[1])), "epoch-needed");
    assert_eq!(refused(&catalog, &signed(raised(), &[1])), "epoch-needed");
    let floor = Floor { seq: 4, head: HeadId::of(b"good"), next: 9 };
    let opened = signed(removed().new_epoch(floor), &[1]);
    assert_eq!(refused(&catalog, &forged(&opened, |root| root.floor = None, &[1])), "epoch-without-floor");
    assert_eq!(refused(&catalog, &forged(&opened, |root| root.epoch = 1, &[1])), "floor-without-epoch");
    assert_eq!(refused(&catalog, &forged(&opened, |root| root.epoch = 3, &[1])), "epoch-jump");
    catalog.trust.rotate(&opened).unwrap();
    let at = |seq, next| signed(after(&catalog).new_epoch(Floor { seq, head: HeadId::of(b"x"), next }), &[1]);
    assert_eq!(refused(&catalog, &at(6, 20)), "floor-off-the-line");
    assert_eq!(refused(&catalog, &at(3, 9)), "sequence-reused");
    catalog.trust.rotate(&at(10, 20)).unwrap();
    assert_eq!(catalog.trust.ancestor(19), 10);
}

#[test]
fn a_catalog_cannot_move_to_itself() {
    let catalog = Catalog::begin();
    let moved = signed(after(&catalog).moved(*catalog.trust.catalog()), &[1]);
    assert_eq!(refused(&catalog, &moved), "moved-to-itself");
    let mut trust = catalog.trust.clone();
    let elsewhere = *Catalog::begin_named("fedora").trust.catalog();
    trust.rotate(&signed(after(&catalog).moved(elsewhere), &[1])).unwrap();
    assert_eq!(trust.root().moved, Some(elsewhere));
}

#[test]
fn only_its_own_first_root_begins_a_catalog() {
    let catalog = Catalog::begin();
    let first = catalog.trust.root().unverified();
    let other = *Catalog::begin_named("fedora").trust.catalog();
    assert_eq!(TrustRoot::begin(other, &first).unwrap_err().name(), "wrong-catalog");
    let unsigned = Unverified::draft(first.claims().clone()).unwrap();
    assert_eq!(TrustRoot::found(&unsigned).unwrap_err().name(), "new-keys");
    let second = signed(after(&catalog), &[1]);
    assert_eq!(TrustRoot::begin(other, &second).unwrap_err().name(), "not-the-next");
}

#[test]
fn an_expired_root_may_be_passed_over() {
    let mut catalog = Catalog::begin();
    let short = RootBuilder::after(catalog.trust.root(), NOW, later(NOW, 1));
    catalog.trust.rotate(&signed(short, &[1])).unwrap();
    assert!(catalog.trust.is_expired(later(NOW, 2)));
    catalog.trust.rotate(&signed(after(&catalog), &[1])).unwrap();
    assert!(!catalog.trust.is_expired(later(NOW, 2)));
}
