//! What a directory does not let happen while it cannot write it down.

use std::time::Duration;

use odi_wire::http::StatusCode;
use odi_wire::message::RelayState;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

#[tokio::test]
async fn a_self_test_counts_only_once_it_is_written_that_it_passed() {
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let heads = [publisher.newest().id()];
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &large(1))]);
    assert_eq!(relay.register(&world).await, StatusCode::ACCEPTED);
    relay.until(&world, RelayState::Probation).await;

    // Nothing can be written where a file lies in place of the folder.
    let records = world.data_dir().join("data/relays");
    std::fs::remove_dir_all(&records).unwrap();
    std::fs::write(&records, b"in the way").unwrap();
    relay.announce(&world, &publisher.id, &heads).await;
    // The rate is the last that is looked at, after the first GET of the largest: HEAD, ranges, then all of it.
    let largest =
        |relay: &FakeRelay| relay.asked().iter().filter(|asked| asked.ends_with("/sizes/8388609")).count();
    world.until(async || largest(&relay) >= 6).await;
    let assignment = format!("/odi/v1/relays/{}/assignment", relay.key.public_key().to_hex());
    for _ in 0..300 {
        assert_eq!(world.get(&assignment).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(relay.announce(&world, &publisher.id, &heads).await.assignment_gen, 0);
    assert!(!relay.asked().iter().any(|target| target.ends_with("/big")), "it is not on probation");

    std::fs::remove_file(&records).unwrap();
    std::fs::create_dir(&records).unwrap();
    world.clock.advance(Duration::from_secs(901));
    relay.announce(&world, &publisher.id, &heads).await;
    relay.until(&world, RelayState::Ready).await;
    assert_eq!(world.get(&assignment).await.status, StatusCode::OK);
}
