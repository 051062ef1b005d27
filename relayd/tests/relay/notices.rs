//! A directory's signed notice of news: taken once, from its author alone (threat rows 38-41).

use odi_wire::client::Ask;
use odi_wire::http::HeaderValue;
use odi_wire::http::header::HeaderName;

use crate::lab::{Lab, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_brings_news_that_no_long_poll_has_told() {
    let mut lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    lab.directory.keep_heads_quiet();
    let asked_before = lab.origin.seen(|path| path == ".odi/head").len();
    let news = noise(60, 300_000);
    lab.publish(&[("b", Some(&news))]);
    let notice = lab.directory.notice(&relay.key(), &relay.url, &[lab.publisher.id()]);
    assert_eq!(lab.ask(notice).await.status, 204);
    relay.until_full(2).await;
    assert_eq!(
        lab.origin.seen(|path| path == ".odi/head").len(),
        asked_before,
        "it was not the origin that told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_counts_once_and_not_after_a_restart() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let notice = lab.directory.notice(&relay.key(), &relay.url, &[lab.publisher.id()]);
    assert_eq!(lab.ask(notice.clone()).await.status, 204);
    assert_eq!(lab.ask(notice.clone()).await.status, 401, "replayed");
    let unused = lab.directory.notice(&relay.key(), &relay.url, &[lab.publisher.id()]);
    // Made in an earlier second than the relay's new start.
    let made = odi_manifest::Clock::now(&odi_manifest::SystemClock);
    let relay = relay
        .restart_after(|_| {
            while odi_manifest::Clock::now(&odi_manifest::SystemClock) <= made {
                std::thread::yield_now();
            }
        })
        .await;
    for notice in [notice, unused] {
        assert_eq!(lab.ask(notice).await.status, 401, "older than the process that would take it");
    }
    relay.until_full(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_touched_is_refused() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let notice = || lab.directory.notice(&relay.key(), &relay.url, &[lab.publisher.id()]);
    let url = notice().url().clone();
    let resent = |url: &url::Url, body: Vec<u8>| {
        let signed = notice();
        let mut ask = Ask::post(url, "application/cbor", body);
        for (name, value) in signed.header_map() {
            ask = ask.header(name.clone(), value.clone());
        }
        ask
    };
    let mut body = notice().body().to_vec();
    if let Some(last) = body.last_mut() {
        *last ^= 1;
    }
    let mut with_query = url.clone();
    with_query.set_query(Some("x"));
    let elsewhere = url.join("/.well-known/odi/challenge").unwrap();
    let other_key =
        notice().header(HeaderName::from_static("signature"), HeaderValue::from_static("odi=:AAAA:"));
    let unsigned = Ask::post(&url, "application/cbor", notice().body().to_vec());
    let whole = notice().body().to_vec();
    for (what, ask) in [
        ("body", resent(&url, body)),
        ("query", resent(&with_query, whole.clone())),
        ("path", resent(&elsewhere, whole)),
        ("signature", other_key),
        ("none", unsigned),
    ] {
        assert_eq!(lab.ask(ask).await.status, 401, "{what}");
    }
}
