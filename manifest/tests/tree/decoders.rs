//! What holds for any bytes, over damaged samples: the oracles of `fixtures/fuzz`, bounded, on every test run.

use odi_manifest::{BlobHasher, CatalogId, DiffHeader, HeadId, encode_diff, encode_full};
use proptest::prelude::*;

use crate::cbor_like::cbor_like;
use crate::damage::{Sample, check_accepted, check_damaged};
use crate::maps::{Map, build, ops_between, packages};
use crate::oracles;

/// Whole and valid: a sample for every oracle.
fn samples() -> Vec<Sample> {
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
    let items = b"\xa3\x61v\x01\x64name\x63odi\x65items\x83\x01\x42\x00\x01\xa2\x01\xf5\x18\x20\x80".to_vec();
    vec![
        Sample::new("cbor", oracles::cbor, items),
        Sample::new("cbor", oracles::cbor, root.clone()),
        Sample::new("artifact_path", oracles::path, "pool/main/\u{e9}/a-1.deb"),
        Sample::new("extension_map", oracles::extension_map, b"\xa2\x01\x61a\x18\x20\x83\x01\x02\x43abc"),
        Sample::new("node", oracles::node, root),
        Sample::new("node", oracles::node, leaf),
        Sample::new("diff", oracles::diff, diff),
        Sample::new("proof", oracles::proof, proof),
        Sample::new("full", oracles::full, stream),
        Sample::new("chunk_list", oracles::chunk_list, list),
    ]
}

#[test]
fn samples_themselves_hold() {
    check_accepted(&samples());
}

#[test]
fn damaged_samples_hold() {
    check_damaged(&samples(), 3000);
}

proptest! {
    #[test]
    fn any_bytes_hold(bytes in cbor_like()) {
        for oracle in [
            oracles::cbor, oracles::path, oracles::extension_map, oracles::node, oracles::diff, oracles::proof,
            oracles::full, oracles::chunk_list,
        ] {
            oracle(&bytes);
        }
    }
}
