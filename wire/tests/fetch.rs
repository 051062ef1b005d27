//! Verified fetch against servers that behave, misbehave and lie.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that indexes or unwraps wrongly fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::{Ending, Script, ScriptedServer, Seen};
use odi_manifest::{BlobHasher, CHUNK_BYTES, HashedBlob, Sha256};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::fetch::{
    BlobFetch, FetchError, FetchLimits, Fetched, Fetcher, Party, Source, SourceFault, Stage, Wanted,
};
use tempfile::TempDir;
use url::Url;

const CHUNK: usize = CHUNK_BYTES as usize;

/// Bytes without a pattern that a chunk boundary could hide in.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A blob, its list, a store to fetch it into, and a fetcher.
struct Rig {
    bytes: Vec<u8>,
    hashed: HashedBlob,
    folder: TempDir,
    store: Option<Store>,
    fetcher: Fetcher,
}

impl Rig {
    fn new(size: usize) -> Self {
        Self::with_limits(size, FetchLimits { window_bytes: 1 << 20, ..FetchLimits::default() })
    }

    fn with_limits(size: usize, limits: FetchLimits) -> Self {
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
    fn open(&mut self) {
        drop(self.store.take());
        self.store =
            Some(Store::open(Arc::new(RealDisk), self.folder.path(), StoreOptions::default()).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn wanted(&self) -> Wanted {
        Wanted { blob: self.hashed.blob, size: self.hashed.size, sha256: Some(self.hashed.sha256) }
    }

    async fn begin(&self) -> Arc<BlobFetch> {
        BlobFetch::begin(self.store(), self.wanted()).await.unwrap()
    }

    /// A server of the list alone.
    async fn list_server(&self) -> (ScriptedServer, Source) {
        let list = self.hashed.chunks.as_ref().map(odi_manifest::ChunkList::to_bytes).unwrap_or_default();
        serve(move |seen| Script::respond(seen, &list)).await
    }

    /// A server of the blob, with `spoil` applied to each honest answer.
    async fn server(
        &self,
        spoil: impl Fn(&Seen, Script) -> Script + Send + Sync + 'static,
    ) -> (ScriptedServer, Source) {
        let bytes = self.bytes.clone();
        serve(move |seen| spoil(seen, Script::respond(seen, &bytes))).await
    }

    async fn honest(&self) -> (ScriptedServer, Source) {
        self.server(|_, script| script).await
    }

    async fn fetch(&self, sources: &[Source]) -> Fetched<()> {
        let (_list_server, list) = self.list_server().await;
        let fetch = self.begin().await;
        self.fetcher.blob(&fetch, sources, &[list]).await
    }

    /// Whether the store has exactly the blob, read back in full.
    fn has_it(&self) -> bool {
        let Some(reader) = self.store().open_blob(&self.hashed.blob).unwrap() else { return false };
        let chunks = (0..reader.chunk_count()).map(|index| reader.chunk(index).unwrap());
        chunks.flatten().eq(self.bytes.iter().copied())
    }
}

async fn serve(decide: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> (ScriptedServer, Source) {
    let server = ScriptedServer::start(decide).await.unwrap();
    let source = Source::peer(Url::parse(&server.url()).unwrap());
    (server, source)
}

/// Whether a request begins at or before this chunk and goes past it.
fn covers(seen: &Seen, chunk: usize) -> bool {
    seen.range.as_ref().is_none_or(|range| range.contains(&((chunk * CHUNK) as u64)))
}

/// Flips a bit in one chunk of an answer, wherever that lies in it.
fn flip(seen: &Seen, script: Script, chunk: usize) -> Script {
    let start = seen.range.as_ref().map_or(0, |range| range.start as usize);
    if covers(seen, chunk) { script.flipped_at(chunk * CHUNK + 7 - start) } else { script }
}

#[tokio::test]
async fn a_blob_comes_in_windows_and_verifies() {
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 5] {
        let rig = Rig::new(size);
        let (server, source) = rig.honest().await;
        let fetched = rig.fetch(&[source]).await;
        fetched.result.unwrap();
        assert!(rig.has_it(), "{size}");
        assert_eq!(fetched.report.delivered, [size as u64]);
        let seen = server.seen();
        assert_eq!(seen.len(), size.div_ceil(4 * CHUNK), "{size}");
        assert!(seen.iter().all(|seen| !seen.accepts_encodings));
        assert!(
            seen.iter().filter_map(|seen| seen.range.clone()).all(|range| range.end - range.start <= 1 << 20)
        );
    }
}

#[tokio::test]
async fn a_server_without_ranges_is_read_once_from_its_first_byte() {
    let rig = Rig::new(9 * CHUNK + 5);
    let bytes = rig.bytes.clone();
    let (server, source) = serve(move |_| Script::status(200, bytes.clone())).await;
    rig.fetch(&[source]).await.result.unwrap();
    assert!(rig.has_it());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wrong_chunk_is_never_stored_and_its_source_convicted_by_another() {
    let rig = Rig::new(9 * CHUNK + 5);
    let (liar_server, liar) = rig.server(|seen, script| flip(seen, script, 2)).await;
    let (_server, honest) = rig.honest().await;
    let fetched = rig.fetch(&[liar.clone(), honest]).await;
    fetched.result.unwrap();
    assert!(rig.has_it());
    assert_eq!(fetched.report.guilty, [Party::of(&liar.url)]);
    assert!(matches!(fetched.report.faults[..], [(0, SourceFault::WrongChunk(2))]));
    // The chunks around the wrong one are as good as any, if they came before the source was given up; how many did
    // is a matter of timing. The honest source gave at least the rest.
    let [from_liar, from_honest] = fetched.report.delivered[..] else { panic!("two sources") };
    assert!(from_liar <= 3 * CHUNK_BYTES, "{from_liar}");
    assert!(from_liar + from_honest >= rig.hashed.size, "{from_liar} and {from_honest}");
    assert_eq!(liar_server.seen().len(), 1, "it is given up at its first wrong chunk");
}

#[tokio::test]
async fn two_sources_against_the_catalog_condemn_the_entry_if_no_other_has_it() {
    let rig = Rig::new(4 * CHUNK);
    let (_a, first) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let (_b, second) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let (third_server, third) = serve(|_| Script::absent()).await;
    let sources = [first, second, third];
    let fetched = rig.fetch(&sources).await;
    assert!(fetched.result.unwrap_err().condemns_entry());
    assert_eq!(fetched.report.guilty, []);
    assert_eq!(third_server.seen().len(), 1, "every source is asked first");
    assert!(!rig.store().contains(&rig.hashed.blob));

    let other = Rig::new(4 * CHUNK);
    let fetch = other.begin().await;
    let fetched = other.fetcher.blob(&fetch, &sources, &[]).await;
    assert!(fetched.result.unwrap_err().condemns_entry(), "also where the whole blob is compared");
    assert_eq!(fetched.report.guilty, []);
}

#[tokio::test]
async fn two_liars_stop_nothing_and_are_convicted_by_the_third_source() {
    // With a chunk list, without one, and in a single chunk.
    for (size, with_list) in [(4 * CHUNK, true), (4 * CHUNK, false), (CHUNK, true)] {
        let rig = Rig::new(size);
        let chunk = size / CHUNK - 1;
        let (_a, first) = rig.server(move |seen, script| flip(seen, script, chunk)).await;
        let (_b, second) = rig.server(move |seen, script| flip(seen, script, chunk)).await;
        let (_server, honest) = rig.honest().await;
        let (_list_server, list) = rig.list_server().await;
        let fetch = rig.begin().await;
        let (sources, lists) = ([first.clone(), second.clone(), honest], [list]);
        let lists = if with_list { &lists[..] } else { &[] };
        let fetched = rig.fetcher.blob(&fetch, &sources, lists).await;
        fetched.result.unwrap();
        assert!(rig.has_it());
        if size > CHUNK {
            assert_eq!(fetched.report.guilty, [Party::of(&first.url), Party::of(&second.url)]);
        }
    }
}

#[tokio::test]
async fn one_stripe_asked_of_two_liars_in_turn_is_still_asked_of_the_next() {
    let rig = Rig::new(4 * CHUNK);
    let (_a, first) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let (_b, second) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let (_server, honest) = rig.honest().await;
    let fetch = rig.begin().await;
    fetch.partial().set_list(rig.hashed.chunks.clone().unwrap()).unwrap();
    for liar in [&first, &second] {
        let fetched = rig.fetcher.chunks(&fetch, 0..4, std::slice::from_ref(liar)).await;
        let error = fetched.result.unwrap_err();
        assert!(matches!(error, FetchError::NoSource { .. }), "{error}");
        assert_eq!(fetched.report.guilty, []);
    }
    let fetched = rig.fetcher.chunks(&fetch, 0..4, &[honest]).await;
    fetched.result.unwrap();
    assert_eq!(fetched.report.guilty, [Party::of(&first.url), Party::of(&second.url)]);
}

#[tokio::test]
async fn a_lone_source_with_another_file_convicts_nobody() {
    let rig = Rig::new(4 * CHUNK);
    let (_server, source) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let fetched = rig.fetch(&[source]).await;
    let error = fetched.result.unwrap_err();
    assert!(matches!(error, FetchError::NoSource { asked: 1, .. }) && !error.condemns_entry());
    assert_eq!(fetched.report.guilty, []);
}

/// The named fault of a source that misbehaves, with an honest one behind it that then gives the rest.
async fn fault_of(
    limits: FetchLimits,
    spoil: impl Fn(&Seen, Script) -> Script + Send + Sync + 'static,
) -> SourceFault {
    let rig = Rig::with_limits(4 * CHUNK + 9, FetchLimits { window_bytes: 2 * CHUNK_BYTES, ..limits });
    let (_bad_server, bad) = rig.server(spoil).await;
    let (_server, honest) = rig.honest().await;
    let fetched = rig.fetch(&[bad, honest]).await;
    fetched.result.unwrap();
    assert!(rig.has_it());
    assert_eq!(fetched.report.guilty, []);
    let (position, fault) = fetched.report.faults.into_iter().next().unwrap();
    assert_eq!(position, 0);
    fault
}

#[tokio::test]
async fn each_misbehaviour_has_its_name_and_the_next_source_takes_over() {
    let limits = FetchLimits::default;
    let fault = fault_of(limits(), |_, _| Script::absent()).await;
    assert!(matches!(fault, SourceFault::Absent(_)), "{fault}");
    let fault = fault_of(limits(), |_, _| Script::status(503, "").with("Retry-After: 7")).await;
    assert!(matches!(fault, SourceFault::Busy { retry_after: Some(wait) } if wait.as_secs() == 7), "{fault}");
    let fault = fault_of(limits(), |_, _| Script::status(500, "oops")).await;
    assert!(matches!(fault, SourceFault::Status(_)), "{fault}");
    let fault = fault_of(limits(), |_, script| script.with("Content-Encoding: gzip")).await;
    assert!(matches!(&fault, SourceFault::Encoded(encoding) if encoding == "gzip"), "{fault}");
    let fault = fault_of(limits(), |_, script| script.without("content-range")).await;
    assert!(matches!(fault, SourceFault::OtherRange { .. }), "{fault}");
    let fault = fault_of(limits(), |_, script| {
        script.without("content-range").with("Content-Range: bytes 1-524288/1048585")
    })
    .await;
    assert!(matches!(fault, SourceFault::OtherRange { .. }), "{fault}");
    let fault = fault_of(limits(), |_, script| {
        script.without("content-range").with("Content-Range: bytes 0-524287/99999999")
    })
    .await;
    assert!(matches!(fault, SourceFault::Length { got: 99_999_999, .. }), "{fault}");
    let fault = fault_of(limits(), |_, script| script.cut_to(CHUNK + 77)).await;
    assert!(matches!(fault, SourceFault::Broken(_)), "{fault}");
    let fault = fault_of(limits(), |_, script| script.without("content-length").cut_to(CHUNK + 77)).await;
    assert!(matches!(fault, SourceFault::Truncated { missing } if missing == (CHUNK - 77) as u64), "{fault}");
}

#[tokio::test]
async fn endless_silent_and_slow_bodies_are_given_up() {
    let endless = |_: &Seen, script: Script| script.without("content-length").ending(Ending::Endless);
    let fault = fault_of(FetchLimits::default(), endless).await;
    assert!(matches!(fault, SourceFault::TooLong), "{fault}");

    let limits = FetchLimits { stall: Duration::from_millis(80), ..FetchLimits::default() };
    let fault = fault_of(limits.clone(), |_, script| script.cut_to(1000).ending(Ending::Stall)).await;
    assert!(matches!(fault, SourceFault::Stalled), "{fault}");

    let slow =
        FetchLimits { slow_after: Duration::from_millis(150), stall: Duration::from_secs(60), ..limits };
    let drip = Ending::Drip(Duration::from_millis(5));
    let fault = fault_of(slow, move |_, script| script.cut_to(1).ending(drip)).await;
    assert!(matches!(fault, SourceFault::TooSlow), "{fault}");

    let mute = FetchLimits { reply: Duration::from_millis(80), ..FetchLimits::default() };
    let fault = fault_of(mute, |_, _| Script { header: vec![], body: vec![], ending: Ending::Stall }).await;
    assert!(matches!(fault, SourceFault::NoReply | SourceFault::Unreachable(_)), "{fault}");
}

#[tokio::test]
async fn an_origin_may_redirect_and_a_peer_may_not() {
    let rig = Rig::new(2 * CHUNK);
    let (_server, target) = rig.honest().await;
    let to = target.url.clone();
    let (_redirect, peer) = serve(move |_| Script::status(302, "").with(format!("Location: {to}"))).await;
    let fetched = rig.fetch(std::slice::from_ref(&peer)).await;
    assert!(matches!(fetched.report.faults[..], [(0, SourceFault::Redirect)]));
    let origin = Source::origin(peer.url);
    rig.fetch(&[origin]).await.result.unwrap();
    assert!(rig.has_it());
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let rig = Rig::new(2 * CHUNK);
    let (server, source) =
        serve(|seen| Script::status(302, "").with(format!("Location: {}x", seen.target))).await;
    let fetched = rig.fetch(&[Source::origin(source.url)]).await;
    assert!(matches!(fetched.report.faults[..], [(0, SourceFault::Redirect)]));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_wrong_list_is_thrown_away_for_the_next() {
    let rig = Rig::new(3 * CHUNK);
    let (_server, source) = rig.honest().await;
    let (_right, right) = rig.list_server().await;
    let list = rig.hashed.chunks.as_ref().unwrap().to_bytes();
    for spoiled in [list[1..].to_vec(), vec![0; list.len()], [&list[..], &[0]].concat(), vec![]] {
        let (_wrong, wrong) = serve(move |seen| Script::respond(seen, &spoiled)).await;
        let fetched = rig.fetcher.chunk_list(&rig.wanted(), &[wrong, right.clone()]).await;
        assert!(fetched.result.is_ok());
        assert_eq!(fetched.report.faults.len(), 1);
    }
    let fetch = rig.begin().await;
    rig.fetcher.blob(&fetch, &[source], &[right]).await.result.unwrap();
    assert!(rig.has_it());
}

#[tokio::test]
async fn without_a_list_a_blob_shows_only_once_it_is_whole_and_right() {
    let rig = Rig::new(5 * CHUNK + 3);
    let (_liar, liar) = rig.server(|seen, script| flip(seen, script, 4)).await;
    let (_server, honest) = rig.honest().await;
    let fetch = rig.begin().await;
    let fetched = rig.fetcher.blob(&fetch, std::slice::from_ref(&liar), &[]).await;
    assert!(fetched.result.is_err());
    assert!(matches!(fetched.report.faults[..], [(0, SourceFault::WrongBlob)]));
    assert_eq!(fetch.chunk(0).await.unwrap(), None);

    let fetch = rig.begin().await;
    let fetched = rig.fetcher.blob(&fetch, &[liar.clone(), honest], &[]).await;
    fetched.result.unwrap();
    assert!(rig.has_it());
    assert_eq!(fetched.report.guilty, [Party::of(&liar.url)]);
    assert_eq!(fetch.chunk(5).await.unwrap().unwrap(), rig.bytes[5 * CHUNK..]);
    let left: Vec<_> =
        std::fs::read_dir(rig.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("spool")), "{left:?}");
}

#[tokio::test]
async fn a_fetch_resumes_where_an_earlier_one_broke_off() {
    let mut rig = Rig::new(9 * CHUNK);
    let stops = |seen: &Seen, script: Script| if covers(seen, 5) { script.cut_to(CHUNK + 5) } else { script };
    let (_server, source) = rig.server(stops).await;
    let fetched = rig.fetch(&[source]).await;
    assert!(fetched.result.is_err());
    assert_eq!(fetched.report.delivered, [5 * CHUNK as u64]);
    rig.store().flush().unwrap();
    rig.open();

    let (server, honest) = rig.honest().await;
    rig.fetch(&[honest]).await.result.unwrap();
    assert!(rig.has_it());
    let asked: u64 = server.seen().iter().map(|seen| seen.range.clone().map_or(0, |r| r.end - r.start)).sum();
    assert_eq!(asked, 4 * CHUNK_BYTES);
}

#[tokio::test]
async fn the_right_bytes_under_a_wrong_sha256_condemn_the_entry() {
    let mut rig = Rig::new(3 * CHUNK);
    rig.hashed.sha256 = Sha256::of(b"something else");
    let (_server, source) = rig.honest().await;
    let error = rig.fetch(&[source]).await.result.unwrap_err();
    assert!(matches!(error, FetchError::OtherSha256 { .. }) && error.condemns_entry());
}

#[tokio::test]
async fn whoever_waits_sees_chunks_in_order_while_they_come() {
    let rig = Rig::new(6 * CHUNK + 1);
    let (_server, source) = rig.honest().await;
    let (_list_server, list) = rig.list_server().await;
    let fetch = rig.begin().await;
    let reading = {
        let fetch = Arc::clone(&fetch);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for index in 0..7 {
                seen.extend_from_slice(&fetch.chunk(index).await.unwrap().unwrap());
            }
            seen
        })
    };
    rig.fetcher.blob(&fetch, &[source], &[list]).await.result.unwrap();
    assert_eq!(reading.await.unwrap(), rig.bytes);
    assert_eq!(*fetch.watch().borrow(), Stage::Complete);
}

#[tokio::test]
async fn stripes_share_what_they_learn_about_sources() {
    let rig = Rig::new(8 * CHUNK);
    let (_liar, liar) = rig.server(|seen, script| flip(seen, script, 1)).await;
    let (_server, honest) = rig.honest().await;
    let fetch = rig.begin().await;
    fetch.partial().set_list(rig.hashed.chunks.clone().unwrap()).unwrap();
    let first = rig.fetcher.chunks(&fetch, 0..4, std::slice::from_ref(&liar)).await;
    assert!(first.result.is_err());
    let rest = rig.fetcher.chunks(&fetch, 0..4, std::slice::from_ref(&honest)).await;
    rest.result.unwrap();
    assert_eq!(rest.report.guilty, [Party::of(&liar.url)]);
    rig.fetcher.chunks(&fetch, 4..8, &[honest]).await.result.unwrap();
    fetch.complete().await.unwrap();
    assert!(rig.has_it());
}

#[tokio::test]
async fn small_blobs_come_whole_into_memory() {
    let rig = Rig::new(1234);
    let (_liar, liar) = rig.server(|_, script| script.flipped_at(99)).await;
    let (_long, long) = serve(|_| Script::status(200, vec![7; 5000])).await;
    let (_endless, endless) =
        serve(|_| Script::status(200, "x").without("content-length").ending(Ending::Endless)).await;
    let (_short, short) = serve(|_| Script::status(200, vec![7; 1000]).without("content-length")).await;
    let (_server, honest) = rig.honest().await;
    let fetched =
        rig.fetcher.small_blob(&rig.wanted(), &[endless, short, liar.clone(), honest.clone()]).await;
    assert_eq!(fetched.result.unwrap(), rig.bytes);
    assert_eq!(fetched.report.guilty, [Party::of(&liar.url)]);
    let faults: Vec<_> = fetched.report.faults.iter().map(|(_, fault)| fault).collect();
    assert!(matches!(
        faults[..],
        [SourceFault::TooLong, SourceFault::Truncated { missing: 234 }, SourceFault::WrongBlob]
    ));
    let fetched = rig.fetcher.small_blob(&rig.wanted(), &[liar.clone(), long.clone(), honest]).await;
    assert_eq!(fetched.result.unwrap(), rig.bytes, "two liars stop nothing");
    assert_eq!(fetched.report.guilty, [Party::of(&liar.url), Party::of(&long.url)]);
    let fetched = rig.fetcher.small_blob(&rig.wanted(), &[liar, long]).await;
    assert!(fetched.result.unwrap_err().condemns_entry(), "two parties disagree, and nobody has it");
}

#[tokio::test]
async fn small_things_are_bounded() {
    let files = BTreeMap::from([("/a".to_owned(), vec![1])]);
    let server = ScriptedServer::files(files).await.unwrap();
    let rig = Rig::new(1);
    let url = Url::parse(&server.url()).unwrap();
    let at = |path| Source::peer(url.join(path).unwrap());
    assert_eq!(rig.fetcher.small(&at("a"), 10).await.unwrap(), [1]);
    assert!(matches!(rig.fetcher.small(&at("b"), 10).await, Err(SourceFault::Absent(_))));
    assert!(matches!(rig.fetcher.small(&at("a"), 0).await, Err(SourceFault::TooLong)));
}
