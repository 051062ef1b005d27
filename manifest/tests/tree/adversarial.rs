//! Names chosen against the cut rule: some that never end a node, so that weight alone does, and some that end one as
//! early as any can. A maintainer could grind such names; the tree must stay a function of the map, and bounded.

use odi_manifest::{ArtifactPath, MemoryNodes, NODE_BYTES_MAX, Nodes, Op, Tree};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::maps::{Map, build, entry, path};
use crate::model::{check_step, leaf_firsts};

/// The cut rule's hash, written down a second time.
fn cut_hash(level: u8, path: &str) -> u32 {
    let digest = blake3::derive_key("ODI 2026-11 cut v1", &[&[level], path.as_bytes()].concat());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn ground(count: usize, name: impl Fn(u32) -> String, wanted: impl Fn(&str) -> bool) -> Vec<ArtifactPath> {
    (0..).map(name).filter(|name| wanted(name)).take(count).map(|name| path(&name)).collect()
}

/// Names that end no node on the lowest levels.
fn stubborn(count: usize) -> Vec<ArtifactPath> {
    let name = |number: u32| format!("s/{number:05}{}", "-".repeat(number as usize * 67 % 190));
    ground(count, name, |name| (0..3).all(|level| cut_hash(level, name) >= 1 << 28))
}

/// Names that end a leaf wherever the rule lets them.
fn eager(count: usize) -> Vec<ArtifactPath> {
    let long = vec!["e".repeat(250); 3].join("/");
    ground(count, |number| format!("{long}/{number:07}"), |name| cut_hash(0, name) < 1 << 22)
}

fn map_of(paths: impl IntoIterator<Item = ArtifactPath>) -> Map {
    paths.into_iter().zip(0..).map(|(path, seed)| (path, entry(seed))).collect()
}

#[test]
fn nodes_end_by_weight_when_no_name_ends_them() {
    let map = map_of(stubborn(3000));
    let (tree, nodes) = build(&map);
    let firsts = leaf_firsts(&tree, &nodes);
    assert!(firsts.len() > 5);
    let weight = |range: &[ArtifactPath]| -> usize {
        map.range(range[0].clone()..range[1].clone()).map(|(path, _)| 96 + path.as_str().len()).sum()
    };
    for (index, pair) in firsts.windows(2).enumerate() {
        let weight = weight(pair);
        assert!(
            weight <= 65_000 && weight + 96 + pair[1].as_str().len() > 65_000,
            "leaf {index} weighs {weight}"
        );
    }
    for id in tree.node_ids(&nodes) {
        assert!(nodes.encoded(&id.unwrap()).unwrap().len() <= NODE_BYTES_MAX);
    }
}

/// Where a node ended because the next row did not fit, that row's going, coming or changing length moves the cut
/// before it: the one case in which an edit reaches back into the node before its own.
#[test]
fn cuts_by_weight_follow_the_row_behind_them() {
    let map = map_of(stubborn(1500));
    let (tree, nodes) = build(&map);
    for first in leaf_firsts(&tree, &nodes).into_iter().skip(1) {
        for change in 0..5 {
            let mut to = map.clone();
            to.remove(&first);
            match change {
                1 => drop(to.insert(path(&format!("{first}x")), entry(1))),
                2 => drop(to.insert(path(&first.as_str()[..first.as_str().len() - 1]), entry(2))),
                3 => drop(to.insert(path(&format!("{first}{}", "y".repeat(60))), entry(3))),
                4 => {
                    let next = map.range(first.clone()..).nth(1).unwrap().0.clone();
                    to.remove(&next);
                }
                _ => {}
            }
            check_step(&map, &to).unwrap();
            check_step(&to, &map).unwrap();
        }
    }
}

#[test]
fn leaves_of_four_rows_are_the_smallest() {
    let map = map_of(eager(120));
    let (tree, nodes) = build(&map);
    let leaves = leaf_firsts(&tree, &nodes).len();
    assert!((24..=30).contains(&leaves), "{leaves}");
    let lengths: Vec<usize> =
        tree.node_ids(&nodes).map(|id| nodes.node(&id.unwrap()).unwrap().len()).collect();
    assert!(lengths.iter().rev().skip(1).all(|length| *length >= 4), "{lengths:?}");
}

/// Everything may go at once, from either end, one leaf at a time, until nothing is left.
#[test]
fn removing_everything_ends_at_the_empty_manifest() {
    for map in [map_of(stubborn(700)), map_of(eager(80)), map_of([stubborn(300), eager(40)].concat())] {
        let (mut tree, mut nodes) = build(&map);
        let mut rest = map.clone();
        let mut from_front = true;
        while !rest.is_empty() {
            let keys: Vec<_> = if from_front {
                rest.keys().take(97).cloned().collect()
            } else {
                let skip = rest.len().saturating_sub(89);
                rest.keys().skip(skip).cloned().collect()
            };
            keys.iter().for_each(|key| drop(rest.remove(key)));
            let ops: Vec<Op> = keys.into_iter().map(Op::Remove).collect();
            let mut created = MemoryNodes::new();
            tree = tree.update(&nodes, &mut created, &ops).unwrap();
            nodes.absorb(created);
            assert_eq!(tree, build(&rest).0);
            from_front = !from_front;
        }
        assert_eq!(tree, Tree::empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_part_to_any_other(
        from in subsequence([stubborn(600), eager(60)].concat(), 0..660),
        to in subsequence([stubborn(600), eager(60)].concat(), 0..660),
    ) {
        check_step(&map_of(from), &map_of(to))?;
    }
}
