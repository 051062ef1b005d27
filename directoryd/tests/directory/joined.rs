//! The least network: an origin, a directory that serves it, and a relay that has it all.

use odi_fixtures::ScriptedServer;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// A directory with one ready relay that holds the only artifact.
pub(crate) async fn joined() -> (Publisher, ScriptedServer, World, FakeRelay) {
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &large(1))]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    (publisher, origin, world, relay)
}
