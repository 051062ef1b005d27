//! The failure matrix (P6): every operation of a scripted life fails, in every way, and then the plug is pulled.
//! Nothing that was acknowledged is lost, no wrong byte is served, and the store opens again.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::{Aftermath, FaultKind, FaultyDisk, Unsynced, noise};
use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, ChunkListBuilder, NodeId};
use odi_store::{Keep, Live, Partial, Store, StoreOptions};

const CHUNK: usize = 256 << 10;

fn options() -> StoreOptions {
    StoreOptions {
        // Commits come only when somebody waits, so that every run has the same operations.
        commit_interval: Duration::from_secs(3600),
        pack_bytes: 1 << 20,
        cache_bytes: 0,
        read_threads: 1,
        salt: 0x0d1_0d1_0d1,
        ..StoreOptions::default()
    }
}

fn open(disk: &FaultyDisk) -> Result<Store, odi_store::StoreError> {
    Store::open(Arc::new(disk.clone()), Path::new("/store"), options())
}

/// The blobs and nodes of the script.
struct World {
    blobs: Vec<(BlobId, Vec<u8>)>,
    list: ChunkList,
    nodes: Vec<(NodeId, Vec<u8>)>,
}

/// What the store has acknowledged, and what it may have done.
#[derive(Clone, Debug, Default)]
struct Promises {
    whole: BTreeSet<usize>,
    chunks: BTreeSet<u32>,
    nodes: BTreeSet<usize>,
    dead: BTreeSet<usize>,
    /// Somebody has asked for these to die or be lifted: no promise either way.
    doubtful: BTreeSet<usize>,
}

const PARTIAL: usize = 5;

/// One thing that somebody does to a store; `None` if it was refused.
type Step<'a> = &'a dyn Fn(&mut Promises) -> Option<()>;

impl World {
    fn new() -> Self {
        let sizes = [10, 3000, CHUNK, 3 * CHUNK + 5, 70_000, 5 * CHUNK + 1, 20_000, 2 * CHUNK, 90];
        let blobs: Vec<_> = sizes.iter().enumerate().map(|(seed, size)| noise(*size, seed as u64)).collect();
        let blobs: Vec<_> = blobs.into_iter().map(|bytes| (BlobId::of(&bytes), bytes)).collect();
        let mut builder = ChunkListBuilder::new();
        blobs[PARTIAL].1.chunks(CHUNK).for_each(|chunk| builder.push(chunk));
        let nodes =
            (0..3).map(|seed| noise(6000, 100 + seed)).map(|bytes| (NodeId::of(&bytes), bytes)).collect();
        Self { blobs, list: builder.finish().unwrap(), nodes }
    }

    fn ingest(&self, store: &Store, promises: &mut Promises, number: usize) -> Option<()> {
        let (blob, bytes) = &self.blobs[number];
        store.ingest(blob, bytes).ok()?;
        promises.whole.insert(number);
        Some(())
    }

    fn begin(&self, store: &Store) -> Option<Partial> {
        let partial = store.begin(&self.blobs[PARTIAL].0, self.blobs[PARTIAL].1.len() as u64).ok()?;
        partial.set_list(self.list.clone()).ok()?;
        Some(partial)
    }

    fn put(&self, partial: &Partial, promises: &mut Promises, chunks: &[u32]) -> Option<()> {
        for chunk in chunks {
            let bytes = self.blobs[PARTIAL].1.chunks(CHUNK).nth(*chunk as usize).unwrap();
            if partial.put_chunk(*chunk, bytes).ok()?.complete {
                promises.whole.insert(PARTIAL);
            }
        }
        partial.flush().ok()?;
        promises.chunks.extend(chunks);
        Some(())
    }

    fn nodes(&self, store: &Store, promises: &mut Promises, numbers: &[usize]) -> Option<()> {
        store
            .put_nodes(numbers.iter().map(|number| (&self.nodes[*number].0, &*self.nodes[*number].1)))
            .ok()?;
        promises.nodes.extend(numbers);
        Some(())
    }

    fn purge(&self, store: &Store, promises: &mut Promises, number: usize) -> Option<()> {
        promises.whole.remove(&number);
        promises.doubtful.insert(number);
        store.purge(&self.blobs[number].0).ok()?;
        promises.doubtful.remove(&number);
        promises.dead.insert(number);
        Some(())
    }

