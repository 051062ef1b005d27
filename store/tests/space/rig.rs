//! A store on a real disk, and looks at what lies there.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odi_manifest::{BlobId, NodeId};
use odi_store::{Keep, Live, RealDisk, Store, StoreOptions};

pub(crate) const CHUNK: usize = 256 << 10;

pub(crate) fn small_packs() -> StoreOptions {
    StoreOptions { pack_bytes: 2 << 20, ..StoreOptions::default() }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(Arc::new(RealDisk), dir, small_packs()).unwrap()
}

pub(crate) fn put(store: &Store, bytes: &[u8]) -> BlobId {
    let blob = BlobId::of(bytes);
    store.ingest(&blob, bytes).unwrap();
    blob
}

pub(crate) fn read(store: &Store, blob: &BlobId) -> Option<Vec<u8>> {
    let reader = store.open_blob(blob).unwrap()?;
    let chunks = (0..reader.chunk_count()).map(|chunk| reader.chunk(chunk).unwrap());
    Some(chunks.flatten().collect())
}

pub(crate) fn packs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn on_disk(dir: &Path, needle: &[u8]) -> bool {
    packs(dir).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

/// Flips one byte of every copy of `needle` in the packs.
pub(crate) fn damage(dir: &Path, needle: &[u8]) -> usize {
    let mut found = 0;
    for path in packs(dir) {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        for at in (0..=bytes.len().saturating_sub(needle.len())).filter(|at| bytes[*at..].starts_with(needle))
        {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[bytes[at] ^ 1]).unwrap();
            found += 1;
        }
    }
    found
}

pub(crate) struct Only(pub(crate) BTreeSet<BlobId>, pub(crate) BTreeSet<NodeId>);

impl Live for Only {
    fn blobs(&self, mark: &mut dyn FnMut(&BlobId, Keep)) {
        self.0.iter().for_each(|blob| mark(blob, Keep::Floor));
    }

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        self.1.iter().for_each(mark);
    }
}
