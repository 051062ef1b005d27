//! Relays that lie to some, as they are found through others; and what a directory makes of what it saw. Each scenario prints
//! how long its detection took, by the network's clock.

use std::time::Duration;

use odi_manifest::{Clock, Pin, Timestamp};
use odi_wire::message::{Audit, RelayState, open, split_passed};
use serde_json::Value;

use crate::fake_relay::{Conduct, FakeRelay, Vantage};
use crate::joined::joined;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// More rounds than a scenario may take: each has a look at every relay, and one in three of those a look through another.
const ROUNDS: usize = 60;

/// A further relay that holds all and looks at others.
async fn vantage(world: &World, publisher: &Publisher, seed: u8, how: Vantage) -> FakeRelay {
    let mut relay = FakeRelay::start(seed).await;
    let head = publisher.newest();
    relay.hold(&Pin::of(head.seq, &head.id()), &[("big", &large(1))]);
    relay.look_at_others(how);
    relay.join(world, &publisher.id, &[head.id()]).await;
    relay
}

/// Two minutes pass, everybody announces itself, and everybody is looked at.
async fn round(world: &World, publisher: &Publisher, relays: &mut [&mut FakeRelay]) {
    let then = world.clock.now();
    // In steps, so that no lease ends while somebody is looked at through another.
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(40));
        for relay in relays.iter_mut() {
            relay.announce(world, &publisher.id, &[publisher.newest().id()]).await;
        }
    }
    for relay in relays.iter() {
        let is_looked_at = async || {
            let said = relay.summary(world).await;
            said["probed"].as_u64().is_some_and(|probed| probed > then.0) || said["state"] != "ready"
        };
        world.until(is_looked_at).await;
    }
}

async fn looks(world: &World, outcome: &str) -> u64 {
    let sample = format!("odi_directory_looks_total{{outcome=\"{outcome}\"}} ");
    world.metrics().await.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).unwrap()
}

async fn page(world: &World, relay: &FakeRelay) -> Value {
    world.json(&format!("/odi/relays/{}?json", relay.key.public_key().to_hex())).await
}

/// What is passed on, once anything is: what this directory saw is kept by then.
async fn published(world: &World) -> Vec<u8> {
    let reports = async || world.body("/odi/v1/relays/reports").await;
    world.until(async || !split_passed(&reports().await).unwrap().is_empty()).await;
    reports().await.to_vec()
}

fn since(world: &World, then: Timestamp) -> u64 {
    world.clock.now().since(then).as_secs()
}

#[tokio::test]
async fn a_relay_that_lies_to_clients_and_not_to_relays_is_found_by_the_next_look_and_reported() {
    let (publisher, _origin, world, mut relay) = joined().await;
    let mut other = vantage(&world, &publisher, 12, Vantage::Honest).await;
    relay.behave(Conduct::LiesToClients);
    let then = world.clock.now();
    for _ in 0..ROUNDS {
        round(&world, &publisher, &mut [&mut relay, &mut other]).await;
        if relay.summary(&world).await["state"] == "quarantined" {
            break;
        }
    }
    let took = since(&world, then);
    odi_fixtures::tell!("a relay that lies to clients and not to relays was found after {took} s");
    assert!(took <= 120, "{took}");
    // Another relay has the same wrong bytes, and the report says so.
    let reported = async || page(&world, &relay).await["audits"][0].clone();
    world.until(async || reported().await.is_object()).await;
    let seen = reported().await;
    let by = (&seen["own"], &seen["seen"][0]);
    assert_eq!(by, (&true.into(), &other.key.public_key().to_string().into()), "{seen}");
    assert_eq!(relay.summary(&world).await["state"], "quarantined");
    let passed = published(&world).await;
    let audit = open::<Audit>(split_passed(&passed).unwrap()[0]).unwrap();
    assert_eq!((audit.by, audit.relay), (world.id(), relay.key.public_key()));
    assert!(audit.url.starts_with(relay.url.as_str()) && audit.url.ends_with("/big"), "{}", audit.url);
    assert!(world.metrics().await.contains("odi_directory_audit_reports{by=\"here\"} 1"));
    assert_eq!(looks(&world, "lied").await, 1);
}

