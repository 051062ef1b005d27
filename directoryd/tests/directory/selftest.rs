//! The self-test: published by every directory, taken by every relay, and named in words when something in it is wrong.

use std::time::Duration;

use odi_fixtures::ScriptedServer;
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{DirectoryStatus, RelayState};

use crate::fake_relay::{Conduct, FakeRelay, Flaw};
use crate::publisher::{Publisher, large};
use crate::world::World;

async fn world() -> (Publisher, ScriptedServer, World) {
    let mut publisher = Publisher::new();
    publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    (publisher, origin, world)
}

async fn own(world: &World) -> odi_wire::message::CatalogSummary {
    let catalogs: Vec<odi_wire::message::CatalogSummary> =
        serde_json::from_slice(&world.body("/odi/v1/catalogs").await).unwrap();
    catalogs.into_iter().find(|catalog| catalog.name == "odi-selftest").unwrap()
}

#[tokio::test]
async fn a_directory_serves_a_catalog_of_its_own_like_any_other() {
    let (_publisher, _origin, mut world) = world().await;
    let first = own(&world).await;
    assert_eq!((first.seq, first.entries), (9, 7), "a head for each thirty days since 2026");
    let status: DirectoryStatus = serde_json::from_slice(&world.body("/odi/v1/status").await).unwrap();
    assert_eq!(status.catalogs.last().unwrap().id, first.id);
    for (path, size) in [("sizes/0", 0), ("sizes/262145", 262_145), ("sizes/8388609", 8_388_609)] {
        let reply = world.get(&format!("/odi-selftest/{path}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.headers["content-length"].to_str().unwrap(), size.to_string());
        let blob = reply.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
        let bytes = reply.body.collect().await.unwrap();
        assert_eq!(odi_manifest::BlobId::of(&bytes).to_string(), blob);
        assert_eq!(world.body(&format!("/blake3/{blob}")).await, bytes);
        let ask = Ask::get(&world.at(&format!("/{}/{path}", first.pin)))
            .header("range", HeaderValue::from_static("bytes=-1"));
        let last = world.client.send(ask).await.unwrap();
        // Nothing is the last byte of nothing: the range is passed over.
        assert_eq!(last.status, if size == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT });
        let list = format!("/odi/v1/catalogs/{}/chunks/{}/{blob}", first.id, &blob[..2]);
        let list = world.get(&list).await;
        if size > 262_144 {
            assert_eq!(list.body.collect().await.unwrap().len(), 32 * usize::div_ceil(size, 262_144));
        } else {
            assert_eq!(list.status, StatusCode::NOT_FOUND);
        }
    }
    assert_eq!(world.get("/odi-selftest/sizes/").await.status, StatusCode::OK);
    world.restart().await;
    let again = own(&world).await;
    assert_eq!((again.id, again.head), (first.id, first.head), "it follows from the identity");
}

#[tokio::test]
async fn its_head_is_renewed_long_before_it_expires() {
    let (_publisher, _origin, world) = world().await;
    let first = own(&world).await;
    world.clock.advance(Duration::from_secs(31 * 86_400));
    world.until(async || own(&world).await.seq == first.seq + 1).await;
    let second = own(&world).await;
    assert!(second.expires.since(first.expires) >= Duration::from_secs(30 * 86_400));
    assert_eq!((second.id, second.bytes), (first.id, first.bytes));
}

#[tokio::test]
async fn a_directory_that_lost_its_store_and_its_trust_signs_the_same_heads_again() {
    let (_publisher, _origin, mut world) = world().await;
    world.clock.advance(Duration::from_secs(31 * 86_400));
    let first = own(&world).await.seq;
    world.until(async || own(&world).await.seq == 10).await;
    assert!(first == 9 || first == 10);
    let before = own(&world).await;
    world.stop().await;
    for entry in std::fs::read_dir(world.data_dir().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    world.clock.advance(Duration::from_secs(86_400));
    world.go_on().await;
    let after = own(&world).await;
    assert_eq!((after.id, after.seq, after.head), (before.id, before.seq, before.head));
    let early = world.get(&format!("/odi/v1/catalogs/{}/heads/3", after.id)).await;
    assert_eq!(early.status, StatusCode::OK, "followers can be shown that it descends from theirs");
}

#[tokio::test]
async fn nothing_is_assigned_and_nobody_is_sent_before_the_test_has_passed() {
    let (publisher, _origin, world) = world().await;
    let head = publisher.newest().id();
    for (seed, flaw, said) in [
        (31, Flaw::IgnoresRanges, "a single range: answered 200 OK instead of 206"),
        (32, Flaw::RedirectsOn, "a relay never sends anybody elsewhere"),
        (33, Flaw::LacksDigests, "repr-digest is absent"),
        (34, Flaw::OneWrongByte, "the rate: sent other bytes than were signed"),
        (35, Flaw::RunsPages, "content-disposition is absent"),
        (36, Flaw::Forgets304, "304: if-none-match: answered 200 OK instead of 304"),
        (37, Flaw::Encodes, "Content-Encoding"),
    ] {
        let mut relay = FakeRelay::start(seed).await;
        relay.hold(&publisher.newest().pin(), &[("big", &large(1))]);
        relay.err(Some(flaw));
        assert_eq!(relay.register(&world).await, StatusCode::ACCEPTED);
        relay.until(&world, RelayState::Probation).await;
        relay.announce(&world, &publisher.id, &[head]).await;
        world
            .until(async || {
                relay.summary(&world).await["reason"].as_str().is_some_and(|why| why.contains(said))
            })
            .await;
        let lease = relay.announce(&world, &publisher.id, &[head]).await;
        assert_eq!((lease.state, lease.assignment_gen), (RelayState::Probation, 0), "{flaw:?}");
        let reason = lease.reason.unwrap();
        assert!(
            reason.contains("the self-test at http://127.0.0.1") && reason.contains(said),
            "{flaw:?}: {reason}"
        );
        let key = relay.key.public_key().to_hex();
        assert_eq!(
            world.get(&format!("/odi/v1/relays/{key}/assignment")).await.status,
            StatusCode::NOT_FOUND
        );
        assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()), "{flaw:?}");
    }
}

