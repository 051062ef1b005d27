//! Wrong bytes: never stored, and their source convicted once another had the right ones.

use odi_fixtures::Script;
use odi_manifest::{CHUNK_BYTES, Sha256};
use odi_wire::fetch::{FetchError, Party, SourceFault};

use crate::rig::{CHUNK, Rig, flip, serve};

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
async fn the_right_bytes_under_a_wrong_sha256_condemn_the_entry() {
    let mut rig = Rig::new(3 * CHUNK);
    rig.hashed.sha256 = Sha256::of(b"something else");
    let (_server, source) = rig.honest().await;
    let error = rig.fetch(&[source]).await.result.unwrap_err();
    assert!(matches!(error, FetchError::OtherSha256 { .. }) && error.condemns_entry());
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
