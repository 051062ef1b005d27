//! `roots/rotations.json`: chains of roots, and how far each goes.
//!
//! The first sixteen are the sequences that TUF's conformance suite runs, under its names (the last of them is ours:
//! the suite rotates all keys only with the old ones' consent). Each root is (root keys, threshold, signers).

use odi_manifest::{CatalogId, Floor, HeadId, Role, Root, RootBuilder, Unverified, verify};
use serde_json::{Value, json};

use super::{hex, list, number, settle, text, trust};
use crate::catalog::{NOW, key, later, publics};

type Step = (&'static [u8], u32, &'static [u8]);

const FIVE: &[u8] = &[10, 11, 12, 13, 14];
const FIVE_LATER: &[u8] = &[10, 11, 13, 14, 15];
const FIVE_OTHERS: &[u8] = &[15, 16, 17, 18, 19];

const TUF: [(&str, &[Step]); 16] = [
    ("1-of-1-key-rotation", &[(&[11], 1, &[11]), (&[12], 1, &[12, 11]), (&[12], 1, &[12])]),
    (
        "1-of-1-key-rotation-unused-signatures",
        &[(&[11], 1, &[13, 11, 14]), (&[12], 1, &[13, 12, 11, 14]), (&[12], 1, &[13, 12, 14])],
    ),
    (
        "3-of-5-sign-with-different-keycombos",
        &[
            (FIVE, 3, &[10, 12, 14]),
            (FIVE, 3, &[10, 14, 11]),
            (FIVE, 3, &[10, 11, 13]),
            (FIVE, 3, &[10, 11, 13]),
        ],
    ),
    ("3-of-5-one-key-rotated", &[(FIVE, 3, &[10, 12, 14]), (FIVE_LATER, 3, &[10, 14, 11])]),
    (
        "3-of-5-one-key-rotated-with-intermediate-step",
        &[(FIVE, 3, &[10, 12, 14]), (FIVE_LATER, 3, &[10, 12, 14, 15]), (FIVE_LATER, 3, &[10, 14, 15])],
    ),
    (
        "3-of-5-all-keys-rotated-with-intermediate-step",
        &[
            (FIVE, 3, &[10, 12, 14]),
            (FIVE_OTHERS, 3, &[10, 12, 14, 15, 16, 17]),
            (FIVE_OTHERS, 3, &[15, 16, 17]),
        ],
    ),
    ("1-of-3-threshold-increase-to-2-of-3", &[(&[11, 12, 13], 1, &[11]), (&[11, 12, 13], 2, &[11, 12])]),
    (
        "2-of-3-threshold-decrease-to-1-of-3",
        &[(&[11, 12, 13], 2, &[11, 12]), (&[11, 12, 13], 1, &[11, 12]), (&[11, 12, 13], 1, &[11])],
    ),
    ("1-of-2-threshold-increase-to-2-of-2", &[(&[11], 1, &[11]), (&[11, 12], 2, &[11, 12])]),
    ("1-of-1-key-rotation-fail-not-signed-with-old-key", &[(&[11], 1, &[11]), (&[12], 1, &[12, 13, 14])]),
    ("1-of-1-key-rotation-fail-not-signed-with-new-key", &[(&[11], 1, &[11]), (&[12], 1, &[11, 13, 14])]),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
        &[(FIVE, 3, &[10, 12, 14]), (FIVE_LATER, 3, &[10, 12, 14])],
    ),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
        &[(FIVE, 3, &[10, 12, 14]), (FIVE_LATER, 3, &[10, 14, 15])],
    ),
    (
        "1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
        &[(&[11, 12, 13], 1, &[11]), (&[11, 12, 13], 2, &[12])],
    ),
    (
        "2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-reached",
        &[(&[11, 12, 13], 2, &[11, 12]), (&[11, 12, 13], 1, &[11])],
    ),
    (
        "3-of-5-all-keys-rotated-fails-not-signed-with-old-keys",
        &[(FIVE, 3, &[10, 12, 14]), (FIVE_OTHERS, 3, &[15, 16, 17])],
    ),
];

fn sign(root: Unverified<Root>, seeds: &[u8]) -> Unverified<Root> {
    seeds.iter().fold(root, |root, seed| root.signed_by(&key(*seed)).unwrap())
}

fn first(keys: &[u8], threshold: u32, signers: &[u8]) -> Unverified<Root> {
    let root = RootBuilder::first("debian", NOW, later(NOW, 365))
        .root_keys(threshold, publics(keys))
        .release_keys(1, publics(&[2]));
    sign(root.build().unwrap(), signers)
}

/// The next root as its keys would make it, whether or not anyone takes the former one.
fn next(
    former: &Unverified<Root>,
    change: impl FnOnce(RootBuilder) -> RootBuilder,
    signers: &[u8],
) -> Unverified<Root> {
    let by_anyone = |seed: u8| verify(former, &Role::identity(key(seed).public_key())).ok();
    let former = (10..20).find_map(by_anyone).unwrap();
    sign(change(RootBuilder::after(&former, NOW, later(NOW, 365))).build().unwrap(), signers)
}