    fn lift(&self, store: &Store, promises: &mut Promises, number: usize) -> Option<()> {
        promises.dead.remove(&number);
        promises.doubtful.insert(number);
        store.lift(&self.blobs[number].0).ok()?;
        promises.doubtful.remove(&number);
        Some(())
    }

    fn reclaim(
        &self,
        store: &Store,
        promises: &mut Promises,
        blobs: &[usize],
        nodes: &[usize],
    ) -> Option<()> {
        struct Only(Vec<BlobId>, Vec<NodeId>);
        impl Live for Only {
            fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
                self.0.iter().for_each(|blob| mark(blob, Keep::Floor));
            }
            fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
                self.1.iter().for_each(mark);
            }
        }
        promises.whole.retain(|number| blobs.contains(number));
        promises.nodes.retain(|number| nodes.contains(number));
        let blobs = blobs.iter().map(|number| self.blobs[*number].0).collect();
        let nodes = nodes.iter().map(|number| self.nodes[*number].0).collect();
        store.reclaim(&Only(blobs, nodes), 0).ok().map(|_| ())
    }

    /// A life of a store. Stops at the first refusal, or goes on regardless of them.
    fn live(&self, disk: &FaultyDisk, promises: &mut Promises, goes_on: bool) {
        let first = |store: &Store, promises: &mut Promises| {
            let steps: [Step<'_>; 6] = [
                &|promises| self.ingest(store, promises, 0),
                &|promises| self.ingest(store, promises, 3),
                &|promises| self.put(&self.begin(store)?, promises, &[4, 1]),
                &|promises| self.nodes(store, promises, &[0, 1]),
                &|promises| self.ingest(store, promises, 2),
                &|promises| self.purge(store, promises, 0),
            ];
            self.steps(&steps, promises, goes_on)
        };
        let second = |store: &Store, promises: &mut Promises| {
            let steps: [Step<'_>; 9] = [
                &|promises| self.ingest(store, promises, 6),
                &|promises| self.put(&self.begin(store)?, promises, &[0]),
                &|promises| self.reclaim(store, promises, &[2, 5, 6], &[1]),
                &|promises| self.lift(store, promises, 0),
                &|promises| self.ingest(store, promises, 0),
                &|promises| self.put(&self.begin(store)?, promises, &[5, 3, 2]),
                &|promises| self.nodes(store, promises, &[2]),
                &|promises| self.ingest(store, promises, 7),
                &|promises| self.reclaim(store, promises, &[0, 5, 7], &[2]),
            ];
            self.steps(&steps, promises, goes_on)
        };
        match open(disk) {
            Ok(store) if first(&store, promises).is_none() => return,
            Err(_) if !goes_on => return,
            _ => {}
        }
        if let Ok(store) = open(disk) {
            second(&store, promises);
        }
    }

    fn steps(&self, steps: &[Step<'_>], promises: &mut Promises, goes_on: bool) -> Option<()> {
        for step in steps {
            if step(promises).is_none() && !goes_on {
                return None;
            }
        }
        Some(())
    }

    /// Everything promised is there, and nothing wrong is.
    fn check(&self, store: &Store, promises: &Promises, context: &str) {
        for (number, (blob, bytes)) in self.blobs.iter().enumerate() {
            let reader = store.open_blob(blob).unwrap();
            assert!(
                reader.is_some() || !promises.whole.contains(&number),
                "blob {number} is lost: {context}"
            );
            assert!(reader.is_none() || !promises.dead.contains(&number), "blob {number} rose: {context}");
            for (reader, chunk) in
                reader.iter().flat_map(|reader| (0..reader.chunk_count()).map(move |c| (reader, c)))
            {
                let read =
                    reader.chunk(chunk).unwrap_or_else(|error| panic!("blob {number}: {error:?}: {context}"));
                assert_eq!(
                    read,
                    bytes.chunks(CHUNK).nth(chunk as usize).unwrap(),
                    "blob {number}: {context}"
                );
            }
        }
        for (number, (node, bytes)) in self.nodes.iter().enumerate() {
            match store.node(node).unwrap() {
                Some(read) => assert_eq!(read, bytes, "{context}"),
                None => assert!(!promises.nodes.contains(&number), "node {number} is lost: {context}"),
            }
        }
        if !promises.whole.contains(&PARTIAL) && !promises.chunks.is_empty() {
            let (blob, bytes) = &self.blobs[PARTIAL];
            let partial = store.begin(blob, bytes.len() as u64).unwrap();
            for chunk in &promises.chunks {
                let read = partial
                    .chunk(*chunk)
                    .unwrap()
                    .unwrap_or_else(|| panic!("chunk {chunk} is lost: {context}"));
                assert_eq!(read, bytes.chunks(CHUNK).nth(*chunk as usize).unwrap());
            }
        }
        assert_eq!(store.take_events(), [], "{context}");
    }

    /// One life with one fault, a crash, and what must be true of the next life.
    fn run(&self, fault: Option<(u64, FaultKind, Aftermath)>, unsynced: Unsynced) -> u64 {
        let context = format!("{fault:?} {unsynced:?}");
        let disk = FaultyDisk::new();
        let mut promises = Promises::default();
        if let Some((at, kind, aftermath)) = fault {
            disk.fail_at(at, kind, aftermath);
        }
        self.live(
            &disk,
            &mut promises,
            fault.is_some_and(|(_, _, aftermath)| aftermath == Aftermath::Recovers),
        );
        let operations = disk.operations();
        disk.crash(unsynced);
        let store = open(&disk).unwrap_or_else(|error| panic!("does not open: {error:?}: {context}"));
        self.check(&store, &promises, &context);
        self.ingest(&store, &mut promises, 8).expect("a healthy disk takes another blob");
        drop(store);
        disk.crash(Unsynced::Lost);
        Store::rebuild(Arc::new(disk.clone()), Path::new("/store"), &options())
            .unwrap_or_else(|error| panic!("does not rebuild: {error:?}: {context}"));
        self.check(&open(&disk).unwrap(), &promises, &format!("rebuilt: {context}"));
        operations
    }
}

