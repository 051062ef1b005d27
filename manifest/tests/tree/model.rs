//! The tree against a plain sorted map: the same answers, and one root per map however it came about.

use crate::maps::{Map, any_map, build, entry, ops_between, packages, path};
use odi_manifest::{Child, MemoryNodes, Op, Tree, apply_diff, decode_diff, encode_diff};
use proptest::prelude::*;

/// Updates `from` to `to` through the tree, and compares with a build from scratch.
pub(crate) fn check_step(from: &Map, to: &Map) -> Result<(), TestCaseError> {
    let (tree, mut nodes) = build(from);
    let (expected, expected_nodes) = build(to);
    let ops = ops_between(from, to);
    let mut created = MemoryNodes::new();
    let updated = tree.update(&nodes, &mut created, &ops).unwrap();
    prop_assert_eq!(updated, expected);
    nodes.absorb(created);
    let left: Vec<_> = updated.node_ids(&nodes).map(Result::unwrap).collect();
    let right: Vec<_> = expected.node_ids(&expected_nodes).map(Result::unwrap).collect();
    prop_assert_eq!(left, right);
    let changes: Vec<Op> = Tree::diff(&nodes, &tree, &updated).map(Result::unwrap).collect();
    prop_assert_eq!(&changes, &ops);
    let back: Vec<Op> = Tree::diff(&nodes, &updated, &tree).map(Result::unwrap).collect();
    prop_assert_eq!(&back, &ops_between(to, from));
    let mut sink = MemoryNodes::new();
    let applied = apply_diff(&nodes, &mut sink, &updated, &back, &tree.root).unwrap();
    prop_assert_eq!(applied, tree);
    let entries: Map = updated.iter(&nodes, None).map(Result::unwrap).collect();
    prop_assert_eq!(&entries, to);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_map_to_any_other(from in any_map(0..900), to in any_map(0..900)) {
        check_step(&from, &to)?;
    }

    #[test]
    fn a_few_changes(
        from in any_map(0..1500),
        puts in any_map(0..6),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut to = from.clone();
        if !from.is_empty() {
            for index in removals {
                to.remove(from.keys().nth(index.index(from.len())).unwrap());
            }
        }
        to.extend(puts);
        check_step(&from, &to)?;
    }

    #[test]
    fn whole_stretches_go(from in any_map(100..1500), a: prop::sample::Index, b: prop::sample::Index) {
        let (a, b) = (a.index(from.len()), b.index(from.len()));
        let keep = |index: usize| index < a.min(b) || index > a.max(b);
        let to = from.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, (p, e))| (p.clone(), e.clone())).collect();
        check_step(&from, &to)?;
    }
}

/// At every node boundary of a real tree: remove the first, the last, both, and insert around them.
#[test]
fn changes_at_every_boundary() {
    let map = packages(3000);
    let (tree, nodes) = build(&map);
    let firsts: Vec<_> = leaf_firsts(&tree, &nodes);
    assert!(firsts.len() > 20);
    for first in firsts {
        for (before, removed, after) in [(0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1), (1, 1, 1), (0, 2, 1)] {
            let mut to = map.clone();
            let keys: Vec<_> = map.range(first.clone()..).take(removed).map(|(p, _)| p.clone()).collect();
            keys.iter().for_each(|key| drop(to.remove(key)));
            if before > 0
                && let Some((last, _)) = map.range(..first.clone()).next_back()
            {
                to.remove(&last.clone());
            }
            if after > 0 {
                to.insert(path(&format!("{first}.asc")), entry(7));
            }
            check_step(&map, &to).unwrap();
        }
    }
}

pub(crate) fn leaf_firsts(tree: &Tree, nodes: &MemoryNodes) -> Vec<odi_manifest::ArtifactPath> {
    use odi_manifest::Nodes;
    tree.node_ids(nodes)
        .map(|id| nodes.node(&id.unwrap()).unwrap())
        .filter(|node| node.level() == 0)
        .map(|node| path(node.path(0).unwrap()))
        .collect()
}

#[test]
fn from_nothing_to_nothing() {
    let map = packages(2000);
    check_step(&Map::new(), &map).unwrap();
    check_step(&map, &Map::new()).unwrap();
    check_step(&Map::new(), &Map::new()).unwrap();
    let (tree, nodes) = build(&Map::new());
    assert_eq!(tree, Tree::empty());
    assert_eq!(Tree::open(&MemoryNodes::new(), tree.root).unwrap(), tree);
    assert_eq!(tree.iter(&nodes, None).count(), 0);
    assert_eq!(tree.get(&nodes, "a").unwrap(), None);
    assert_eq!(tree.prove(&nodes, "a").unwrap().verify(&tree.root, "a"), Ok(None));
}

#[test]
fn look_ups_paging_and_proofs_agree_with_the_map() {
    let map = packages(5000);
    let (tree, nodes) = build(&map);
    assert_eq!(tree.entries, 5000);
    assert_eq!(tree.bytes, map.values().map(|entry| entry.size).sum::<u64>());
    for (index, (path, expected)) in map.iter().enumerate().step_by(17) {
        assert_eq!(tree.get(&nodes, path.as_str()).unwrap().as_ref(), Some(expected));
        let absent = format!("{path}x");
        assert_eq!(tree.get(&nodes, &absent).unwrap(), None);
        let next = tree.iter(&nodes, Some(path.as_str())).next().map(Result::unwrap);
        assert_eq!(next.map(|(path, _)| path), map.keys().nth(index + 1).cloned());
        let next = tree.iter(&nodes, Some(&absent)).next().map(Result::unwrap);
        assert_eq!(next.map(|(path, _)| path), map.keys().nth(index + 1).cloned());
        let proof = tree.prove(&nodes, path.as_str()).unwrap();
        let proof = odi_manifest::Proof::decode(&proof.encode()).unwrap();
        assert_eq!(proof.verify(&tree.root, path.as_str()).unwrap().as_ref(), Some(expected));
        assert_eq!(tree.prove(&nodes, &absent).unwrap().verify(&tree.root, &absent), Ok(None));
    }
    for outside in ["a", "zzz", "pool", "pool/main/0"] {
        assert_eq!(tree.prove(&nodes, outside).unwrap().verify(&tree.root, outside), Ok(None));
    }
}

