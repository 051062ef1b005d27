//! What relays are asked to hold, together.

use odi_manifest::BlobId;
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{Assign, IdRanges, RelayState, open_from, state};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// A relay that offers so much disk and has passed its test.
async fn join_with(world: &World, publisher: &Publisher, seed: u8, disk: u64) -> FakeRelay {
    let mut relay = FakeRelay::start(seed).await;
    let now = odi_manifest::Clock::now(&*world.clock);
    let mut registration = relay.registration(world.id(), now);
    registration.disk = disk;
    let envelope = state(registration, &relay.key).unwrap();
    assert_eq!(world.post("/odi/v1/relays", envelope).await.status, StatusCode::ACCEPTED);
    relay.until(world, RelayState::Probation).await;
    relay.announce(world, &publisher.id, &[]).await;
    let passed = async || assigned(world, &relay).await.is_some();
    world.until(passed).await;
    relay
}

async fn assignment(world: &World, relay: &FakeRelay) -> Option<Assign> {
    let reply = world.get(&format!("/odi/v1/relays/{}/assignment", relay.key.public_key().to_hex())).await;
    if reply.status != StatusCode::OK {
        return None;
    }
    let signed = open_from::<Assign>(&reply.body.collect().await.unwrap(), &world.id()).unwrap();
    Some((*signed).clone())
}

/// The ranges of the catalog that a relay is asked to hold.
async fn assigned(world: &World, relay: &FakeRelay) -> Option<IdRanges> {
    let assigned = assignment(world, relay).await?;
    Some(assigned.catalogs.first().map_or_else(IdRanges::none, |catalog| catalog.ranges.clone()))
}

/// Of all parts of the catalog, how many are held by nobody, by one, by two.
fn copies(relays: &[IdRanges]) -> [usize; 3] {
    let mut copies = [0; 3];
    for part in 0..=u8::MAX {
        let mut id = [0; 32];
        id[0] = part;
        let blob = BlobId::from_bytes(id);
        copies[relays.iter().filter(|ranges| ranges.contains(&blob)).count()] += 1;
    }
    copies
}

#[tokio::test]
async fn two_small_relays_hold_the_whole_catalog_between_them() {
    let mut publisher = Publisher::new();
    let files: Vec<Vec<u8>> = (1..=4).map(large).collect();
    let names = ["a", "b", "c", "d"];
    let artifacts: Vec<(&str, &[u8])> =
        names.iter().zip(&files).map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), "copies = 2").await;
    world.until(async || world.adopted().await == Some(1)).await;
    let bytes: u64 = files.iter().map(|file| file.len() as u64).sum();

    let first = join_with(&world, &publisher, 31, bytes * 3 / 4).await;
    let alone = assigned(&world, &first).await.unwrap();
    assert_eq!(copies(std::slice::from_ref(&alone))[1], 163, "85 % of three quarters");
    let second = join_with(&world, &publisher, 32, bytes * 3 / 4).await;
    let both = [assigned(&world, &first).await.unwrap(), assigned(&world, &second).await.unwrap()];
    assert_eq!(copies(&both), [0, 186, 70], "nothing is left out, and the rest twice");
}

#[tokio::test]
async fn what_a_relay_says_that_it_does_not_take_others_hold() {
    let mut publisher = Publisher::new();
    let files: Vec<Vec<u8>> = (1..=4).map(large).collect();
    let names = ["a", "b", "c", "d"];
    let artifacts: Vec<(&str, &[u8])> =
        names.iter().zip(&files).map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), "copies = 1").await;
    world.until(async || world.adopted().await == Some(1)).await;
    let bytes: u64 = files.iter().map(|file| file.len() as u64).sum();
    let mut first = join_with(&world, &publisher, 31, bytes).await;
    let second = join_with(&world, &publisher, 32, bytes).await;
    let both = async || [assigned(&world, &first).await.unwrap(), assigned(&world, &second).await.unwrap()];
    let before = both().await;
    assert_eq!((copies(&before)[0], copies(&before[..1])[1]), (0, 217), "85 % of the disk");

    first.takes = Some(bytes / 4);
    first.announce(&world, &publisher.id, &[]).await;
    let shrunk = async || copies(&[assigned(&world, &first).await.unwrap()])[1] == 64;
    world.until(shrunk).await;
    let after = [assigned(&world, &first).await.unwrap(), assigned(&world, &second).await.unwrap()];
    assert_eq!(copies(&after)[0], 0, "what it gave up is with the other");
}

#[tokio::test]
async fn what_a_crowd_wants_gets_further_holders_at_once() {
    let mut publisher = Publisher::new();
    // A twentieth of a relay's disk has room for one of them.
    let files: Vec<Vec<u8>> = (1..=40).map(large).collect();
    let names: Vec<String> = (1..=40).map(|name| format!("{name}")).collect();
    let artifacts: Vec<(&str, &[u8])> =
        names.iter().zip(&files).map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let pin = publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), "copies = 1").await;
    world.until(async || world.adopted().await == Some(1)).await;
    world.until_served(1).await;
    let bytes: u64 = files.iter().map(|file| file.len() as u64).sum();
    let mut relays = Vec::new();
    for seed in 41..=44 {
        relays.push(join_with(&world, &publisher, seed, bytes * 3 / 4).await);
    }
    for relay in &mut relays {
        relay.hold(&pin, &artifacts);
        relay.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
    }
    for relay in &relays {
        relay.until(&world, RelayState::Ready).await;
    }
    let blob = BlobId::of(&files[3]);
    let extra = async || {
        let mut holders = 0;
        for relay in &relays {
            let plus = assignment(&world, relay).await.unwrap().catalogs.remove(0).plus;
            assert!(plus.iter().all(|hot| *hot == blob), "only what is wanted");
            holders += plus.len();
        }
        holders
    };
    let missing = {
        let mut missing = 0;
        for relay in &relays {
            missing += usize::from(!assigned(&world, relay).await.unwrap().contains(&blob));
        }
        missing
    };
    assert!(missing > 0, "the scene has somebody who lacks it");
    assert_eq!(extra().await, 0);
    let told: Vec<usize> = relays.iter().map(|relay| relay.notices().len()).collect();
    let began = std::time::Instant::now();
    for client in 0..80 {
        let from = HeaderValue::from_str(&format!("198.51.{client}.7")).unwrap();
        let ask = Ask::get(&world.at("/world/4")).header("x-forwarded-for", from);
        world.client.send(ask).await.unwrap();
    }
    world.until(async || extra().await == missing.min(4)).await;
    let is_told = || {
        let now: Vec<usize> = relays.iter().map(|relay| relay.notices().len()).collect();
        now.iter().zip(&told).filter(|(now, before)| now > before).count() >= missing.min(4)
    };
    world.until(async || is_told()).await;
    odi_fixtures::tell!(
        "what 80 networks want at once: {} further holders are told {} ms after the first of them",
        missing.min(4),
        began.elapsed().as_millis()
    );
}
