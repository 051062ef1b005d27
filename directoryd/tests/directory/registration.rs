//! Registrations of the honest, the forgetful and the hostile.

use std::time::Duration;

use odi_fixtures::ScriptedServer;
use odi_manifest::{SigningKey, Timestamp};
use odi_wire::http::StatusCode;
use odi_wire::message::{Leave, PublicUrl, RelayReg, RelayState, decode_holders, open_from, state};

use crate::fake_relay::{Conduct, FakeRelay};
use crate::publisher::{Publisher, large};
use crate::world::World;

async fn world() -> (Publisher, ScriptedServer, World) {
    let mut publisher = Publisher::new();
    publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    (publisher, origin, world)
}

#[tokio::test]
async fn a_relay_joins_holds_whole_catalogs_and_leaves() {
    let (publisher, _origin, world) = world().await;
    let mut relay = FakeRelay::start(11).await;
    let head = publisher.newest().id();
    relay.hold(&publisher.newest().pin(), &[("big", &large(1))]);
    let unknown = relay.announce(&world, &publisher.id, &[head]).await;
    assert_eq!(unknown.state, RelayState::Unknown);
    relay.join(&world, &publisher.id, &[head]).await;
    let lease = relay.announce(&world, &publisher.id, &[head]).await;
    assert_eq!(lease.state, RelayState::Ready);
    assert!(lease.assignment_gen > 0);

    let key = relay.key.public_key();
    let assigned = world.body(&format!("/odi/v1/relays/{}/assignment", key.to_hex())).await;
    let assigned = open_from::<odi_wire::message::Assign>(&assigned, &world.id()).unwrap();
    assert_eq!((assigned.relay, assigned.generation), (key, lease.assignment_gen));
    assert_eq!(assigned.catalogs[0].name, "world");
    let holders = world.body(&format!("/odi/v1/catalogs/{}/relays", publisher.id)).await;
    assert_eq!(decode_holders(&holders).unwrap()[0].relay, key);

    let farewell = Leave { v: 1, relay: key, generation: 1000, t: Timestamp(1) };
    let reply = world.post("/odi/v1/relays/leave", state(farewell, &relay.key).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    let holders = world.body(&format!("/odi/v1/catalogs/{}/relays", publisher.id)).await;
    assert!(decode_holders(&holders).unwrap().is_empty());
}

#[tokio::test]
async fn statements_that_are_not_for_us_or_not_theirs_are_refused() {
    let (_, _origin, world) = world().await;
    let mut relay = FakeRelay::start(11).await;
    let other = SigningKey::from_seed(&[99; 32]);
    let now = odi_manifest::Clock::now(&*world.clock);
    let mut refused = async |change: &dyn Fn(&mut RelayReg), signer: &SigningKey| {
        let mut registration = relay.registration(world.id(), now);
        change(&mut registration);
        world.post("/odi/v1/relays", state(registration, signer).unwrap()).await.status
    };
    let own = SigningKey::from_seed(&[11; 32]);
    let another_directory = |reg: &mut RelayReg| reg.dir = other.public_key();
    assert_eq!(refused(&another_directory, &own).await, StatusCode::UNPROCESSABLE_ENTITY);
    let old = |reg: &mut RelayReg| reg.ct = Timestamp(now.0 - 301);
    assert_eq!(refused(&old, &own).await, StatusCode::UNPROCESSABLE_ENTITY);
    let ours = |reg: &mut RelayReg| reg.urls = vec![PublicUrl::parse("http://127.0.0.1:9999").unwrap()];
    assert_eq!(refused(&ours, &own).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused(&|_| {}, &other).await, StatusCode::UNAUTHORIZED);
    for junk in [Vec::new(), vec![0x9f; 1000], vec![0x81; 10_000]] {
        assert_eq!(world.post("/odi/v1/relays", junk).await.status, StatusCode::BAD_REQUEST);
    }
    let huge = world.post("/odi/v1/relays", vec![0; 1 << 20]).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.json("/odi/v1/relays").await.as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_replayed_registration_is_a_conflict() {
    let (publisher, _origin, world) = world().await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&publisher.newest().pin(), &[("big", &large(1))]);
    let registration = relay.registration(world.id(), odi_manifest::Clock::now(&*world.clock));
    let envelope = state(registration, &relay.key).unwrap();
    assert_eq!(world.post("/odi/v1/relays", envelope.clone()).await.status, StatusCode::ACCEPTED);
    assert_eq!(world.post("/odi/v1/relays", envelope).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_url_whose_owner_lacks_the_keys_gets_challenges_and_nothing_else() {
    let (publisher, _origin, world) = world().await;
    let victim = FakeRelay::start(12).await;
    victim.behave(Conduct::Impostor);
    victim.hold(&publisher.newest().pin(), &[("big", &large(1))]);
    // An attacker registers the victim's URL under a key of its own.
    let mut attacker = FakeRelay::start(13).await;
    attacker.url = victim.url.clone();
    assert_eq!(attacker.register(&world).await, StatusCode::ACCEPTED);
    attacker.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
    world.until(async || !victim.asked().is_empty()).await;
    let dropped = async {
        while !world.json("/odi/v1/relays").await.as_array().unwrap().is_empty() {
            world.clock.advance(Duration::from_secs(300));
            attacker.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), dropped).await.expect("it is never dropped");
    let asked = victim.asked();
    assert!(asked.len() <= 8, "{} requests", asked.len());
    assert!(asked.iter().all(|target| target == "/.well-known/odi/challenge"), "{asked:?}");
    assert!(!world.sent("/world/big").await.1.starts_with(victim.url.as_str()));
}
