//! Reclaim: what nobody needs goes, beside whatever else happens; what is needed stays.

use std::collections::BTreeSet;

use odi_fixtures::noise;
use odi_manifest::{BlobId, NodeId};
use odi_store::{Keep, Live, PinName, Store};

use crate::rig::{CHUNK, Only, open, put, read};

#[test]
fn reclaim_frees_what_nobody_needs_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let sizes = [500, 40_000, CHUNK, CHUNK + 1, 5 * CHUNK];
    let all: Vec<Vec<u8>> = (0..60).map(|seed| noise(sizes[seed % 5], seed as u64)).collect();
    let blobs: Vec<BlobId> = all.iter().map(|bytes| put(&store, bytes)).collect();
    let nodes: Vec<Vec<u8>> = (0..20).map(|seed| noise(9000, 1000 + seed)).collect();
    let ids: Vec<NodeId> = nodes.iter().map(|node| NodeId::of(node)).collect();
    store.put_nodes(ids.iter().zip(nodes.iter().map(Vec::as_slice))).unwrap();
    let pin = PinName::new("hot").unwrap();
    store.pin(&pin, &blobs[1..2]).unwrap();
    let reader = store.open_blob(&blobs[4]).unwrap().unwrap();
    let live = Only(blobs.iter().copied().step_by(6).collect(), ids.iter().copied().take(1).collect());
    let before = store.stats().unwrap();

    let reclaimed = store.reclaim(&live, 0).unwrap();

    assert_eq!(reclaimed.evicted, 60 - 10 - 2 + 19, "ten are live, one is pinned, one is open");
    let after = store.stats().unwrap();
    assert!(after.pack_bytes < before.pack_bytes / 2, "{before:?} {after:?}");
    assert!(after.live_bytes * 2 >= after.pack_bytes - (2 << 20), "{after:?}");
    assert_eq!(reader.chunk(4).unwrap(), all[4][4 * CHUNK..]);
    drop(reader);
    for (index, (blob, bytes)) in blobs.iter().zip(&all).enumerate() {
        let kept = index % 6 == 0 || index == 1 || index == 4;
        assert_eq!(read(&store, blob).as_ref(), kept.then_some(bytes), "{index}");
    }
    assert_eq!(store.node(&ids[0]).unwrap().unwrap(), nodes[0]);
    assert_eq!(store.node(&ids[1]).unwrap(), None);
    store.unpin(&pin).unwrap();
    assert_eq!(store.reclaim(&live, 0).unwrap().evicted, 2);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.stats().unwrap().blobs, 10);
    assert_eq!(read(&store, &blobs[6]).as_ref(), Some(&all[6]));
}

/// Needs nothing, and puts a tree together while it is asked.
struct Gathers<'s>(&'s Store);

impl Live for Gathers<'_> {
    fn blobs(&self, _: &mut dyn FnMut(&BlobId, Keep)) {}

    fn nodes(&self, _: &mut dyn FnMut(&NodeId)) {
        drop(self.0.hold_nodes());
    }
}

#[test]
fn a_reclaim_takes_no_nodes_while_or_after_a_tree_is_put_together_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let node = noise(8000, 5);
    let id = NodeId::of(&node);
    store.put_nodes([(&id, node.as_slice())]).unwrap();
    let blob = put(&store, &noise(500, 6));
    let nothing = Only(BTreeSet::new(), BTreeSet::new());
    let hold = store.hold_nodes();
    assert_eq!(store.reclaim(&nothing, 0).unwrap().evicted, 1, "the blob");
    assert!(!store.contains(&blob) && store.has_node(&id).unwrap());
    drop(hold);
    assert_eq!(
        store.reclaim(&Gathers(&store), 0).unwrap().evicted,
        0,
        "its marks may be older than the tree"
    );
    assert!(store.has_node(&id).unwrap());
    assert_eq!(store.reclaim(&nothing, 0).unwrap().evicted, 1);
    assert!(!store.has_node(&id).unwrap());
}

#[test]
fn reclaim_runs_beside_ingest_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<Vec<u8>> = (0..400u16).map(|seed| noise(20_000 + usize::from(seed), seed.into())).collect();
    all.iter().for_each(|bytes| _ = put(&store, bytes));
    let nothing = Only(BTreeSet::new(), BTreeSet::new());
    std::thread::scope(|scope| {
        let reclaims = scope.spawn(|| (0..6).for_each(|_| _ = store.reclaim(&nothing, 0).unwrap()));
        // Each is acknowledged, and open from then on: it must be readable until we are done.
        let mut open = Vec::new();
        for bytes in &all {
            let blob = BlobId::of(bytes);
            loop {
                store.ingest(&blob, bytes).unwrap();
                if let Some(reader) = store.open_blob(&blob).unwrap() {
                    open.push((reader, bytes));
                    break;
                }
            }
        }
        reclaims.join().unwrap();
        store.reclaim(&nothing, 0).unwrap();
        for (reader, bytes) in open {
            assert_eq!(reader.chunk(0).unwrap(), bytes);
        }
    });
}
