//! Maps of artifacts for tests, and the strategies that make nasty ones.

use std::collections::BTreeMap;

use odi_manifest::{ArtifactPath, BlobId, Entry, MemoryNodes, Op, Sha256, Tree};
use proptest::prelude::*;

pub(crate) type Map = BTreeMap<ArtifactPath, Entry>;

pub(crate) fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

/// An entry that differs from others in everything.
pub(crate) fn entry(seed: u64) -> Entry {
    let bytes = seed.to_le_bytes();
    let size = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Entry {
        size,
        blob: BlobId::of(&bytes),
        sha256: Sha256::of(&bytes),
        mtime: 1_700_000_000 + seed % 1000,
        ext: None,
    }
}

pub(crate) fn build(map: &Map) -> (Tree, MemoryNodes) {
    let mut nodes = MemoryNodes::new();
    let tree = Tree::build(map.clone(), &mut nodes).unwrap();
    (tree, nodes)
}

/// A map of package-like paths: large enough for three levels from a few thousand on.
pub(crate) fn packages(count: u64) -> Map {
    (0..count)
        .map(|i| {
            let name = (i * 2_654_435_761) % 100_003;
            (
                path(&format!("pool/main/{}/pkg-{name:06}/pkg-{name:06}_{i}.0-1_amd64.deb", name % 26)),
                entry(i),
            )
        })
        .collect()
}

/// The operations from one map to another, by brute force.
pub(crate) fn ops_between(from: &Map, to: &Map) -> Vec<Op> {
    let mut all: Vec<&ArtifactPath> = from.keys().chain(to.keys()).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .filter_map(|path| match (from.get(path), to.get(path)) {
            (Some(a), Some(b)) if a == b => None,
            (_, Some(b)) => Some(Op::Put(path.clone(), b.clone())),
            (_, None) => Some(Op::Remove(path.clone())),
        })
        .collect()
}

/// Paths of very different lengths, so that nodes end by weight as well as by hash, and inner nodes hold few rows.
pub(crate) fn any_path() -> impl Strategy<Value = ArtifactPath> {
    let long = (0..6u8, 0..2000u32, 2..4usize).prop_map(|(folder, number, repeats)| {
        let segment = format!("{number:04}").repeat(60);
        format!("f{folder}-{repeats}/{}", vec![segment; repeats].join("/"))
    });
    let short = (0..6u8, 0..4000u32).prop_map(|(folder, number)| format!("g{folder}/{number}"));
    prop_oneof![3 => long, 2 => short].prop_map(|text| path(&text))
}

pub(crate) fn any_map(paths: std::ops::Range<usize>) -> impl Strategy<Value = Map> {
    prop::collection::btree_map(any_path(), (0..1000u64).prop_map(entry), paths)
}
