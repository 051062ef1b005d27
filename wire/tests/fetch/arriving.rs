//! A blob arrives: by ranges, whole, after a break, and before the eyes of those who wait for it.

use std::sync::Arc;

use odi_fixtures::{Ending, Script, Seen};
use odi_manifest::CHUNK_BYTES;
use odi_wire::fetch::{Party, SourceFault, Stage};

use crate::rig::{CHUNK, Rig, covers, flip, serve};

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
