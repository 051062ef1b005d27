//! What directories pass on to each other about relays: statements that did not come by themselves, and what operators decided.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use odi_fixtures::ScriptedServer;
use odi_manifest::{BlobId, CatalogId, HeadId, Pin, SigningKey, Timestamp};
use odi_wire::http::StatusCode;
use odi_wire::message::{
    Audit, CBOR, DOCUMENT_VERSION, DaemonKind, DeniedRelay, Deny, Inventory, JSON, Leave, PASSED_BYTES_MAX,
    WellKnown, decode_wanted, encode_passed, open, split_passed, state, to_json,
};
use odi_wire::refusal::Refusal;
use odi_wire::serve::{self, Request, Response, Running, Service};
use serde_json::json;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::witnessing::two_at;
use crate::world::World;

/// Two directories that follow each other, and a relay that has joined both.
async fn both() -> (Publisher, ScriptedServer, [World; 2], FakeRelay) {
    let mut publisher = Publisher::witnessed_by(&[21, 22], 1);
    let pin = publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let worlds = two_at(&publisher, [Some(&origin.url()), Some(&origin.url())]).await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &large(1))]);
    for world in &worlds {
        world.until_served(1).await;
        relay.join(world, &publisher.id, &[publisher.newest().id()]).await;
    }
    (publisher, origin, worlds, relay)
}

fn pass(worlds: &[&World], seconds: u64) {
    worlds.iter().for_each(|world| world.clock.advance(Duration::from_secs(seconds)));
}

fn now(world: &World) -> Timestamp {
    odi_manifest::Clock::now(&*world.clock)
}

async fn lease(world: &World, relay: &FakeRelay) -> u64 {
    relay.summary(world).await["lease_until"].as_u64().unwrap()
}

#[tokio::test]
async fn what_a_relay_says_to_one_directory_reaches_the_other_which_it_cannot_reach() {
    let (publisher, _origin, [near, far], mut relay) = both().await;
    let heads = [publisher.newest().id()];
    for _ in 0..8 {
        pass(&[&near, &far], 20);
        relay.announce(&near, &publisher.id, &heads).await;
        // Good for a minute from when it was made.
        let until = now(&far).0 + 60;
        pass(&[&near, &far], 15);
        far.until(async || lease(&far, &relay).await == until).await;
        far.until(async || far.sent("/world/big").await.1.starts_with(relay.url.as_str())).await;
    }
    let peer = far.json("/odi/v1/status").await["peers"][0].clone();
    assert!(peer["passed"].as_u64().unwrap() >= 8 && peer["passing_fault"].is_null(), "{peer}");
    assert!(far.metrics().await.contains("odi_directory_passed_statements_total{peer="));
    // Nobody keeps alive who says nothing any more.
    pass(&[&near, &far], 61);
    assert!(!far.sent("/world/big").await.1.starts_with(relay.url.as_str()));
}

#[tokio::test]
async fn whoever_said_farewell_is_not_brought_back_by_others_also_after_a_restart() {
    let (publisher, _origin, [near, mut far], mut relay) = both().await;
    let heads = [publisher.newest().id()];
    let mut other = FakeRelay::start(12).await;
    other.hold(&Pin::of(1, &heads[0]), &[("big", &large(1))]);
    for world in [&near, &far] {
        other.join(world, &publisher.id, &heads).await;
    }
    let generation = relay.inventory(&far, &publisher.id, &heads).generation;
    let farewell = Leave { v: 1, relay: relay.key.public_key(), generation, t: now(&far) };
    let farewell = state(farewell, &relay.key).unwrap();
    assert_eq!(far.post("/odi/v1/relays/leave", farewell).await.status, StatusCode::OK);
    for round in 0..2 {
        pass(&[&near, &far], 20);
        relay.announce(&near, &publisher.id, &heads).await;
        // Another relay's word comes the same way; this one's was there to be asked for just as well.
        other.announce(&near, &publisher.id, &heads).await;
        let until = now(&far).0 + 60;
        pass(&[&near, &far], 15);
        far.until(async || lease(&far, &other).await == until).await;
        assert_eq!(lease(&far, &relay).await, 0, "round {round}");
        far.restart().await;
    }
    // Its own word brings it back.
    relay.announce(&far, &publisher.id, &heads).await;
    assert_eq!(lease(&far, &relay).await, now(&far).0 + 60);
}

/// A directory that passes on what it is told to.
struct Passer {
    key: SigningKey,
    url: String,
    shared: Arc<Shared>,
    _running: Running,
}

#[derive(Default)]
struct Shared {
    well_known: Mutex<Bytes>,
    statements: Mutex<Bytes>,
    reports: Mutex<Bytes>,
}

struct PasserService(Arc<Shared>);