#[test]
fn folders_list_page_by_page() {
    let mut map = packages(3000);
    for top in ["README", "README-x", "a/x", "a-b", "a.c", "pool-x/y", "pool.txt", "zz"] {
        map.insert(path(top), entry(1));
    }
    let (tree, nodes) = build(&map);
    for folder in ["", "pool", "pool/main", "pool/main/3", "a", "nowhere", "README"] {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut expected: Vec<String> = map
            .keys()
            .filter_map(|path| path.as_str().strip_prefix(&prefix))
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        expected.dedup();
        for limit in [1, 2, 7, 10_000] {
            let (mut keys, mut after) = (Vec::new(), None);
            loop {
                let page = tree.list(&nodes, folder, after.as_deref(), limit).unwrap();
                assert!(page.children.len() <= limit);
                keys.extend(page.children.iter().map(Child::key));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(keys, expected, "{folder} by {limit}");
        }
    }
}

#[test]
fn files_are_never_folders() {
    let map: Map = ["a/b", "a-x", "c", "d/e/f"].map(|text| (path(text), entry(1))).into();
    let (tree, nodes) = build(&map);
    let update = |ops: &[Op]| tree.update(&nodes, &mut MemoryNodes::new(), ops);
    let put = |text: &str| Op::Put(path(text), entry(2));
    let remove = |text: &str| Op::Remove(path(text));
    for bad in
        [vec![put("a")], vec![put("c/x")], vec![put("d/e")], vec![put("d")], vec![put("x"), put("x/y")]]
    {
        assert!(matches!(update(&bad), Err(odi_manifest::TreeError::FileAndFolder { .. })), "{bad:?}");
    }
    for good in [
        vec![put("a"), remove("a/b")],
        vec![remove("c"), put("c/x")],
        vec![put("d"), remove("d/e/f")],
        vec![put("a/c"), put("ab")],
    ] {
        assert!(update(&good).is_ok(), "{good:?}");
    }
    assert!(matches!(update(&[put("b"), put("b")]), Err(odi_manifest::TreeError::Unsorted(_))));
}

#[test]
fn diffs_round_trip_and_must_lead_to_the_root() {
    use odi_manifest::{ApplyError, CatalogId, DiffHeader, HeadId};
    let from = packages(2000);
    let mut to = from.clone();
    let gone = to.keys().nth(99).unwrap().clone();
    to.remove(&gone);
    to.insert(path("new/file"), entry(5));
    let (tree, nodes) = build(&from);
    let (target, _) = build(&to);
    let ops = ops_between(&from, &to);
    let header = DiffHeader { cat: CatalogId::of(b"c"), from: HeadId::of(b"1"), to: HeadId::of(b"2"), n: 2 };
    let encoded = encode_diff(&header, &ops);
    let (read, decoded) = decode_diff(&encoded).unwrap();
    assert_eq!((read, &decoded), (header, &ops));
    let mut sink = MemoryNodes::new();
    assert_eq!(apply_diff(&nodes, &mut sink, &tree, &decoded, &target.root).unwrap(), target);
    let mut untouched = MemoryNodes::new();
    let wrong = apply_diff(&nodes, &mut untouched, &tree, &decoded, &tree.root);
    assert!(matches!(wrong, Err(ApplyError::OtherRoot { .. })));
    let mut idle = decoded.clone();
    idle.push(Op::Remove(path("zzz")));
    let wrong = apply_diff(&nodes, &mut untouched, &tree, &idle, &target.root);
    assert!(matches!(wrong, Err(ApplyError::Idle(path)) if path == "zzz"));
    assert!(untouched.is_empty());
}

#[test]
fn a_whole_manifest_travels_in_pieces() {
    use odi_manifest::{FullError, FullReader, NodeId, encode_full};
    for count in [0, 1, 50, 4000] {
        let (tree, nodes) = build(&packages(count));
        let mut stream = Vec::new();
        encode_full(&tree, &nodes, |frame| stream.extend_from_slice(frame)).unwrap();
        for piece in [1, 1000, 70_000, stream.len()] {
            let mut reader = FullReader::new(tree.root);
            let mut sink: Vec<(NodeId, Vec<u8>)> = Vec::new();
            stream.chunks(piece).for_each(|piece| reader.feed(piece, &mut sink).unwrap());
            assert_eq!(reader.finish().unwrap(), tree);
            assert_eq!(sink.len(), nodes.len());
            assert_eq!(sink.last().unwrap().0, tree.root, "parents come last");
        }
        let mut reader = FullReader::new(tree.root);
        reader.feed(&stream[..stream.len() - 1], &mut Vec::new()).unwrap();
        assert!(matches!(reader.finish(), Err(FullError::TooShort(_))));
        let mut reader = FullReader::new(tree.root);
        let long = [&stream[..], b"\x40"].concat();
        assert!(matches!(reader.feed(&long, &mut Vec::new()), Err(FullError::TooLong)));
    }
}
