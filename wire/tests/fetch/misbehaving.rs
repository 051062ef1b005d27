//! Servers that break rules other than that of the bytes: each fault has its name, each wait its end.

use std::collections::BTreeMap;
use std::time::Duration;

use odi_fixtures::{Ending, Script, ScriptedServer, Seen};
use odi_manifest::CHUNK_BYTES;
use odi_wire::fetch::{FetchLimits, Source, SourceFault};
use url::Url;

use crate::rig::{CHUNK, Rig, serve};

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
    let fault = fault_of(limits(), |_, _| Script::status(451, "not here")).await;
    assert!(matches!(fault, SourceFault::Absent(_)), "its operator's list is no failure: {fault}");
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
