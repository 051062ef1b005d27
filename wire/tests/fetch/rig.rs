//! A blob, the store it is fetched into, and servers of it that a test may spoil.

use std::sync::Arc;

use odi_fixtures::{Script, ScriptedServer, Seen, noise};
use odi_manifest::{BlobHasher, CHUNK_BYTES, HashedBlob};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::fetch::{BlobFetch, FetchLimits, Fetched, Fetcher, Source, Wanted};
use tempfile::TempDir;
use url::Url;

pub(crate) const CHUNK: usize = CHUNK_BYTES as usize;

/// So many bytes.
pub(crate) fn content(size: usize) -> Vec<u8> {
    noise(size, 0)
}

/// A blob, its list, a store to fetch it into, and a fetcher.
pub(crate) struct Rig {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hashed: HashedBlob,
    pub(crate) folder: TempDir,
    pub(crate) store: Option<Store>,
    pub(crate) fetcher: Fetcher,
}

impl Rig {
    pub(crate) fn new(size: usize) -> Self {
        Self::with_limits(size, FetchLimits { window_bytes: 1 << 20, ..FetchLimits::default() })
    }

    pub(crate) fn with_limits(size: usize, limits: FetchLimits) -> Self {
        let bytes = content(size);
        let mut hasher = BlobHasher::new();
        hasher.update(&bytes);
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let fetcher = Fetcher::new(Arc::new(Client::new(policy).unwrap()), limits);
        let mut rig =
            Self { bytes, hashed: hasher.finalize(), folder: TempDir::new().unwrap(), store: None, fetcher };
        rig.open();
        rig
    }

    /// Opens the store, again if it was open.
    pub(crate) fn open(&mut self) {
        drop(self.store.take());
        self.store =
            Some(Store::open(Arc::new(RealDisk), self.folder.path(), StoreOptions::default()).unwrap());
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { blob: self.hashed.blob, size: self.hashed.size, sha256: Some(self.hashed.sha256) }
    }

    pub(crate) async fn begin(&self) -> Arc<BlobFetch> {
        BlobFetch::begin(self.store(), self.wanted()).await.unwrap()
    }

    /// A server of the list alone.
    pub(crate) async fn list_server(&self) -> (ScriptedServer, Source) {
        let list = self.hashed.chunks.as_ref().map(odi_manifest::ChunkList::to_bytes).unwrap_or_default();
        serve(move |seen| Script::respond(seen, &list)).await
    }

    /// A server of the blob, with `spoil` applied to each honest answer.
    pub(crate) async fn server(
        &self,
        spoil: impl Fn(&Seen, Script) -> Script + Send + Sync + 'static,
    ) -> (ScriptedServer, Source) {
        let bytes = self.bytes.clone();
        serve(move |seen| spoil(seen, Script::respond(seen, &bytes))).await
    }

    pub(crate) async fn honest(&self) -> (ScriptedServer, Source) {
        self.server(|_, script| script).await
    }

    pub(crate) async fn fetch(&self, sources: &[Source]) -> Fetched<()> {
        let (_list_server, list) = self.list_server().await;
        let fetch = self.begin().await;
        self.fetcher.blob(&fetch, sources, &[list]).await
    }

    /// Whether the store has exactly the blob, read back in full.
    pub(crate) fn has_it(&self) -> bool {
        let Some(reader) = self.store().open_blob(&self.hashed.blob).unwrap() else { return false };
        let chunks = (0..reader.chunk_count()).map(|index| reader.chunk(index).unwrap());
        chunks.flatten().eq(self.bytes.iter().copied())
    }
}

pub(crate) async fn serve(
    decide: impl Fn(&Seen) -> Script + Send + Sync + 'static,
) -> (ScriptedServer, Source) {
    let server = ScriptedServer::start(decide).await.unwrap();
    let source = Source::peer(Url::parse(&server.url()).unwrap());
    (server, source)
}

/// Whether a request begins at or before this chunk and goes past it.
pub(crate) fn covers(seen: &Seen, chunk: usize) -> bool {
    seen.range.as_ref().is_none_or(|range| range.contains(&((chunk * CHUNK) as u64)))
}

/// Flips a bit in one chunk of an answer, wherever that lies in it.
pub(crate) fn flip(seen: &Seen, script: Script, chunk: usize) -> Script {
    let start = seen.range.as_ref().map_or(0, |range| range.start as usize);
    if covers(seen, chunk) { script.flipped_at(chunk * CHUNK + 7 - start) } else { script }
}
