//! A relay that is dead to clients while its lease runs on: the client that comes back is believed enough to look.

use std::time::Duration;

use odi_wire::message::RelayState;

use crate::fake_relay::{Conduct, FakeRelay};
use crate::publisher::{Publisher, large};
use crate::world::World;

const NAMES: [&str; 3] = ["one", "two", "three"];

#[tokio::test]
async fn whoever_comes_back_has_the_directory_look_and_all_are_sent_elsewhere_within_the_lease() {
    let bytes = [large(1), large(2), large(3)];
    let artifacts: Vec<(&str, &[u8])> = NAMES.into_iter().zip(bytes.iter().map(Vec::as_slice)).collect();
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let heads = [publisher.newest().id()];
    let mut relays = [FakeRelay::start(31).await, FakeRelay::start(32).await];
    for relay in &mut relays {
        relay.hold(&pin, &artifacts);
        relay.join(&world, &publisher.id, &heads).await;
    }
    let sent = async |name: &str| world.sent(&format!("/world/{name}")).await.1;
    let first = sent("one").await;
    let (dead, other) = if first.starts_with(relays[0].url.as_str()) {
        (&relays[0], &relays[1])
    } else {
        (&relays[1], &relays[0])
    };
    assert!(first.starts_with(dead.url.as_str()), "{first}");

    dead.behave(Conduct::Absent);
    world.clock.advance(Duration::from_secs(6));
    assert!(sent("two").await.starts_with(dead.url.as_str()), "nobody knows, and a client keeps its relay");
    assert_eq!(dead.summary(&world).await["state"], "ready");
    assert!(sent("one").await.starts_with(other.url.as_str()), "whoever comes back is sent elsewhere");
    dead.until(&world, RelayState::Probation).await;
    assert!(sent("three").await.starts_with(other.url.as_str()), "and so is everybody, for everything");
    let mirrors = world.body("/world/three.mirrorlist").await;
    assert!(!String::from_utf8(mirrors).unwrap().contains(dead.url.as_str()));

    dead.behave(Conduct::Honest);
    world.clock.advance(Duration::from_secs(21));
    dead.until(&world, RelayState::Ready).await;
}

#[tokio::test]
async fn a_complaint_about_a_relay_that_is_well_changes_nothing() {
    let (_publisher, _origin, world, relay) = crate::joined::joined().await;
    world.clock.advance(Duration::from_secs(6));
    let probes = || relay.asked().iter().filter(|target| target.ends_with("/big")).count();
    let before = probes();
    for _ in 0..5 {
        assert!(world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    }
    world.until(async || probes() > before).await;
    assert_eq!(relay.summary(&world).await["state"], "ready");
    assert!(world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
}
