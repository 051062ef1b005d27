//! What `odi-sign label` and `odi-sign revoke` say, a running network does: the real binary, a directory and a relay.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]

#[path = "support/maintainer.rs"]
mod maintainer;

use std::time::{Duration, Instant};

use maintainer::Maintainer;
use odi_tools::demo::{Listed, Network, Origin};
use odi_wire::client::{Ask, Client};
use odi_wire::http::{StatusCode, header};
use url::Url;

/// Far more than the directory's poll of 5 s and the relay's word with it; only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN: Duration = Duration::from_millis(100);
/// Too large for a directory to carry.
const LARGE: usize = 900_000;

/// One question, no redirect followed: the status, and where it points.
async fn ask(client: &Client, url: &Url) -> (StatusCode, Option<Url>) {
    let reply = client.send(Ask::get(url)).await.unwrap();
    let location = reply.headers.get(header::LOCATION).map(|to| url.join(to.to_str().unwrap()).unwrap());
    let status = reply.status;
    drop(reply);
    (status, location)
}

/// Asks until the answer has this status.
async fn until(client: &Client, url: &Url, wanted: StatusCode) -> Option<Url> {
    let began = Instant::now();
    let mut pace = tokio::time::interval(BETWEEN);
    loop {
        pace.tick().await;
        let (status, location) = ask(client, url).await;
        if status == wanted {
            return location;
        }
        assert!(began.elapsed() < PATIENCE, "{url} still answers {status}, not {wanted}");
    }
}

/// The bytes that a client which follows redirects gets.
async fn bytes(client: &Client, url: &Url) -> Vec<u8> {
    let reply = client.send(Ask::get(url).following(5)).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{url}");
    reply.body.collect().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_leads_to_its_pin_and_what_is_revoked_is_gone_everywhere() {
    let (one, two) = ("1".repeat(LARGE), "2".repeat(LARGE));
    let m = Maintainer::with_tree(&[("app.tar", &one), ("other.tar", &"o".repeat(LARGE))]);
    let origin = Origin::start(m.tree()).await.unwrap();
    let url = origin.url();
    let id = m.json(&["publish", "TREE", "--key", "REL", "--origin", &url])["id"].clone();
    let id = id.as_str().unwrap().parse().unwrap();
    let listed = [Listed { name: "demo".to_owned(), id, origin: Url::parse(&url).unwrap() }];
    let network = Network::start(m.path(), &listed, 1, 1).await.unwrap();
    network.ready(PATIENCE, |_| {}).await.unwrap();
    let client = network.client();
    let directory = network.directory_urls().next().unwrap().clone();
    let at = |path: &str| directory.join(path).unwrap();

    let labelled = at("demo@stable/app.tar");
    assert_eq!(ask(client, &labelled).await.0, StatusCode::NOT_FOUND);
    assert_eq!(m.json(&["label", "TREE", "stable", "1", "--key", "REL"])["seq"], 2);
    let pin = until(client, &labelled, StatusCode::FOUND).await.unwrap();
    assert_eq!(Some(&pin), ask(client, &at("demo@1/app.tar")).await.1.as_ref());
    assert_eq!(bytes(client, &pin).await, one.as_bytes());

    // The label stays where it is while the catalog moves on.
    m.write("app.tar", &two);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let newer = until(client, &at("demo@3/app.tar"), StatusCode::FOUND).await.unwrap();
    assert_ne!(newer, pin);
    assert_eq!(ask(client, &labelled).await, (StatusCode::FOUND, Some(pin)));

    network.ready(PATIENCE, |_| {}).await.unwrap();
    let (name, other) = (at("demo/other.tar"), "other.tar");
    let at_relay = until(client, &name, StatusCode::FOUND).await.unwrap();
    let relay = network.relay_urls().next().unwrap();
    assert_eq!(at_relay.authority(), relay.authority(), "the artifact is too large to be carried");
    assert_eq!(ask(client, &at_relay).await.0, StatusCode::OK);
    assert_eq!(m.json(&["revoke", "TREE", other, "--reason", "compromised", "--key", "REL"])["seq"], 4);
    until(client, &name, StatusCode::GONE).await;
    until(client, &at_relay, StatusCode::GONE).await;
    until(client, &newer.join("other.tar").unwrap(), StatusCode::GONE).await;
    // Nothing else went with it.
    assert_eq!(bytes(client, &at("demo/app.tar")).await, two.as_bytes());

    network.stop().await.unwrap();
    origin.stop().await;
}