#[tokio::test]
async fn a_relay_that_lies_only_to_some_addresses_is_found_through_other_relays() {
    let (publisher, _origin, mut world, mut relay) = joined().await;
    let mut first = vantage(&world, &publisher, 12, Vantage::Honest).await;
    let mut second = vantage(&world, &publisher, 13, Vantage::Honest).await;
    // Everybody but this directory gets wrong bytes.
    relay.behave(Conduct::HonestTo("127.0.0.1".parse().unwrap()));
    let then = world.clock.now();
    for _ in 0..ROUNDS {
        round(&world, &publisher, &mut [&mut relay, &mut first, &mut second]).await;
        if relay.summary(&world).await["state"] == "quarantined" {
            break;
        }
    }
    relay.until(&world, RelayState::Quarantined).await;
    odi_fixtures::tell!("a relay that lies only to some addresses was found after {} s", since(&world, then));
    assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    for honest in [&first, &second] {
        assert_eq!(honest.summary(&world).await["state"], "ready");
    }
    let reported = async || page(&world, &relay).await["audits"][0].clone();
    world.until(async || reported().await.is_object()).await;
    let seen = reported().await;
    assert_eq!((&seen["own"], seen["seen"].as_array().unwrap().len()), (&false.into(), 2), "{seen}");
    assert_eq!(
        world
            .listed("relays")
            .await
            .as_array()
            .unwrap()
            .iter()
            .filter(|relay| relay["audits"].is_array())
            .count(),
        1
    );
    // It is kept.
    published(&world).await;
    world.restart().await;
    assert_eq!(page(&world, &relay).await["audits"][0], seen);
}

#[tokio::test]
async fn a_relay_that_says_wrong_things_of_honest_ones_harms_none_and_loses_its_voice() {
    let (publisher, _origin, world, mut relay) = joined().await;
    let mut other = FakeRelay::start(14).await;
    let head = publisher.newest();
    other.hold(&Pin::of(head.seq, &head.id()), &[("big", &large(1))]);
    other.join(&world, &publisher.id, &[head.id()]).await;
    let mut slanderer = vantage(&world, &publisher, 12, Vantage::Frames).await;
    let asked =
        |slanderer: &FakeRelay| slanderer.asked().iter().filter(|target| *target == "/odi/v1/look").count();
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        let before = asked(&slanderer);
        round(&world, &publisher, &mut [&mut relay, &mut other, &mut slanderer]).await;
        for honest in [&relay, &other] {
            assert_eq!(honest.summary(&world).await["state"], "ready");
        }
        quiet = if asked(&slanderer) == before { quiet + 1 } else { 0 };
        // That nobody would look through it by chance for so long is as good as impossible.
        if looks(&world, "doubtful").await >= 2 && quiet > 20 {
            break;
        }
    }
    assert!(quiet > 20, "it is still asked");
    assert_eq!(looks(&world, "lied").await, 0);
    for honest in [&relay, &other] {
        assert_eq!(page(&world, honest).await["audits"], Value::Array(vec![]));
    }
}

#[tokio::test]
async fn a_relay_that_stops_is_sent_nobody_after_its_lease() {
    let (publisher, _origin, world, mut relay) = joined().await;
    relay.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
    relay.behave(Conduct::Hangs);
    let then = world.clock.now();
    for _ in 0..ROUNDS {
        if !world.sent("/world/big").await.1.starts_with(relay.url.as_str()) {
            break;
        }
        world.clock.advance(Duration::from_secs(5));
    }
    odi_fixtures::tell!("a relay that stops was sent nobody after {} s", since(&world, then));
    assert!(since(&world, then) <= 60);
}

#[tokio::test]
async fn looks_come_in_the_words_of_programs_that_people_use() {
    let (publisher, _origin, world, mut relay) = joined().await;
    for _ in 0..25 {
        round(&world, &publisher, &mut [&mut relay]).await;
    }
    let agents = relay.agents();
    assert!(agents.len() >= 4, "{agents:?}");
    assert!(agents.iter().all(|agent| !agent.contains("odi")), "{agents:?}");
    let shown = page(&world, &relay).await;
    assert!(shown["looks"]["matched"].as_u64().unwrap() >= 25, "{shown}");
    assert!(shown["lies_less_than_one_in"].as_u64().unwrap() >= 8, "{shown}");
}
