//! P3: stealing fewer than a threshold of keys changes nothing; losing up to keys - threshold stops nothing.

use odi_manifest::{Floor, Head, HeadBuilder, NodeId, Root, RootBuilder, TrustRoot, Unverified};

use crate::catalog::{NOW, key, later, publics};

const ROOT: [u8; 3] = [1, 2, 3];
const RELEASE: [u8; 3] = [4, 5, 6];

fn signed_root(root: RootBuilder, seeds: &[u8]) -> Unverified<Root> {
    seeds.iter().fold(root.build().unwrap(), |root, seed| root.signed_by(&key(*seed)).unwrap())
}

/// A catalog whose root and release roles both ask for two of three keys.
fn two_of_three() -> TrustRoot {
    let root = RootBuilder::first("debian", NOW, later(NOW, 365))
        .root_keys(2, publics(&ROOT))
        .release_keys(2, publics(&RELEASE));
    TrustRoot::found(&signed_root(root, &ROOT[..2])).unwrap()
}

fn signed_head(trust: &TrustRoot, seeds: &[u8]) -> Unverified<Head> {
    let head = HeadBuilder::after(trust, None)
        .times(NOW, later(NOW, 30))
        .tree(NodeId::of(b"tree"), 1, 1)
        .build()
        .unwrap();
    seeds.iter().fold(head, |head, seed| head.signed_by(&key(*seed)).unwrap())
}

#[test]
fn a_thief_of_one_key_of_each_role_changes_nothing() {
    let trust = two_of_three();
    for stolen_root in ROOT {
        for stolen_release in RELEASE {
            // All that the thief has signs all that the thief wants, with fresh keys of the thief's own beside.
            let loot = [stolen_root, stolen_release, 66, 67];
            assert!(trust.verify_head(&signed_head(&trust, &loot)).is_err());
            let after = || RootBuilder::after(trust.root(), NOW, later(NOW, 365));
            let floor = Floor { seq: 0, head: Floor::NO_HEAD, next: 9 };
            let wishes = [
                after().root_keys(1, publics(&[66])),
                after().root_keys(1, publics(&[stolen_root])),
                after().release_keys(2, publics(&[4, 5, 6, 66, 67])),
                after().release_keys(1, publics(&[66])).new_epoch(floor),
                after().name("fedora"),
            ];
            for wish in wishes {
                assert!(trust.clone().rotate(&signed_root(wish, &loot)).is_err());
            }
        }
    }
}

#[test]
fn losing_one_key_of_each_role_stops_nothing_and_can_be_repaired() {
    for lost_root in ROOT {
        for lost_release in RELEASE {
            let mut trust = two_of_three();
            let roots: Vec<u8> = ROOT.into_iter().filter(|seed| *seed != lost_root).collect();
            let releases: Vec<u8> = RELEASE.into_iter().filter(|seed| *seed != lost_release).collect();
            let head = signed_head(&trust, &releases);
            assert!(trust.verify_head(&head).is_ok());
            // The lost keys go, new ones come; the release role begins an epoch above its last good head.
            let floor = Floor { seq: 1, head: head.id(), next: 2 };
            let repaired = RootBuilder::after(trust.root(), NOW, later(NOW, 365))
                .root_keys(2, publics(&[roots[0], roots[1], 7]))
                .release_keys(2, publics(&[releases[0], releases[1], 8]))
                .new_epoch(floor);
            trust.rotate(&signed_root(repaired, &roots)).unwrap();
            assert!(trust.verify_head(&head).is_ok(), "the floor still counts");
            let again = RootBuilder::after(trust.root(), NOW, later(NOW, 365));
            trust.rotate(&signed_root(again, &[7, roots[0]])).unwrap();
        }
    }
}
