//! Directories that follow each other.

use std::time::Duration;

use odi_wire::http::StatusCode;

use crate::publisher::{Publisher, large};
use crate::world::{PUBLIC_URL, World};

/// A directory that has no origin, only another directory.
async fn beside(world: &World, publisher: &Publisher, key: &str) -> World {
    let peer = format!("[[peer]]\nurl = \"{}\"\n{key}", world.url);
    World::start_with(&publisher.id, None, &peer).await
}

#[tokio::test]
async fn a_head_and_what_is_small_reach_a_directory_that_no_origin_answers() {
    let mut publisher = Publisher::new();
    let big = large(1);
    publisher.publish(&[("dists/InRelease", b"one"), ("big", &big)]);
    let origin = publisher.serve().await;
    let first = World::start(&publisher.id, Some(&origin.url())).await;
    first.until_served(1).await;
    // What nobody has asked for yet lies at the origin and at relays alone.
    assert_eq!(first.body("/world/dists/InRelease").await, b"one");
    let second = beside(&first, &publisher, &format!("key = \"{}\"\n", first.id())).await;
    second.until_served(1).await;
    assert_eq!(second.body("/world/dists/InRelease").await, b"one");

    // The next one is told, not found by a poll: the clock stands still.
    publisher.publish(&[("dists/InRelease", b"two"), ("big", &big)]);
    first.pull(&publisher.id, 2).await;
    second.until(async || second.adopted().await == Some(2)).await;
    let peer = second.json("/odi/v1/status").await["peers"][0].clone();
    assert_eq!(peer["id"], first.id().to_string());
    assert!(peer["heard"].is_u64() && peer["fault"].is_null(), "{peer}");

    // What is small follows once the first one carries it.
    first.clock.advance(Duration::from_secs(61));
    first.until_served(2).await;
    second.clock.advance(Duration::from_secs(61));
    second.until_served(2).await;
    let pinned = second.sent("/world/dists/InRelease").await.1.replace(PUBLIC_URL, "");
    second.until(async || second.body(&pinned).await == b"two").await;

    // And it goes on when the origin and the first directory are gone.
    drop((origin, first));
    assert_eq!(second.body(&pinned).await, b"two");
    assert_eq!(second.get("/world/big").await.status, StatusCode::SERVICE_UNAVAILABLE, "no relay has joined");
}

#[tokio::test]
async fn another_directory_than_the_one_that_was_meant_is_not_followed() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let first = World::start(&publisher.id, Some(&origin.url())).await;
    first.until_served(1).await;
    let other = odi_manifest::SigningKey::from_seed(&[99; 32]).public_key();
    let second = beside(&first, &publisher, &format!("key = \"{other}\"\n")).await;
    let fault = async || second.json("/odi/v1/status").await["peers"][0]["fault"].clone();
    second.until(async || fault().await.is_string()).await;
    assert!(fault().await.as_str().unwrap().contains("another directory answers there"));
    assert_eq!(second.adopted().await, None);
}

#[tokio::test]
async fn what_was_pushed_to_one_directory_comes_to_the_others() {
    let mut publisher = Publisher::new();
    let origin = publisher.serve().await;
    let first = World::start(&publisher.id, None).await;
    let second = beside(&first, &publisher, "").await;
    assert_eq!(first.get("/world/a").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let push = publisher.push_of_first(&[("a", b"one")], &origin.url());
    assert!(first.post(&format!("/odi/v1/catalogs/{}/push", publisher.id), push).await.status.is_success());
    second.until(async || second.adopted().await == Some(1)).await;
}
