//! Who holds what, as the directory passes it on: of whom, and how often.

use odi_wire::http::StatusCode;
use odi_wire::message::{RelayState, decode_holders};

use crate::fake_relay::{FakeRelay, Flaw};
use crate::publisher::{Publisher, large};
use crate::world::World;

async fn holders(world: &World, publisher: &Publisher) -> usize {
    let answer = world.body(&format!("/odi/v1/catalogs/{}/relays", publisher.id)).await;
    decode_holders(&answer).unwrap().len()
}

#[tokio::test]
async fn relays_that_have_not_passed_their_self_test_are_passed_on_to_nobody() {
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let heads = [publisher.newest().id()];
    let mut untested = FakeRelay::start(11).await;
    untested.err(Some(Flaw::LacksDigests));
    assert_eq!(untested.register(&world).await, StatusCode::ACCEPTED);
    untested.until(&world, RelayState::Probation).await;
    untested.announce(&world, &publisher.id, &heads).await;
    assert_eq!(holders(&world, &publisher).await, 0);
    let mut relay = FakeRelay::start(12).await;
    relay.hold(&pin, &[("big", &large(1))]);
    relay.join(&world, &publisher.id, &heads).await;
    assert_eq!(holders(&world, &publisher).await, 1);
}

#[tokio::test]
async fn whoever_asks_for_holders_all_the_time_is_slowed() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let at = format!("/odi/v1/catalogs/{}/relays", publisher.id);
    let mut statuses = Vec::new();
    for _ in 0..250 {
        statuses.push(world.get(&at).await.status);
    }
    assert_eq!((statuses[0], statuses[249]), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
}
