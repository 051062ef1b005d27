//! What holds for any bytes, over damaged samples: the oracles of `fixtures/fuzz`, bounded, on every test run.

use odi_manifest::{BlobHasher, CatalogId, DiffHeader, HeadId, encode_diff, encode_full};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::maps::{Map, build, ops_between, packages};
use crate::oracles;

/// A way to damage bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Insert(Index, u8),
    Cut(Index),
    Drop(Index, Index),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Drop(a, b)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Repeat(a, b)),
    ]
}

fn damaged(sample: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for damage in damages {
        let place = |index: &Index| index.index(bytes.len() + 1);
        match damage {
            Damage::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Insert(at, byte) => bytes.insert(place(at), *byte),
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Drop(a, b) => {
                let (a, b) = (place(a), place(b));
                bytes.drain(a.min(b)..a.max(b));
            }
            Damage::Repeat(a, b) => {
                let (a, b) = (place(a), place(b));
                bytes.extend_from_within(a.min(b)..a.max(b));
            }
        }
    }
    bytes
}

type Oracle = fn(&[u8]) -> bool;

/// Whole and valid: a sample for every oracle.
fn samples() -> Vec<(Oracle, Vec<u8>)> {
    let map = packages(250);
    let (tree, nodes) = build(&map);
    let mut stream = Vec::new();
    encode_full(&tree, &nodes, |frame| stream.extend_from_slice(frame)).unwrap();
    let root = nodes.encoded(&tree.root).unwrap();
    let leaf = nodes.encoded(&tree.node_ids(&nodes).nth(1).unwrap().unwrap()).unwrap();
    let mut small = packages(12);
    small.pop_first();
    let header = DiffHeader { cat: CatalogId::of(b"c"), from: HeadId::of(b"1"), to: HeadId::of(b"2"), n: 0 };
    let diff = encode_diff(&header, &ops_between(&Map::new(), &small));
    let proof = tree.prove(&nodes, "pool/main/7").unwrap().encode();
    let mut hasher = BlobHasher::new();
    hasher.update(&[7; 600_000]);
    let hashed = hasher.finalize();
    let list = [&hashed.blob.as_bytes()[..], &hashed.size.to_le_bytes(), &hashed.chunks.unwrap().to_bytes()]
        .concat();
    vec![
        (
            oracles::cbor,
            b"\xa3\x61v\x01\x64name\x63odi\x65items\x83\x01\x42\x00\x01\xa2\x01\xf5\x18\x20\x80".to_vec(),
        ),
        (oracles::cbor, root.clone()),
        (oracles::path, "pool/main/\u{e9}/a-1.deb".into()),
        (oracles::extension_map, b"\xa2\x01\x61a\x18\x20\x83\x01\x02\x43abc".to_vec()),
        (oracles::node, root),
        (oracles::node, leaf),
        (oracles::diff, diff),
        (oracles::proof, proof),
        (oracles::full, stream),
        (oracles::chunk_list, list),
    ]
}

#[test]
fn samples_themselves_hold() {
    for (at, (oracle, sample)) in samples().iter().enumerate() {
        assert!(oracle(sample), "sample {at} is refused, so what is damaged from it proves nothing");
    }
}

#[test]
fn damaged_samples_hold() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3000));
    for (oracle, sample) in samples() {
        runner
            .run(&prop::collection::vec(damage(), 1..4), |damages| {
                oracle(&damaged(&sample, &damages));
                Ok(())
            })
            .unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_hold(bytes: Vec<u8>) {
        for oracle in [
            oracles::cbor, oracles::path, oracles::extension_map, oracles::node, oracles::diff, oracles::proof,
            oracles::full, oracles::chunk_list,
        ] {
            oracle(&bytes);
        }
    }
}