fn matrix(aftermath: Aftermath) {
    let world = World::new();
    let operations = world.run(None, Unsynced::Lost);
    assert_eq!(operations, world.run(None, Unsynced::Kept), "the script is the same every time");
    let mut runs = 0;
    for at in 0..operations {
        for (turn, kind) in
            [FaultKind::Failed, FaultKind::FailedButPersisted, FaultKind::Torn].into_iter().enumerate()
        {
            let all = [Unsynced::Lost, Unsynced::Kept, Unsynced::Some(at * 3 + turn as u64 + 1)];
            // Every operation meets every kind; the three ways to crash take turns, or all come.
            let some = [all[(usize::try_from(at).unwrap() + turn) % 3]];
            let full = std::env::var_os("ODI_FULL_MATRIX").is_some();
            for unsynced in if full { all.as_slice() } else { some.as_slice() } {
                world.run(Some((at, kind, aftermath)), *unsynced);
                runs += 1;
            }
        }
    }
    assert!(operations > 100 && runs >= 3 * operations, "{operations} operations, {runs} runs");
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    matrix(Aftermath::Dead);
}

#[test]
fn an_error_at_any_operation_and_a_later_crash_lose_nothing_acknowledged() {
    matrix(Aftermath::Recovers);
}

#[test]
fn what_was_never_synced_is_never_vouched_for() {
    let world = World::new();
    let mut seen = BTreeMap::new();
    for seed in 0..40 {
        let disk = FaultyDisk::new();
        let mut promises = Promises::default();
        let store = open(&disk).unwrap();
        world.ingest(&store, &mut promises, 1).unwrap();
        // Written, but nobody waits: the crash may leave any part of it.
        let (blob, bytes) = &world.blobs[3];
        let ticket = store.ingest_nowait(blob, bytes).unwrap();
        assert!(!ticket.is_durable());
        disk.crash(Unsynced::Some(seed));
        disk.fail_at(disk.operations(), FaultKind::Failed, Aftermath::Dead);
        drop((ticket, store));
        disk.crash(Unsynced::Kept);
        let store = open(&disk).unwrap();
        world.check(&store, &promises, &format!("seed {seed}"));
        *seen.entry(store.contains(blob)).or_insert(0) += 1;
        let partial = store.begin(blob, bytes.len() as u64).unwrap();
        for chunk in partial.missing().into_iter().flatten() {
            assert!(u64::from(chunk) * CHUNK_BYTES < bytes.len() as u64);
        }
    }
    assert!(seen.contains_key(&false), "{seen:?}");
}