fn chain(steps: &[Step]) -> Vec<Unverified<Root>> {
    let mut roots: Vec<Unverified<Root>> = Vec::new();
    for (keys, threshold, signers) in steps {
        let root = match roots.last() {
            None => first(keys, *threshold, signers),
            Some(former) => next(former, |root| root.root_keys(*threshold, publics(keys)), signers),
        };
        roots.push(root);
    }
    roots
}

/// Rules that TUF does not have, and one that implementations of it lacked: exactly the next version.
fn ours() -> Vec<(&'static str, Vec<Unverified<Root>>)> {
    let one = first(&[11], 1, &[11]);
    let after =
        |former: &Unverified<Root>, change: fn(RootBuilder) -> RootBuilder| next(former, change, &[11]);
    let second = after(&one, |root| root);
    let third = after(&second, |root| root);
    let floor = Floor { seq: 4, head: HeadId::from_bytes([4; 32]), next: 9 };
    let epoch = next(&one, |root| root.release_keys(1, publics(&[3])).new_epoch(floor), &[11]);
    let reused = Floor { seq: 3, head: HeadId::from_bytes([3; 32]), next: 9 };
    let inside = Floor { seq: 12, head: HeadId::from_bytes([12; 32]), next: 20 };
    let cut = Floor { seq: 6, head: HeadId::from_bytes([6; 32]), next: 20 };
    vec![
        ("first-root-not-signed-by-its-own-keys", vec![first(&[11], 1, &[12])]),
        ("version-skipped", vec![one.clone(), third.clone()]),
        ("version-repeated", vec![one.clone(), second.clone(), second.clone()]),
        ("two-roots-of-one-version", {
            vec![one.clone(), second.clone(), after(&one, |root| root.name("fedora"))]
        }),
        ("made-after-another-root", { vec![one.clone(), after(&one, |root| root.name("fedora")), third] }),
        ("release-key-added", vec![one.clone(), after(&one, |root| root.release_keys(1, publics(&[2, 3])))]),
        ("release-key-removed-in-the-same-epoch", {
            vec![one.clone(), after(&one, |root| root.release_keys(1, publics(&[3])))]
        }),
        ("release-threshold-raised-in-the-same-epoch", {
            vec![one.clone(), after(&one, |root| root.release_keys(2, publics(&[2, 3])))]
        }),
        ("epoch-with-floor", vec![one.clone(), epoch.clone(), after(&epoch, |root| root)]),
        ("floor-in-a-gap", vec![one.clone(), epoch.clone(), next(&epoch, |root| root.new_epoch(cut), &[11])]),
        ("floor-within-the-present-epoch", {
            vec![one.clone(), epoch.clone(), next(&epoch, |root| root.new_epoch(inside), &[11])]
        }),
        ("numbers-of-the-present-epoch-given-away-again", {
            vec![one, epoch.clone(), next(&epoch, |root| root.new_epoch(reused), &[11])]
        }),
    ]
}

fn run(case: &Value) -> (usize, Option<&'static str>) {
    let (trust, refusal) = trust(text(&case["catalog"]), list(&case["roots"]));
    let accepted = trust.map_or(0, |trust| trust.roots().len());
    (accepted, refusal.map(|refusal| refusal.name()))
}

#[test]
fn chains_of_roots_go_as_far_as_the_vectors_say() {
    let tuf = TUF.iter().map(|(name, steps)| (*name, chain(steps)));
    let cases = tuf.chain(ours()).map(|(name, roots)| {
        let catalog = CatalogId::of(roots[0].payload()).to_string();
        let roots: Vec<String> = roots.iter().map(|root| hex(root.encode())).collect();
        let mut case = json!({ "name": name, "catalog": catalog, "roots": roots });
        let (accepted, refusal) = run(&case);
        case["accepted"] = json!(accepted);
        case["refusal"] = json!(refusal);
        case
    });
    let about =
        "Chains of root envelopes from version 1 on: how many are taken, and why the next one is not.";
    for case in settle("roots/rotations.json", about, cases.collect()) {
        let expected = (number(&case["accepted"]), case["refusal"].as_str());
        assert_eq!(run(&case), expected, "{}", case["name"]);
        let fails = text(&case["name"]).contains("fail");
        assert!(!fails || (expected.0 == 1 && expected.1.is_some()), "{}", case["name"]);
    }
}

#[test]
fn the_tuf_sequences_end_as_tuf_says() {
    for (name, steps) in TUF {
        let roots = chain(steps);
        let catalog = CatalogId::of(roots[0].payload()).to_string();
        let roots: Vec<Value> = roots.iter().map(|root| json!(hex(root.encode()))).collect();
        let (accepted, refusal) = run(&json!({ "catalog": catalog, "roots": roots }));
        let fails = name.contains("fail");
        assert_eq!((accepted, refusal.is_some()), (steps.len() - usize::from(fails), fails), "{name}");
    }
}
