//! Clients are sent to what is near to them: by a database, by what relays' operators say, and by neither.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use odi_fixtures::ScriptedServer;
use odi_wire::client::{Ask, Reply};
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::RelayPlace;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::tiny_database::tiny_database;
use crate::world::World;

const ROWS: [(&str, &str, u32); 3] =
    [("203.0.0.0/16", "NO", 224), ("198.51.0.0/16", "DE", 680), ("2001:db8::/32", "NO", 224)];

struct Scene {
    world: World,
    norwegian: FakeRelay,
    german: FakeRelay,
    database: PathBuf,
    _publisher: Publisher,
    _origin: ScriptedServer,
    _folder: TempDir,
}

impl Scene {
    /// Relays in Norway and Germany, as their operators say, and a database that may not be there yet.
    async fn start(rows: Option<&[(&str, &str, u32)]>) -> Self {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("tiny.mmdb");
        if let Some(rows) = rows {
            fs::write(&database, tiny_database(rows)).unwrap();
        }
        let mut publisher = Publisher::new();
        let big = large(1);
        let pin = publisher.publish(&[("big", &big)]);
        let origin = publisher.serve().await;
        let settings = format!("geography = [{database:?}]");
        let world = World::start_with(&publisher.id, Some(&origin.url()), &settings).await;
        world.until_served(1).await;
        let (mut norwegian, mut german) = (FakeRelay::start(21).await, FakeRelay::start(22).await);
        let prefixes = vec!["192.0.2.0/24".parse().unwrap()];
        let in_country =
            |country: &str| RelayPlace { country: country.parse().ok(), ..RelayPlace::default() };
        norwegian.place = Some(RelayPlace { prefixes, ..in_country("NO") });
        german.place = Some(in_country("DE"));
        for relay in [&mut norwegian, &mut german] {
            relay.hold(&pin, &[("big", &big)]);
            relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
        }
        Self { world, norwegian, german, database, _publisher: publisher, _origin: origin, _folder: folder }
    }

    async fn asks(&self, from: &str, path: &str) -> Reply {
        let from = HeaderValue::from_str(from).unwrap();
        self.world.client.send(Ask::get(&self.world.at(path)).header("x-forwarded-for", from)).await.unwrap()
    }

    /// Which of the two somebody is sent to.
    async fn goes_to(&self, from: &str) -> &'static str {
        let reply = self.asks(from, "/world/big").await;
        assert_eq!(reply.status, StatusCode::FOUND);
        let to = reply.headers["location"].to_str().unwrap();
        let at = |relay: &FakeRelay| to.starts_with(&format!("{}/@", relay.url));
        assert!(at(&self.norwegian) || at(&self.german), "{to}");
        if at(&self.norwegian) { "NO" } else { "DE" }
    }

    async fn explained(&self, from: &str) -> Value {
        let reply = self.asks(from, "/world/big?explain&json").await;
        serde_json::from_slice(&reply.body.collect().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn clients_go_to_their_country_and_are_counted_there() {
    let scene = Scene::start(Some(&ROWS)).await;
    // Another network each time: one that comes again is sent to the next relay.
    for n in 0..12 {
        assert_eq!(scene.goes_to(&format!("203.0.{n}.7")).await, "NO");
        assert_eq!(scene.goes_to(&format!("198.51.{n}.7")).await, "DE");
        assert_eq!(scene.goes_to(&format!("2001:db8:{n}::1")).await, "NO");
    }
    let counted = scene.world.json("/odi/v1/statistics/countries").await["lines"].clone();
    let of = |country: &str| {
        let line = counted.as_array().unwrap().iter().find(|line| line["country"] == country).cloned();
        line.unwrap()["redirected"]["downloads"].clone()
    };
    assert_eq!((of("NO"), of("DE")), (json!(20), json!(10)), "in tens: {counted}");
}

#[tokio::test]
async fn whom_a_relay_is_there_for_comes_to_it_from_wherever_that_is() {
    let scene = Scene::start(Some(&[("192.0.2.0/24", "DE", 680)])).await;
    assert_eq!(scene.goes_to("192.0.2.7").await, "NO");
    let said = scene.explained("192.0.2.7").await;
    assert_eq!((&said["country"], &said["as"]), (&json!("DE"), &json!(680)));
    let near: Vec<&Value> = said["relays"].as_array().unwrap().iter().map(|relay| &relay["near"]).collect();
    assert_eq!(near, ["prefix", "country"]);
    let words = scene.asks("192.0.2.7", "/world/big?explain").await.body.collect().await.unwrap();
    let words = String::from_utf8(words.to_vec()).unwrap();
    for said in
        ["You come from 192.0.2.0/24 in DE, AS 680, over http.", "there for your network", "in your country"]
    {
        assert!(words.contains(said), "{said} in {words}");
    }
}

#[tokio::test]
async fn a_database_may_come_change_and_be_broken_while_the_directory_runs() {
    let scene = Scene::start(None).await;
    let said = scene.explained("203.0.113.7").await;
    assert_eq!(said["country"], Value::Null);
    assert_eq!(said["relays"].as_array().unwrap().len(), 2, "it works without");
    for (country, seen) in [("DE", "DE"), ("NO", "NO")] {
        fs::write(&scene.database, tiny_database(&[("203.0.113.0/24", country, 1)])).unwrap();
        // As large as the one before, and in the same second perhaps.
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + u64::from(country == "NO"));
        fs::File::options().append(true).open(&scene.database).unwrap().set_modified(later).unwrap();
        scene.world.reload(|_| {}).await;
        assert_eq!(scene.explained("203.0.113.7").await["country"], seen);
    }
    fs::write(&scene.database, b"half a file").unwrap();
    scene.world.reload(|_| {}).await;
    assert_eq!(scene.explained("203.0.113.7").await["country"], "NO", "what was read stays");
    scene.world.reload(|config| config.geography.clear()).await;
    assert_eq!(scene.explained("203.0.113.7").await["country"], Value::Null);
}

#[tokio::test]
async fn who_wants_one_family_gets_a_relay_that_was_seen_to_answer_over_it() {
    let scene = Scene::start(None).await;
    assert_eq!(scene.asks("203.0.113.7", "/world/big?ipv4").await.status, StatusCode::FOUND);
    assert_eq!(scene.asks("2001:db8::7", "/world/big").await.status, StatusCode::FOUND, "better than none");
    let reply = scene.asks("203.0.113.7", "/world/big?ipv6&explain&json").await;
    let said: Value = serde_json::from_slice(&reply.body.collect().await.unwrap()).unwrap();
    assert_eq!(said["relays"], json!([]), "both are at 127.0.0.1");
    assert!(said["passed_over"].as_array().unwrap().iter().all(|relay| relay["code"] == "other-family"));
}
