//! A relay that looks at others for a directory, because its operator agreed to it; and nothing else for anybody.

use odi_manifest::CHUNK_BYTES;
use odi_wire::message::{Looked, SEEN_BYTES_MAX};

use crate::lab::{Lab, Relay, noise};

/// Two relays that hold all and know each other; the first one looks at others.
async fn two(lab: &Lab) -> [Relay; 2] {
    let directories = [&lab.directory];
    let relays = [Relay::with(&directories, "vantage = true\n").await, Relay::with(&directories, "").await];
    for relay in &relays {
        relay.until_full(1).await;
        lab.directory.until_announced_full(&relay.key(), &lab.publisher).await;
    }
    let [looks, _] = &relays;
    let peers = &looks.server.relay().peers;
    looks.until("it knows the other one", |_| !peers.of(&lab.publisher.id()).is_empty()).await;
    relays
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_relay_gives_it_is_handed_over_as_it_came() {
    let large = noise(8, 900_000);
    let lab = Lab::start(&[("large", &large), ("small", b"small")]).await;
    let [looks, other] = two(&lab).await;
    let caps = lab.directory.inventory(&looks.key()).unwrap().caps;
    assert!(caps.iter().any(|cap| cap == "vantage"), "{caps:?}");
    assert!(!lab.directory.inventory(&other.key()).unwrap().caps.iter().any(|cap| cap == "vantage"));
    let pin = lab.publisher.pin();
    let at = |path: &str| format!("{}/{pin}/{path}", other.url);
    let seen = async |at: &str, range| {
        let got = lab.ask(lab.directory.look(&looks.key(), &looks.url, at, range)).await;
        (got.status.as_u16(), got.body.and_then(|body| Looked::decode(&body).ok()))
    };
    let looked = |status, bytes: &[u8]| (200, Some(Looked { v: 1, status, bytes: bytes.to_vec() }));
    assert_eq!(seen(&at("small"), None).await, looked(200, b"small"));
    let range = (CHUNK_BYTES - 7, CHUNK_BYTES + 9000);
    let bytes = &large[usize::try_from(range.0).unwrap()..usize::try_from(range.1).unwrap()];
    assert_eq!(seen(&at("large"), Some(range)).await, looked(206, bytes));
    assert_eq!(seen(&at("nothing"), None).await, looked(404, b""));
    assert_eq!(seen(&at("large"), None).await, looked(0, b""), "more than a look takes");
    assert_eq!(seen(&at("large"), Some((0, SEEN_BYTES_MAX + 1))).await.0, 401, "more than may be asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_nothing_but_relays_that_it_knows_for_no_one_but_its_directories() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let [looks, other] = two(&lab).await;
    let pin = lab.publisher.pin();
    let look = |at: &str| lab.directory.look(&looks.key(), &looks.url, at, None);
    let known = format!("{}/{pin}/a", other.url);
    let origin = lab.origin.url();
    let asked = lab.origin.seen(|_| true).len();
    for at in [
        format!("{origin}{pin}/a"),
        format!("{}/{pin}/a", looks.url),
        format!("{known}?x"),
        format!("{known}#x"),
        format!("{}/sample/a", other.url),
        format!("{}/{pin}/", other.url),
        format!("{}/odi/v1/status", other.url),
        "http://127.0.0.1:1/@1-aaaaaaaaaaaaaaaaaaaaaaaaaa/a".to_owned(),
        "file:///etc/passwd".to_owned(),
        "junk".to_owned(),
    ] {
        assert_eq!(lab.ask(look(&at)).await.status, 403, "{at}");
    }
    assert_eq!(lab.origin.seen(|_| true).len(), asked, "nothing was asked of the origin");
    let once = look(&known);
    assert_eq!(lab.ask(once.clone()).await.status, 200);
    assert_eq!(lab.ask(once).await.status, 401, "replayed");
    let unasked = lab.directory.look(&other.key(), &other.url, &format!("{}/{pin}/a", looks.url), None);
    assert_eq!(lab.ask(unasked).await.status, 403, "its operator has not agreed to it");
    let mut refused = 0;
    for _ in 0..40 {
        refused += u32::from(lab.ask(look(&known)).await.status == 429);
    }
    assert!(refused > 0, "so many a minute");
}
