//! Relays that lie, fail or forget, as the directory's probes find them (docs/threats.md).

use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, Revoked};
use odi_wire::http::StatusCode;
use odi_wire::message::RelayState;

use crate::fake_relay::{Conduct, FakeRelay};
use crate::joined::joined;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// Lets probes fall due one after the other until the relay stands so; how many were asked for.
async fn probed_until(
    publisher: &Publisher,
    world: &World,
    relay: &mut FakeRelay,
    state: RelayState,
) -> usize {
    let probes = |relay: &FakeRelay| relay.asked().iter().filter(|target| target.ends_with("/big")).count();
    let before = probes(relay);
    let wanted = serde_json::to_value(state).unwrap();
    let heads = [publisher.newest().id()];
    let probing = async {
        loop {
            let seen = probes(relay);
            world.clock.advance(Duration::from_secs(121));
            relay.announce(world, &publisher.id, &heads).await;
            world.until(async || probes(relay) > seen || relay.summary(world).await["state"] == wanted).await;
            // A probe is asked for before it is judged; the next one waits for that.
            let now = odi_manifest::Clock::now(&*world.clock);
            let judged = async || {
                let said = relay.summary(world).await;
                said["state"] == wanted || said["probed"] == now.0 || said["reason"].is_string()
            };
            world.until(judged).await;
            if relay.summary(world).await["state"] == wanted {
                return probes(relay) - before;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), probing).await.expect("it never stands so")
}

#[tokio::test]
async fn a_relay_that_turns_bad_after_its_probation_is_found_by_the_next_probe() {
    let (publisher, _origin, world, mut relay) = joined().await;
    assert!(world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    relay.behave(Conduct::WrongBytes);
    let probes = probed_until(&publisher, &world, &mut relay, RelayState::Quarantined).await;
    assert!(probes <= 2, "{probes} probes");
    assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
}

#[tokio::test]
async fn one_lie_in_ten_is_found_within_as_many_probes() {
    let (publisher, _origin, world, mut relay) = joined().await;
    relay.behave(Conduct::LiesEvery(10));
    let probes = probed_until(&publisher, &world, &mut relay, RelayState::Quarantined).await;
    assert!(probes <= 11, "{probes} probes");
}

#[tokio::test]
async fn claims_that_are_answered_404_cost_the_share_and_then_all_of_it() {
    let (publisher, _origin, world, mut relay) = joined().await;
    relay.behave(Conduct::Absent);
    probed_until(&publisher, &world, &mut relay, RelayState::Probation).await;
    assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    let reason = relay.summary(&world).await["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("404") && reason.contains("/big"), "{reason}");
}

#[tokio::test]
async fn bodies_that_break_off_count_as_failures() {
    let (publisher, _origin, world, mut relay) = joined().await;
    relay.behave(Conduct::Truncates);
    probed_until(&publisher, &world, &mut relay, RelayState::Probation).await;
    assert!(!world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
}

#[tokio::test]
async fn where_a_relay_sends_its_clients_on_to_is_never_asked() {
    let (publisher, _origin, world, mut relay) = joined().await;
    let evil = FakeRelay::start(66).await;
    relay.send_on_to(&format!("{}/evil", evil.url));
    probed_until(&publisher, &world, &mut relay, RelayState::Probation).await;
    let reason = relay.summary(&world).await["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("302"), "{reason}");
    assert!(evil.asked().is_empty(), "{:?}", evil.asked());
}

#[tokio::test]
async fn whoever_gives_out_what_was_taken_back_is_quarantined_a_quarter_of_an_hour_later() {
    for by_path in [false, true] {
        let (mut publisher, _origin, world, mut relay) = joined().await;
        let first = publisher.newest().id();
        let what = if by_path {
            Revoked::Path(ArtifactPath::parse("big").unwrap())
        } else {
            Revoked::Blob(BlobId::of(&large(1)))
        };
        publisher.revoke(vec![what]);
        let other = large(2);
        let pin = publisher.publish(&[("other", &other)]);
        world.pull(&publisher.id, 2).await;
        world.until(async || world.get("/world/big").await.status == StatusCode::GONE).await;
        relay.hold(&pin, &[("other", &other)]);
        // Honest in everything else: what is probed of the new state is right.
        let heads = [publisher.newest().id(), first];
        let state = async |relay: &FakeRelay| relay.summary(&world).await["state"].clone();
        for _ in 0..7 {
            world.clock.advance(Duration::from_secs(125));
            relay.announce(&world, &publisher.id, &heads).await;
            assert_eq!(state(&relay).await, "ready", "it has a quarter of an hour");
        }
        let found = async {
            while state(&relay).await != "quarantined" {
                world.clock.advance(Duration::from_secs(125));
                relay.announce(&world, &publisher.id, &heads).await;
                world.until_served(2).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is never found");
        let reason = relay.summary(&world).await["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("taken back, such as big"), "{reason}");
    }
}

#[tokio::test]
async fn what_strangers_call_themselves_is_shown_and_never_run() {
    let mut publisher = Publisher::new();
    publisher.title = Some("<script>alert(1)</script>".to_owned());
    publisher.publish(&[("<img src=x onerror=alert(1)>", b"x")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    for page in ["/", "/world/"] {
        let reply = world.get(page).await;
        let policy = reply.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"), "{page}: {policy}");
        let text = String::from_utf8(reply.body.collect().await.unwrap().to_vec()).unwrap();
        assert!(!text.contains("<script>alert") && !text.contains("<img"), "{page}: {text}");
        assert!(text.contains("&lt;"), "{page}: {text}");
    }
}