impl Service for PasserService {
    async fn call(&self, mut request: Request) -> Response {
        let target = request.target().to_owned();
        let content = |bytes: &Mutex<Bytes>| bytes.lock().unwrap().clone();
        match target.as_str() {
            "/.well-known/odi" => Response::ok(JSON, content(&self.0.well_known)),
            "/odi/v1/relays/statements" => {
                assert_eq!(decode_wanted(&request.read_body(1 << 20).await.unwrap()).unwrap().len(), 1);
                Response::ok(CBOR, content(&self.0.statements))
            }
            target if target.starts_with("/odi/v1/relays/reports") => {
                Response::ok(CBOR, content(&self.0.reports))
            }
            _ => Refusal::NotFound.into_response(),
        }
    }
}

impl Passer {
    async fn start() -> Self {
        let key = SigningKey::from_seed(&[77; 32]);
        let shared = Arc::new(Shared::default());
        let listening =
            serve::Server::bind(&["127.0.0.1:0".parse().unwrap()], serve::Limits::default()).await.unwrap();
        let running = listening.spawn(Arc::new(PasserService(Arc::clone(&shared))));
        let url = format!("http://{}", running.local_addrs()[0]);
        let said = WellKnown {
            v: DOCUMENT_VERSION,
            kind: DaemonKind::Directory,
            id: key.public_key(),
            urls: vec![url.clone()],
            catalogs: vec![],
        };
        *shared.well_known.lock().unwrap() = to_json(&said).into();
        let passer = Self { key, url, shared, _running: running };
        *passer.shared.statements.lock().unwrap() = encode_passed([]).into();
        passer.report(&[]);
        passer
    }

    fn report(&self, envelopes: &[&[u8]]) {
        *self.shared.reports.lock().unwrap() = encode_passed(envelopes.iter().copied()).into();
    }
}

/// A directory with a ready relay and one peer, which is told what to pass on.
async fn beside_a_passer() -> (Publisher, ScriptedServer, World, FakeRelay, Passer) {
    let passer = Passer::start().await;
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let peer = format!("[[peer]]\nurl = \"{}\"\n", passer.url);
    let world = World::start_with(&publisher.id, Some(&origin.url()), &peer).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &large(1))]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    (publisher, origin, world, relay, passer)
}

#[tokio::test]
async fn forged_older_unasked_and_oversized_statements_change_nothing_and_cost_their_sender() {
    let (publisher, _origin, world, mut relay, passer) = beside_a_passer().await;
    let heads = [publisher.newest().id()];
    let before = lease(&world, &relay).await;
    let old = state(relay.inventory(&world, &publisher.id, &heads), &relay.key).unwrap();
    assert_eq!(world.post("/odi/v1/relays/inventory", old.clone()).await.status, StatusCode::OK);
    pass(&[&world], 31);
    let newer = relay.inventory(&world, &publisher.id, &heads);
    let forged = state(newer.clone(), &SigningKey::from_seed(&[99; 32])).unwrap();
    let stranger = Inventory { relay: passer.key.public_key(), ..newer.clone() };
    let unasked = state(stranger, &passer.key).unwrap();
    let right = state(newer, &relay.key).unwrap();
    let fault = async || world.json("/odi/v1/status").await["peers"][0]["passing_fault"].clone();
    let next = async |answer: Bytes| {
        *passer.shared.statements.lock().unwrap() = answer;
        // Longer than the longest pause between two questions about one relay.
        pass(&[&world], 61);
    };
    for (what, answer, words) in [
        ("forged", encode_passed([right.as_slice(), &forged]), "nobody made"),
        ("older", encode_passed([old.as_slice()]), "no newer"),
        ("unasked", encode_passed([right.as_slice(), &unasked]), "not asked"),
        ("junk", encode_passed([right.as_slice(), b"junk"]), "nobody made"),
        ("no answer", b"junk".to_vec(), "does not read"),
        ("oversized", vec![0; PASSED_BYTES_MAX + 1], "bytes"),
    ] {
        next(answer.into()).await;
        world.until(async || fault().await.as_str().is_some_and(|fault| fault.contains(words))).await;
        // What was right in the same answer is not taken either.
        assert_eq!(lease(&world, &relay).await, before, "{what}");
        next(encode_passed([]).into()).await;
        world.until(async || fault().await.is_null()).await;
    }
    next(encode_passed([right.as_slice()]).into()).await;
    world.until(async || world.json("/odi/v1/status").await["peers"][0]["passed"] == 1).await;
}

