//! `tree/diffs.json`: diffs from one recipe to another, and diffs that are refused.

use odi_manifest::cbor::Writer;
use odi_manifest::{
    CatalogId, DiffHeader, HeadId, MemoryNodes, NodeId, Op, Tree, apply_diff, decode_diff, encode_diff,
};
use serde_json::json;

use super::{bytes, hex, settle, settle_judged, text};
use crate::maps::{Map, entry, ops_between, packages, path};

fn header(n: u64) -> DiffHeader {
    DiffHeader { cat: CatalogId::of(b"catalog"), from: HeadId::of(b"from"), to: HeadId::of(b"to"), n }
}

#[test]
fn diffs() {
    let from: Map = packages(60);
    let mut few = from.clone();
    let (first, third) = (few.keys().next().unwrap().clone(), few.keys().nth(2).unwrap().clone());
    few.remove(&first);
    few.insert(third, entry(1000));
    few.insert(path("README"), entry(1001));
    let cases = [
        ("three changes", &from, &few),
        ("from nothing", &Map::new(), &few),
        ("to nothing", &few, &Map::new()),
    ]
    .map(|(name, from, to)| {
        let (mut a, mut b) = (MemoryNodes::new(), MemoryNodes::new());
        let (from_tree, to_tree) =
            (Tree::build(from.clone(), &mut a).unwrap(), Tree::build(to.clone(), &mut b).unwrap());
        let nodes: Vec<_> = from_tree.node_ids(&a).map(|id| hex(a.encoded(&id.unwrap()).unwrap())).collect();
        let (from_root, to_root) = (from_tree.root.to_string(), to_tree.root.to_string());
        let diff = hex(encode_diff(&header(0), &ops_between(from, to)));
        json!({ "name": name, "from": from_root, "nodes": nodes, "diff": diff, "to": to_root })
    });
    let about = "The nodes of a manifest, a diff, and the root that it leads to.";
    for case in settle("tree/diffs.json", about, cases.to_vec()) {
        let mut nodes = MemoryNodes::new();
        for node in case["nodes"].as_array().unwrap() {
            nodes.insert(NodeId::of(&bytes(node)), &bytes(node)).unwrap();
        }
        let from = Tree::open(&nodes, text(&case["from"]).parse().unwrap()).unwrap();
        let (_, ops) = decode_diff(&bytes(&case["diff"])).unwrap();
        apply_diff(&nodes, &mut MemoryNodes::new(), &from, &ops, &text(&case["to"]).parse().unwrap())
            .unwrap();
    }
}

#[test]
fn refusals() {
    let ops = [Op::Put(path("a/b"), entry(1)), Op::Remove(path("a/c"))];
    let good = encode_diff(&header(0), &ops);
    let empty = encode_diff(&header(0), &[]);
    let head_bytes = empty.len();
    assert_eq!(empty[3], 0x00);
    let with = |n: u8, ops: &[(u64, &[u8])]| {
        let mut writer = Writer::new();
        writer.encoded(&empty);
        for (shared, suffix) in ops {
            writer.array(2).uint(*shared).bytes(suffix);
        }
        let mut encoded = writer.into_bytes();
        encoded[3] = n;
        encoded
    };
    let mut wrong_key = good.clone();
    wrong_key[2] = b'm';
    let mut three_fields = with(1, &[(0, b"a")]);
    three_fields[head_bytes] = 0x83;
    three_fields.push(0);
    let announced = [&empty[..3], b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00", &empty[4..]].concat();
    let cases = [
        ("two operations", good.clone(), "ok"),
        ("no operations", empty.clone(), "ok"),
        ("one operation announced, two given", with(1, &[(0, b"a"), (0, b"b")]), "trailing-bytes"),
        ("two announced, one given", with(2, &[(0, b"abcdef")]), "truncated"),
        ("cut short", good[..good.len() - 1].to_vec(), "truncated"),
        ("another key in the header", wrong_key, "unexpected-type"),
        ("not ascending", with(2, &[(0, b"b"), (0, b"a")]), "order"),
        ("the same path twice", with(2, &[(0, b"b"), (1, b"")]), "order"),
        ("a shared prefix that could be longer", with(2, &[(0, b"ab"), (0, b"ac")]), "shared-prefix"),
        ("a shared prefix of the first path", with(1, &[(1, b"ab")]), "shared-prefix"),
        ("a wrong path", with(1, &[(0, b"a//b")]), "empty-segment"),
        ("an operation of three fields", three_fields, "unexpected-type"),
        ("2^32 operations announced", announced, "too-many"),
        ("nothing", Vec::new(), "truncated"),
    ];
    let about = "Encoded diffs by themselves, in hexadecimal: `ok`, or the first reason to refuse.";
    settle_judged("tree/diff-refusals.json", about, &cases, |bytes| {
        decode_diff(bytes).map_or_else(|error| error.name().to_owned(), |_| "ok".to_owned())
    });
}