#[tokio::test]
async fn a_relay_that_is_mended_is_tested_again() {
    let (publisher, _origin, world) = world().await;
    let head = publisher.newest().id();
    let mut relay = FakeRelay::start(31).await;
    relay.hold(&publisher.newest().pin(), &[("big", &large(1))]);
    relay.err(Some(Flaw::IgnoresRanges));
    relay.register(&world).await;
    relay.until(&world, RelayState::Probation).await;
    relay.announce(&world, &publisher.id, &[head]).await;
    world
        .until(async || {
            relay.summary(&world).await["reason"].as_str().is_some_and(|why| why.contains("range"))
        })
        .await;
    relay.err(None);
    world.clock.advance(Duration::from_secs(31));
    relay.announce(&world, &publisher.id, &[head]).await;
    relay.until(&world, RelayState::Ready).await;
    let lease = relay.announce(&world, &publisher.id, &[head]).await;
    assert!(lease.assignment_gen > 0 && lease.reason.is_none());
}

#[tokio::test]
async fn a_quarantine_outlasts_a_restart() {
    let (publisher, _origin, mut world) = world().await;
    let head = publisher.newest().id();
    let mut relay = FakeRelay::start(31).await;
    relay.hold(&publisher.newest().pin(), &[("big", &large(1))]);
    relay.join(&world, &publisher.id, &[head]).await;
    assert!(world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    relay.behave(Conduct::WrongBytes);
    world.clock.advance(Duration::from_secs(121));
    relay.announce(&world, &publisher.id, &[head]).await;
    relay.until(&world, RelayState::Quarantined).await;
    world.restart().await;
    let lease = relay.announce(&world, &publisher.id, &[head]).await;
    assert_eq!(lease.state, RelayState::Quarantined);
    assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
}
