//! Serving: what ordinary clients expect of a mirror, and what a relay refuses.

use std::sync::Arc;

use odi_manifest::{BlobId, Reason, Revocation, Revoked, Sha256};
use odi_wire::client::Ask;
use odi_wire::http::HeaderValue;
use odi_wire::message::IdRanges;

use crate::lab::{Lab, Relay, noise};

#[tokio::test(flavor = "multi_thread")]
async fn files_have_the_headers_ranges_and_conditions_of_a_good_mirror() {
    let large = noise(20, 700_000);
    let lab = Lab::start(&[("pool/large.deb", &large), ("page.html", b"<script>1</script>")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let url: url::Url = format!("{}/{}/pool/large.deb", relay.url, lab.publisher.pin()).parse().unwrap();

    let whole = lab.ask(Ask::get(&url)).await;
    let tag = format!("\"{}\"", BlobId::of(&large));
    assert_eq!((whole.header("etag"), whole.header("accept-ranges")), (tag.as_str(), "bytes"));
    assert_eq!(whole.header("content-length"), large.len().to_string());
    assert!(whole.header("cache-control").contains("immutable"));
    assert!(whole.header("last-modified").ends_with("GMT"));
    assert!(whole.header("content-encoding").is_empty());
    let digest = data_encoding::BASE64.encode(Sha256::of(&large).as_bytes());
    assert_eq!(whole.header("repr-digest"), format!("sha-256=:{digest}:"));

    let head = lab.ask(Ask::head(&url)).await;
    assert_eq!(head.header("content-length"), large.len().to_string());
    assert_eq!(head.body.as_deref(), Some(&b""[..]));
    let part = lab.ask(Ask::get(&url).range(262_000..262_300)).await;
    assert_eq!(part.status, 206);
    assert!(part.is(&large[262_000..262_300]));
    let with =
        |name: &'static str, value: &str| Ask::get(&url).header(name, HeaderValue::from_str(value).unwrap());
    let suffix = lab.ask(with("range", "bytes=-5")).await;
    assert!(suffix.is(&large[large.len() - 5..]));
    let several = lab.ask(with("range", "bytes=0-1,600000-600001")).await;
    assert!(several.header("content-type").starts_with("multipart/byteranges"));
    assert_eq!(lab.ask(with("range", "bytes=700000-")).await.status, 416);
    assert_eq!(lab.ask(with("if-none-match", &tag)).await.status, 304);

    let page = lab.get(&format!("{}/sample/page.html", relay.url)).await;
    assert!(page.header("content-security-policy").contains("sandbox"));
    assert_eq!(page.header("content-disposition"), "attachment");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_it_is_how_long_it_holds_and_what_it_must_not_become() {
    let lab = Lab::start(&[("a.deb", b"0123456789"), ("page.svg", b"<svg/>")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let pinned: url::Url = format!("{}/{}/a.deb", relay.url, lab.publisher.pin()).parse().unwrap();
    let newest: url::Url = format!("{}/sample/a.deb", relay.url).parse().unwrap();
    let ask = async |url: &url::Url, fields: &[(&'static str, &str)]| {
        let ask = fields.iter().fold(Ask::get(url), |ask, (name, value)| {
            ask.header(*name, HeaderValue::from_str(value).unwrap())
        });
        lab.ask(ask).await
    };
    let plain = ask(&pinned, &[]).await;
    let (tag, date) = (plain.header("etag").to_owned(), plain.header("last-modified").to_owned());
    let digest = data_encoding::BASE64.encode(Sha256::of(b"0123456789").as_bytes());
    assert_eq!(plain.header("digest"), format!("SHA-256={digest}"));
    assert_eq!(plain.header("content-disposition"), "", "nothing to protect from: names stay as they are");
    assert_eq!(plain.header("cache-control"), "public, max-age=900, immutable");
    let unpinned = ask(&newest, &[]).await;
    assert_eq!(
        (unpinned.header("cache-control"), unpinned.header("etag")),
        ("public, no-cache", tag.as_str())
    );

    for (fields, status, body) in [
        (&[("range", "bytes=2-3"), ("if-range", tag.as_str())][..], 206, &b"23"[..]),
        (&[("range", "bytes=2-3"), ("if-range", date.as_str())], 206, b"23"),
        (&[("range", "bytes=2-3"), ("if-range", "\"other\"")], 200, b"0123456789"),
        (&[("range", "bytes=2-3"), ("if-range", "Thu, 01 Jan 1970 00:00:00 GMT")], 200, b"0123456789"),
        (&[("if-modified-since", date.as_str())], 304, b""),
        (&[("if-none-match", tag.as_str()), ("range", "bytes=2-3")], 304, b""),
        (&[("if-match", "\"other\"")], 412, b""),
        (&[("range", "bytes=10-")], 416, b""),
        (&[("range", "bytes=5-3")], 200, b"0123456789"),
        (&[("accept-encoding", "gzip, br")], 200, b"0123456789"),
    ] {
        let got = ask(&pinned, fields).await;
        assert_eq!(got.status.as_u16(), status, "{fields:?}");
        assert!(got.is(body), "{fields:?}");
        assert_eq!(got.header("content-encoding"), "", "{fields:?}");
        assert_eq!(got.header("location"), "", "{fields:?}");
        if status != 412 {
            assert_eq!(got.header("etag"), tag, "{fields:?}");
        }
        if matches!(status, 200 | 206) {
            // Of the whole file, whatever part is sent.
            assert_eq!(got.header("repr-digest"), format!("sha-256=:{digest}:"), "{fields:?}");
            assert_eq!(got.header("accept-ranges"), "bytes");
        }
    }
    for path in [
        "/",
        "/sample/",
        "/sample/a.deb",
        "/sample/page.svg",
        "/nothing",
        "/odi/v1/status",
        "/.well-known/odi",
    ] {
        let got = lab.get(&format!("{}{path}", relay.url)).await;
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(got.header("set-cookie"), "", "{path}");
    }
    let active = lab.get(&format!("{}/sample/page.svg", relay.url)).await;
    assert_eq!(active.header("content-disposition"), "attachment");
    assert!(active.header("content-security-policy").contains("sandbox"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_listed_and_names_of_states_lead_to_pins_on_this_host() {
    let lab = Lab::start(&[("pool/a/x.deb", b"x"), ("pool/b.deb", b"b")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let pin = lab.publisher.pin();
    let location = async |path: &str| {
        let got = lab.get(&format!("{}{path}", relay.url)).await;
        (got.status.as_u16(), got.header("location").to_owned())
    };
    assert_eq!(location("/sample").await, (301, "/sample/".to_owned()));
    assert_eq!(location("/sample/pool").await, (301, "./pool/".to_owned()));
    assert_eq!(location("/sample@1/pool/b.deb").await, (302, format!("/{pin}/pool/b.deb")));
    assert_eq!(location("/sample@2/pool/b.deb").await.0, 404);
    let id = lab.publisher.id();
    assert_eq!(location(&format!("/{id}/pool/b.deb")).await.0, 200, "an id stands where a name does");
    assert_eq!(location(&format!("/{id}@1/pool/b.deb")).await.1, format!("/{pin}/pool/b.deb"));
    assert_eq!(location(&format!("/{}/x", odi_manifest::CatalogId::of(b"other"))).await.0, 404);
    assert_eq!(location("/sample/absent").await.0, 404);
    assert_eq!(location("/other/pool/b.deb").await.0, 404);
    assert_eq!(
        location(&format!("/{}/pool/b.deb", odi_manifest::Pin::of(9, &lab.publisher.head().id()))).await.0,
        404
    );

    let ask = Ask::get(&format!("{}/{pin}/pool/", relay.url).parse().unwrap())
        .header("accept", HeaderValue::from_static("application/json"));
    let listing: serde_json::Value = serde_json::from_slice(&lab.ask(ask).await.body.unwrap()).unwrap();
    assert_eq!(listing["children"][0]["name"], "a");
    assert_eq!(listing["children"][1]["name"], "b.deb");
    assert_eq!(location("/sample@1/pool/?after=a0&json").await, (302, format!("/{pin}/pool/?json&after=a0")));
    let page = lab.get(&format!("{}/{pin}/pool/?json&after=a0", relay.url)).await;
    let page: serde_json::Value = serde_json::from_slice(&page.body.unwrap()).unwrap();
    assert_eq!(page["children"][0]["name"], "b.deb");
    let html = lab.get(&format!("{}/sample/", relay.url)).await;
    assert!(String::from_utf8(html.body.unwrap()).unwrap().contains("pool/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_state_does_not_disturb_clients_of_the_old_one() {
    let mut lab = Lab::start(&[("InRelease", b"one"), ("gone", b"kept"), ("same", b"same")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let old = lab.publisher.pin();
    lab.publish(&[("InRelease", Some(b"two")), ("gone", None)]);
    relay.until_full(2).await;
    let body = async |path: String| lab.get(&format!("{}/{path}", relay.url)).await.body.unwrap();
    assert_eq!(body(format!("{old}/InRelease")).await, b"one");
    assert_eq!(body(format!("{}/InRelease", lab.publisher.pin())).await, b"two");
    assert_eq!(body("sample/InRelease".to_owned()).await, b"two");
    assert_eq!(body("sample/gone".to_owned()).await, b"kept", "it is in a state that clients may be in");
    assert_eq!(lab.get(&format!("{}/{}/gone", relay.url, lab.publisher.pin())).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_content_is_gone_at_every_state_and_from_the_disk() {
    let mut lab = Lab::start(&[("bad.deb", b"malware"), ("good.deb", b"fine")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let old = lab.publisher.pin();
    let blob = BlobId::of(b"malware");
    lab.publisher.revoke(Revocation { what: Revoked::Blob(blob), reason: Reason::COMPROMISED, since: 2 });
    lab.origin.put(lab.publisher.files.clone());
    lab.directory.offer("sample", &lab.publisher);
    relay.until("at 2", |status| status.catalogs[0].served.as_ref().is_some_and(|head| head.seq == 2)).await;
    for place in [format!("{old}/bad.deb"), "sample/bad.deb".to_owned()] {
        assert_eq!(lab.get(&format!("{}/{place}", relay.url)).await.status, 410, "{place}");
    }
    assert_eq!(lab.get(&format!("{}/{old}/good.deb", relay.url)).await.status, 200);
    relay.until("full", |status| status.catalogs[0].missing_blobs == 0).await;
    let store = relay.server.relay().store.clone();
    relay.until("purged", |_| !store.contains(&blob)).await;
    assert_eq!(lab.get(&format!("{}/blake3/{blob}", relay.url)).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_filled_once_while_it_streams() {
    let large = noise(21, 5 << 20);
    let lab = Lab::start(&[("large", &large)]).await;
    lab.directory.assign(IdRanges::none());
    let relay = lab.relay().await;
    relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
    let url = Arc::new(format!("{}/{}/large", relay.url, lab.publisher.pin()));
    let lab = Arc::new(lab);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (lab, url) = (Arc::clone(&lab), Arc::clone(&url));
        clients.spawn(async move { lab.get(&url).await });
    }
    while let Some(got) = clients.join_next().await {
        let got = got.unwrap();
        assert_eq!(got.header("content-length"), large.len().to_string());
        assert!(got.is(&large));
    }
    assert_eq!(lab.origin.body_bytes(), large.len() as u64);
    let part = lab.ask(Ask::get(&url.parse().unwrap()).range(5_000_000..5_000_010)).await;
    assert!(part.is(&large[5_000_000..5_000_010]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_neither_assigned_nor_small_is_refused_before_the_first_byte() {
    let large = noise(22, 3 << 20);
    let lab = Lab::start(&[("large", &large), ("small", b"small")]).await;
    lab.directory.assign(IdRanges::none());
    let relay = Relay::start(&[&lab.directory], tempfile::tempdir().unwrap(), "100 MB").await;
    relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
    let got = lab.get(&format!("{}/{}/large", relay.url, lab.publisher.pin())).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "10"));
    assert_eq!(lab.get(&format!("{}/{}/small", relay.url, lab.publisher.pin())).await.status, 200);
    assert_eq!(lab.origin.body_bytes(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_given_is_counted_and_what_relays_pull_is_not() {
    let large = noise(21, 700_000);
    let lab = Lab::start(&[("large", &large), ("small", b"0123456789")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let at =
        |path: &str| -> url::Url { format!("{}/{}/{path}", relay.url, lab.publisher.pin()).parse().unwrap() };
    lab.ask(Ask::get(&at("large"))).await;
    lab.ask(Ask::get(&at("large")).range(0..1000)).await;
    lab.ask(Ask::get(&at("large")).range(1000..3000)).await;
    lab.ask(Ask::get(&at("small"))).await;
    lab.ask(Ask::head(&at("large"))).await;
    lab.ask(Ask::get(&at("absent"))).await;
    let tag = HeaderValue::from_str(&format!("\"{}\"", BlobId::of(&large))).unwrap();
    assert_eq!(lab.ask(Ask::get(&at("large")).header("if-none-match", tag)).await.status, 304);
    let pull = Ask::get(&at("large")).range(0..262_144).header("odi-pull", HeaderValue::from_static("held"));
    assert_eq!(lab.ask(pull).await.status, 206);
    let inventory = relay.server.relay().inventory(odi_manifest::Timestamp(1)).unwrap();
    let sent = inventory.catalog(&lab.publisher.id()).unwrap().sent.unwrap();
    assert_eq!((sent.bodies, sent.bytes), (3, 700_000 + 1000 + 2000 + 10));
}
