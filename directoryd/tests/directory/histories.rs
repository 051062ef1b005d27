//! What became of a relay, as its page tells it.

use std::time::Duration;

use odi_wire::message::RelayState;
use serde_json::Value;

use crate::fake_relay::FakeRelay;
use crate::joined::joined;
use crate::world::World;

async fn history(world: &World, relay: &FakeRelay) -> Vec<Value> {
    let page = format!("/odi/relays/{}?json", relay.key.public_key().to_hex());
    world.json(&page).await["history"].as_array().unwrap().clone()
}

/// Lets the directory look at its relays again until it finds this one so.
async fn found(world: &World, relay: &FakeRelay, condition: &str) -> Vec<Value> {
    world.clock.advance(Duration::from_secs(6));
    world
        .until(async || {
            history(world, relay).await.first().is_some_and(|last| last["condition"] == condition)
        })
        .await;
    history(world, relay).await
}

#[tokio::test]
async fn a_page_tells_what_became_of_its_relay_and_a_restart_forgets_none_of_it() {
    let (publisher, _origin, mut world, mut relay) = joined().await;
    let heads = [publisher.newest().id()];
    found(&world, &relay, "ready").await;
    world.clock.advance(Duration::from_secs(61));
    let silent = found(&world, &relay, "silent").await;
    assert_eq!(silent[1]["condition"], "ready");
    assert!(silent[0]["at"].as_u64() > silent[1]["at"].as_u64(), "{silent:?}");
    relay.announce(&world, &publisher.id, &heads).await;
    relay.until(&world, RelayState::Ready).await;
    let back = found(&world, &relay, "ready").await;
    assert!(back.ends_with(&silent), "{back:?}");

    world.restart().await;
    assert_eq!(history(&world, &relay).await, back);
    // It has had no time yet to announce itself, and whoever is new shows that relays were looked at meanwhile.
    let mut other = FakeRelay::start(12).await;
    other.register(&world).await;
    other.until(&world, RelayState::Probation).await;
    other.announce(&world, &publisher.id, &[]).await;
    found(&world, &other, "probation").await;
    relay.announce(&world, &publisher.id, &heads).await;
    relay.until(&world, RelayState::Ready).await;
    let after = history(&world, &relay).await;
    assert!(after.ends_with(&back), "{after:?}");
    let silences = |of: &[Value]| of.iter().filter(|change| change["condition"] == "silent").count();
    assert_eq!(silences(&after), silences(&back), "{after:?}");
}
