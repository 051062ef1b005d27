//! What is counted of real requests, what is shown of it, that a restart loses none, and that no caller is anywhere.

use std::path::Path;
use std::time::Duration;

use odi_manifest::Clock as _;
use odi_wire::client::{Ask, Reply};
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::{Sent, state};
use serde_json::{Value, json};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// Asks as one of many callers, behind the proxy that the directory believes.
async fn asks(world: &World, caller: u8, path: &str, range: Option<&str>) -> Reply {
    let from = HeaderValue::from_str(&format!("203.0.113.{caller}")).unwrap();
    let mut ask = Ask::get(&world.at(path)).header("x-forwarded-for", from);
    if let Some(range) = range {
        ask = ask.header("range", HeaderValue::from_str(range).unwrap());
    }
    world.client.send(ask).await.unwrap()
}

async fn body_of(reply: Reply) -> String {
    String::from_utf8(reply.body.collect().await.unwrap().to_vec()).unwrap()
}

async fn lines(world: &World, of: &str) -> Vec<Value> {
    world.json(&format!("/odi/v1/statistics/{of}")).await["lines"].as_array().unwrap().clone()
}

async fn scene(publisher: &mut Publisher) -> (World, FakeRelay, odi_fixtures::ScriptedServer) {
    let big = large(1);
    let pin = publisher.publish(&[("pool/big", &big), ("small", b"1234567")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(21).await;
    relay.hold(&pin, &[("pool/big", &big), ("small", b"1234567")]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    (world, relay, origin)
}

#[tokio::test]
async fn downloads_count_once_show_in_tens_and_outlive_a_restart() {
    let mut publisher = Publisher::new();
    let (mut world, relay, _origin) = scene(&mut publisher).await;
    let size = large(1).len() as u64;
    let (key, id) = (relay.key.public_key().to_string(), publisher.id.to_string());
    for caller in 0..9 {
        assert_eq!(asks(&world, caller, "/world/pool/big", None).await.status, StatusCode::FOUND);
    }
    assert!(lines(&world, "total").await.is_empty(), "nine are too few to show");
    // Pieces of a download, looks, and what was just counted.
    for range in ["bytes=0-99", "bytes=100-199", "bytes=-5"] {
        asks(&world, 3, "/world/pool/big", Some(range)).await;
    }
    asks(&world, 77, "/world/pool/big", Some("bytes=100-")).await;
    asks(&world, 78, "/world/pool/big?explain", None).await;
    world.client.send(Ask::head(&world.at("/world/pool/big"))).await.unwrap();
    assert!(lines(&world, "total").await.is_empty());
    assert_eq!(asks(&world, 9, "/world/small", None).await.status, StatusCode::OK);
    asks(&world, 10, "/world/pool/big", None).await;

    let tally = json!({"downloads": 10, "bytes": 10 * size});
    let day = odi_directoryd::statistics::Day::of(world.clock.now()).to_string();
    assert_eq!(lines(&world, "total").await, [json!({"day": day, "redirected": tally})]);
    let of_catalog = json!({"day": day, "catalog": id, "name": "world", "redirected": tally});
    assert_eq!(lines(&world, "catalogs").await, [of_catalog]);
    assert_eq!(lines(&world, "relays").await, [json!({"day": day, "relay": key, "redirected": tally})]);
    let artifact = json!({"catalog": id, "name": "world", "path": "pool/big", "downloads": 10, "size": size});
    assert_eq!(lines(&world, "lately").await, [artifact]);
    assert_eq!(lines(&world, "artifacts").await[0]["day"], day);
    assert!(lines(&world, "countries").await.is_empty());

    // Nine more before a restart, and one behind it.
    for caller in 20..29 {
        asks(&world, caller, "/world/pool/big", None).await;
    }
    world.restart().await;
    assert_eq!(lines(&world, "total").await[0]["redirected"], tally, "still in steps");
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(lines(&world, "total").await[0]["day"], day, "yesterday is kept");
    assert_eq!(lines(&world, "relays").await[0]["redirected"], tally);
    assert_eq!(lines(&world, "artifacts").await[0]["downloads"], 10);
    assert_eq!(lines(&world, "total").await.len(), 1);
    assert!(world.json("/odi/v1/statistics/total?days=1").await["lines"].as_array().unwrap().is_empty());
    let csv = body_of(world.get("/odi/v1/statistics/catalogs?csv").await).await;
    let row = format!("{day},{id},world,,,,,,10,{},,,,,,\r\n", 10 * size);
    assert!(csv.ends_with(&row), "{csv}");
    for page in ["/", "/odi/catalogs/world"] {
        let page = body_of(asks(&world, 1, page, None).await).await;
        assert!(page.contains("<svg") && page.contains(&format!("{day}: 10 downloads")), "{page}");
    }
}

#[tokio::test]
async fn what_a_relay_says_is_shown_apart_and_moves_nobody_to_it() {
    let mut publisher = Publisher::new();
    let (world, mut relay, _origin) = scene(&mut publisher).await;
    let head = [publisher.newest().id()];
    let weight = async |relay: &FakeRelay| {
        let page = format!("/odi/relays/{}?json", relay.key.public_key().to_hex());
        world.json(&page).await["weight"].clone()
    };
    let before = weight(&relay).await;
    for (bodies, bytes) in [(7, 70), (19, 1_000_000_000_000)] {
        world.clock.advance(Duration::from_secs(1));
        let mut inventory = relay.inventory(&world, &publisher.id, &head);
        for said in &mut inventory.catalogs {
            said.sent = Some(Sent { since: odi_manifest::Timestamp(5), bodies, bytes });
        }
        let said = state(inventory, &relay.key).unwrap();
        assert_eq!(world.post("/odi/v1/relays/inventory", said).await.status, StatusCode::OK);
    }
    let line = lines(&world, "relays").await[0].clone();
    // A terabyte in a second is more than any relay has sent.
    assert_eq!(line["confirmed"], json!({"downloads": 12, "bytes": 12_500_000_000u64}));
    assert!(line["redirected"].is_null());
    assert_eq!(weight(&relay).await, before);
    let of_catalogs = lines(&world, "catalogs").await;
    assert_eq!(of_catalogs.len(), 1, "of what is followed here alone: {of_catalogs:?}");
}

#[tokio::test]
async fn a_damaged_file_costs_the_numbers_and_nothing_else() {
    let mut publisher = Publisher::new();
    let (mut world, _relay, _origin) = scene(&mut publisher).await;
    world.stop().await;
    let file = world.data_dir().join("data/statistics.redb");
    std::fs::write(&file, b"no database").unwrap();
    world.go_on().await;
    assert_eq!(world.body("/world/small").await, b"1234567");
    assert!(file.with_added_extension("damaged").exists());
}

#[tokio::test]
async fn no_callers_address_is_in_any_file() {
    let mut publisher = Publisher::new();
    let (mut world, _relay, _origin) = scene(&mut publisher).await;
    for caller in 0..30 {
        asks(&world, caller, "/world/pool/big", None).await;
        asks(&world, caller, "/world/small", None).await;
    }
    world.stop().await;
    let mut files = 0;
    look(&world.data_dir().join("data"), &mut |path, bytes| {
        files += 1;
        let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|piece| piece == wanted);
        assert!(!has(b"203.0.113") && !has(&[203, 0, 113]), "an address is in {}", path.display());
    });
    assert!(files > 5, "only {files} files were looked at");
}

fn look(folder: &Path, each: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { look(&path, each) } else { each(&path, &std::fs::read(&path).unwrap()) }
    }
}
