//! How many clients a relay gets: by the rate that it says it gives, and none at all at a rate of zero.

use odi_wire::client::Ask;
use odi_wire::http::header::LOCATION;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{rate_cap, state};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// Client networks that ask.
const CLIENTS: u8 = 240;
const MEGABYTE: u64 = 1_000_000;

/// Says what it gives now.
async fn announce_rate(relay: &mut FakeRelay, world: &World, publisher: &Publisher, rate: u64) {
    let mut inventory = relay.inventory(world, &publisher.id, &[publisher.newest().id()]);
    inventory.caps = vec![rate_cap(rate)];
    let envelope = state(inventory, &relay.key).unwrap();
    assert_eq!(world.post("/odi/v1/relays/inventory", envelope).await.status, StatusCode::OK);
}

/// Of all client networks, how many are sent to this relay, and how many anywhere.
async fn clients_of(relay: &FakeRelay, world: &World) -> (u32, u32) {
    let (mut here, mut sent) = (0, 0);
    for client in 0..CLIENTS {
        let from = HeaderValue::from_str(&format!("198.51.{client}.7")).unwrap();
        // A GET that comes again within a minute is sent to the next relay.
        let reply =
            world.client.send(Ask::head(&world.at("/world/big")).header("x-forwarded-for", from)).await;
        let reply = reply.unwrap();
        let Some(location) = reply.headers.get(LOCATION) else { continue };
        sent += 1;
        here += u32::from(location.to_str().unwrap().starts_with(&format!("{}/@", relay.url)));
    }
    (here, sent)
}

#[tokio::test]
async fn clients_go_where_there_is_capacity_and_nobody_where_there_is_none() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let (mut fast, mut slow) = (FakeRelay::start(21).await, FakeRelay::start(22).await);
    for relay in [&mut fast, &mut slow] {
        relay.hold(&pin, &[("big", &big)]);
        relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    }
    let all = u32::from(CLIENTS);

    // Three quarters, give or take five standard deviations.
    announce_rate(&mut fast, &world, &publisher, 30 * MEGABYTE).await;
    announce_rate(&mut slow, &world, &publisher, 10 * MEGABYTE).await;
    let (of_fast, sent) = clients_of(&fast, &world).await;
    assert_eq!(sent, all);
    assert!((146..=214).contains(&of_fast), "{of_fast} of {all}");

    // The other way round, most of them move.
    announce_rate(&mut fast, &world, &publisher, 10 * MEGABYTE).await;
    announce_rate(&mut slow, &world, &publisher, 30 * MEGABYTE).await;
    let (of_fast, _) = clients_of(&fast, &world).await;
    assert!((26..=94).contains(&of_fast), "{of_fast} of {all}");

    announce_rate(&mut fast, &world, &publisher, 0).await;
    assert_eq!(clients_of(&fast, &world).await, (0, all), "its month is spent");
    assert_eq!(clients_of(&slow, &world).await, (all, all), "the other has them all");

    announce_rate(&mut fast, &world, &publisher, MEGABYTE).await;
    let (of_fast, _) = clients_of(&fast, &world).await;
    assert!(of_fast > 0, "the next month has begun");
}
