//! What a restart keeps: states, the identity, proved relays and their generations.

use odi_wire::http::StatusCode;
use odi_wire::message::{RelayState, state};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

#[tokio::test]
async fn states_relays_and_identity_survive() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big), ("small", b"small")]);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.body("/world/small").await, b"small");
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &big), ("small", b"small")]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    let old =
        state(relay.registration(world.id(), odi_manifest::Clock::now(&*world.clock)), &relay.key).unwrap();
    relay.register(&world).await;
    relay.until(&world, RelayState::Ready).await;
    world
        .until(async || {
            let record = world
                .data_dir()
                .join("data/relays")
                .join(format!("{}.json", relay.key.public_key().to_hex()));
            std::fs::read_to_string(record).is_ok_and(|text| text.contains("\"generation\": 4"))
        })
        .await;
    let id = world.id();
    // Nothing of the origin is needed to go on.
    drop(origin);
    world.restart().await;
    assert_eq!(world.id(), id);
    assert_eq!(world.served().await, Some(1));
    assert_eq!(world.body("/world/small").await, b"small");
    assert_eq!(world.post("/odi/v1/relays", old).await.status, StatusCode::CONFLICT, "a replay from before");
    let lease = relay.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
    assert_eq!(lease.state, RelayState::Probation, "known, and to be probed again");
    relay.until(&world, RelayState::Ready).await;
    assert_eq!(world.sent("/world/big").await, (StatusCode::FOUND, format!("{}/{pin}/big", relay.url)));
    let hex = data_encoding::HEXLOWER.encode(relay.psk.expose());
    let record = format!("data/relays/{}.json", relay.key.public_key().to_hex());
    let record = std::fs::read_to_string(world.data_dir().join(record)).unwrap();
    assert!(!record.contains(&hex), "the pre-shared key itself is not kept");
}

#[tokio::test]
async fn a_directory_never_goes_back_to_an_older_head() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let first = publisher.newest().clone();
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    publisher.publish(&[("a", b"two")]);
    world.pull(&publisher.id, 2).await;
    // The origin is restored from a backup.
    publisher.put(odi_wire::layout::LayoutPath::Head, first.encode());
    world.restart().await;
    world.until(async || world.json("/odi/v1/status").await["catalogs"][0]["fault"].is_string()).await;
    assert_eq!(world.adopted().await, Some(2));
}

#[tokio::test]
async fn the_admin_listener_tells_living_from_ready() {
    let mut publisher = Publisher::new();
    let world = World::start(&publisher.id, None).await;
    let admin = world.directory.as_ref().unwrap().admin_addr().unwrap();
    let status = async |path: &str| {
        let url = format!("http://{admin}{path}").parse().unwrap();
        world.client.send(odi_wire::client::Ask::get(&url)).await.unwrap().status
    };
    assert_eq!(status("/healthz").await, StatusCode::OK);
    assert_eq!(status("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status("/world/a").await, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/world/a").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // Without an origin heads come by push alone, and say themselves where the rest is to be had.
    let origin = publisher.serve().await;
    let push = publisher.push_of_first(&[("a", b"one")], &origin.url());
    let target = format!("/odi/v1/catalogs/{}/push", publisher.id);
    let taken = world.post(&target, push).await;
    assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body.collect().await);
    assert_eq!(status("/readyz").await, StatusCode::OK);
    assert_eq!(world.body("/world/a").await, b"one");
}