#[tokio::test]
async fn what_another_operator_decided_is_a_reason_to_look_and_no_order() {
    let (_publisher, _origin, [here, there], relay) = both().await;
    let key = relay.key.public_key().to_hex();
    let page = format!("/odi/relays/{key}?json");
    let probes = || relay.asked().iter().filter(|target| target.ends_with("/big")).count();
    let before = probes();
    there.operate("remove", json!({"relay": &key, "why": "it gave wrong bytes"})).await;
    // The clock stands still: no probe would be due without it.
    here.until(async || here.json(&page).await["reports"][0]["removed"] == true).await;
    here.until(async || probes() > before).await;
    here.until(async || here.json(&page).await["reason"].is_null()).await;
    let shown = here.json(&page).await;
    assert_eq!((&shown["state"], &shown["shut_out"]), (&"ready".into(), &serde_json::Value::Null), "{shown}");
    assert_eq!(shown["reports"][0]["by"], there.id().to_string());
    assert_eq!(shown["reports"][0]["why"], "it gave wrong bytes");
    assert!(here.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    assert_eq!(here.listed("relays").await[0]["reports"][0]["removed"], true);
    assert!(here.metrics().await.contains("odi_directory_relays_denied{by=\"here\"} 0"));
    assert!(there.metrics().await.contains("odi_directory_relays_denied{by=\"here\"} 1"));
    // What was said is signed, and anybody can read it.
    let passed = here.body("/odi/v1/relays/reports").await;
    let lists: Vec<_> =
        split_passed(&passed).unwrap().into_iter().map(|list| open::<Deny>(list).unwrap()).collect();
    assert!(
        lists.iter().any(|list| list.dir == there.id() && list.relays[0].relay == relay.key.public_key())
    );
    there.operate("release", json!({"relay": &key})).await;
    here.until(async || here.json(&page).await["reports"] == json!([])).await;
}

#[tokio::test]
async fn reports_of_strangers_old_ones_and_forged_ones_count_for_nothing() {
    let (_publisher, _origin, world, relay, passer) = beside_a_passer().await;
    let page = format!("/odi/relays/{}?json", relay.key.public_key().to_hex());
    let list = |key: &SigningKey, generation, why: &str| {
        let denied = DeniedRelay {
            relay: relay.key.public_key(),
            at: now(&world),
            removed: false,
            why: Some(why.to_owned()),
        };
        let deny = Deny { v: 1, dir: key.public_key(), generation, t: now(&world), relays: vec![denied] };
        state(deny, key).unwrap()
    };
    let said = async || world.json(&page).await["reports"][0]["why"].clone();
    passer.report(&[
        &list(&SigningKey::from_seed(&[55; 32]), 9, "a stranger's"),
        &list(&passer.key, 5, "first"),
    ]);
    world.until(async || said().await == "first").await;
    assert_eq!(world.json(&page).await["reports"].as_array().unwrap().len(), 1);
    passer.report(&[&list(&passer.key, 5, "another of that number")]);
    passer.report(&[&list(&passer.key, 4, "older")]);
    passer.report(&[&list(&passer.key, 6, "newer")]);
    world.until(async || said().await == "newer").await;
    let mut forged = list(&passer.key, 7, "forged");
    *forged.last_mut().unwrap() ^= 1;
    passer.report(&[&list(&passer.key, 8, "beside a forged one"), &forged]);
    let fault = async || world.json("/odi/v1/status").await["peers"][0]["passing_fault"].is_string();
    world.until(fault).await;
    assert_eq!(said().await, "newer");
}

#[tokio::test]
async fn what_another_directory_saw_is_a_reason_to_look_and_no_order() {
    let (_publisher, _origin, world, relay, passer) = beside_a_passer().await;
    let page = format!("/odi/relays/{}?json", relay.key.public_key().to_hex());
    let probes = || relay.asked().iter().filter(|target| target.ends_with("/big")).count();
    let before = probes();
    let audit = |key: &SigningKey, t| Audit {
        v: 1,
        by: key.public_key(),
        relay: relay.key.public_key(),
        t,
        url: format!("{}/@1-x/big", relay.url),
        cat: CatalogId::from_bytes([1; 32]),
        head: HeadId::from_bytes([1; 32]),
        blob: BlobId::of(b"right"),
        off: 0,
        len: 5,
        got: BlobId::of(b"wrong"),
        own: true,
        seen: vec![],
    };
    let stranger = SigningKey::from_seed(&[55; 32]);
    let said =
        [audit(&stranger, now(&world)), audit(&passer.key, Timestamp(5)), audit(&passer.key, now(&world))];
    let said = said.map(|audit| {
        let key = if audit.by == stranger.public_key() { &stranger } else { &passer.key };
        state(audit, key).unwrap()
    });
    passer.report(&said.each_ref().map(Vec::as_slice));
    world
        .until(async || world.json(&page).await["audits"][0]["by"] == passer.key.public_key().to_string())
        .await;
    // The clock stands still: no look would be due without it.
    world.until(async || probes() > before).await;
    world.until(async || world.json(&page).await["reason"].is_null()).await;
    let shown = world.json(&page).await;
    assert_eq!((&shown["state"], shown["audits"].as_array().unwrap().len()), (&"ready".into(), 1), "{shown}");
    assert!(world.sent("/world/big").await.1.starts_with(relay.url.as_str()));
    // It is passed on as it came.
    let passed = world.body("/odi/v1/relays/reports").await;
    assert!(split_passed(&passed).unwrap().contains(&said[2].as_slice()));
}
