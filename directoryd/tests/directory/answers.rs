//! What clients get: bytes, redirects, listings, and refusals that say which.

use odi_manifest::{BlobId, ChunkList, Sha256};
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::layout::LayoutPath;

use crate::fake_relay::{Conduct, FakeRelay};
use crate::publisher::{Publisher, large};
use crate::world::{PUBLIC_URL, World};

#[tokio::test]
async fn small_artifacts_are_carried_and_large_ones_are_a_relays() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let artifacts: &[(&str, &[u8])] = &[("dists/InRelease", b"signed"), ("pool/a b+c.deb", &big)];
    let pin = publisher.publish(artifacts);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;

    let small = world.get("/world/dists/InRelease").await;
    assert_eq!(small.status, StatusCode::OK);
    assert_eq!(small.body.collect().await.unwrap(), "signed");

    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("pool/a%20b+c.deb", &big), ("dists/InRelease", b"signed")]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    let reply = world.get("/world/pool/a%20b+c.deb").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    let location = reply.headers["location"].to_str().unwrap();
    assert_eq!(location, format!("{}/{pin}/pool/a%20b+c.deb", relay.url));
    assert_eq!(reply.headers["cache-control"], "private, no-store");
    let digest = data_encoding::BASE64.encode(Sha256::of(&big).as_bytes());
    assert_eq!(reply.headers["digest"], format!("SHA-256={digest}").as_str());
    let bytes = world.client.send(Ask::get(&location.parse().unwrap())).await.unwrap();
    assert_eq!(bytes.body.collect().await.unwrap(), big);
}

#[tokio::test]
async fn a_chunk_list_is_got_for_those_who_say_the_size() {
    let mut publisher = Publisher::new();
    let big = large(1);
    publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let (blob, size) = (BlobId::of(&big), big.len() as u64);
    let at = format!("/odi/v1/catalogs/{}/{}", publisher.id, LayoutPath::Chunks(blob));
    let list = world.body(&format!("{at}?size={size}")).await;
    assert!(ChunkList::verify(&list, &blob, size).is_ok());
    for query in ["", "?size=1", "?size=600000", "?size=9000000000000"] {
        assert_eq!(world.get(&format!("{at}{query}")).await.status, StatusCode::NOT_FOUND, "{query}");
    }
    let list = LayoutPath::Chunks(blob);
    publisher.tamper(&format!("/.odi/{list}"), &[7; 64]);
    assert_eq!(world.get(&format!("{at}?size={size}")).await.status, StatusCode::NOT_FOUND, "a wrong list");
}

#[tokio::test]
async fn no_header_or_query_of_a_request_decides_where_a_client_goes() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &big)]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    let expected = format!("{}/{pin}/big", relay.url);
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-original-url", "/evil"),
    ] {
        let ask = Ask::get(&world.at("/world/big?next=//evil.example"))
            .header(name, HeaderValue::from_static(value));
        let reply = world.client.send(ask).await.unwrap();
        assert_eq!(reply.headers["location"], expected.as_str(), "{name}");
    }
    // A client that came over https is not sent to http, not even to the origin.
    let ask =
        Ask::get(&world.at("/world/big")).header("x-forwarded-proto", HeaderValue::from_static("https"));
    let reply = world.client.send(ask).await.unwrap();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn missing_withdrawn_and_unreachable_are_told_apart() {
    let mut publisher = Publisher::new();
    let big = large(1);
    publisher.publish(&[("folder/big", &big), ("folder/page", b"x")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.get("/world/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/elsewhere/x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.sent("/world/folder").await, (StatusCode::FOUND, "./folder/".to_owned()));
    let with_query = world.sent("/world/folder?json").await.1;
    assert_eq!(with_query, "./folder/?json", "what was asked for is not lost on the way");
    assert_eq!(world.sent("/world").await.1, "/world/");
    let listing = world.json("/world/folder/?json").await;
    assert_eq!(listing["children"].as_array().unwrap().len(), 2);

    // The origin has the right bytes, then other ones: nobody is sent there any more.
    let here = format!("{}folder/big", origin.url());
    assert_eq!(world.sent("/world/folder/big?origin").await, (StatusCode::FOUND, here));
    publisher.tamper("/folder/big", &large(2));
    world.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(world.sent("/world/folder/big").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_pinned_url_answers_from_that_state_alone() {
    let mut publisher = Publisher::new();
    let first = publisher.publish(&[("index", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let second = publisher.publish(&[("index", b"two")]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    assert_eq!(world.body(&format!("/{second}/index")).await, b"two");
    // What was carried stays servable although the origin has replaced it.
    let whole = format!("{PUBLIC_URL}/{second}/index");
    assert_eq!(world.sent("/world/index").await, (StatusCode::FOUND, whole));
    assert_eq!(world.sent("/world@2/index").await.1, format!("/{second}/index"));
    assert_eq!(world.sent("/world@1/index").await.1, format!("/{first}/index"));
    assert_eq!(world.get("/world@3/index").await.status, StatusCode::NOT_FOUND);
    let unknown = format!("/@1-{}/index", "a".repeat(26));
    assert_eq!(world.get(&unknown).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn conditional_requests_are_answered_here() {
    let mut publisher = Publisher::new();
    let big = large(1);
    publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let tag = format!("\"{}\"", BlobId::of(&big));
    let ask = Ask::get(&world.at("/world/big")).header("if-none-match", HeaderValue::from_str(&tag).unwrap());
    assert_eq!(world.client.send(ask).await.unwrap().status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_relay_that_fails_its_probes_gets_no_clients() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    for (seed, conduct, state) in [
        (21, Conduct::WrongBytes, odi_wire::message::RelayState::Quarantined),
        (22, Conduct::Absent, odi_wire::message::RelayState::Probation),
        (23, Conduct::RedirectsOn, odi_wire::message::RelayState::Probation),
    ] {
        let mut relay = FakeRelay::start(seed).await;
        relay.hold(&pin, &[("big", &big)]);
        relay.behave(conduct);
        assert_eq!(relay.register(&world).await, StatusCode::ACCEPTED);
        relay.until(&world, odi_wire::message::RelayState::Probation).await;
        relay.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
        relay.until(&world, state).await;
        world.until(async || relay.asked().iter().any(|target| target.ends_with("/big"))).await;
        let (status, to) = world.sent("/world/big").await;
        assert_eq!(status, StatusCode::FOUND);
        assert!(to.starts_with(&origin.url()), "{conduct:?}: sent to {to}");
    }
}

#[tokio::test]
async fn floods_of_costly_requests_are_slowed_and_cheap_ones_are_not() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let proof = format!("/odi/v1/catalogs/{}/proof?path=a", publisher.id);
    let costly = [proof.as_str(), "/world/", "/world/?json", "/odi/v1/relays", "/odi/catalogs/world"];
    let mut statuses = Vec::new();
    for target in costly.iter().cycle().take(250) {
        statuses.push(world.get(target).await.status);
    }
    assert!(statuses.iter().take(150).all(|status| *status == StatusCode::OK));
    // Whichever it is: they share a bucket.
    assert!(statuses.iter().skip(245).all(|status| *status == StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(world.get("/world/a").await.status, StatusCode::OK);

    // Nor is a relay of the same network, which has a bucket like that, for all that relays sign.
    let mut relay = FakeRelay::start(11).await;
    assert_eq!(relay.register(&world).await, StatusCode::ACCEPTED);
    let mut statuses = Vec::new();
    for target in ["", "/inventory", "/leave"].iter().cycle().take(250) {
        statuses.push(world.post(&format!("/odi/v1/relays{target}"), b"junk".to_vec()).await.status);
    }
    assert!(statuses.iter().take(190).all(|status| *status == StatusCode::BAD_REQUEST));
    assert!(statuses.iter().skip(245).all(|status| *status == StatusCode::TOO_MANY_REQUESTS));
}
