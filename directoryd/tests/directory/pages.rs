//! The pages for people, and the same as documents: what they name, how they are answered, and what they never carry.

use odi_fixtures::ScriptedServer;
use odi_manifest::{Pin, Sha256};
use odi_wire::client::Ask;
use odi_wire::http::header::HeaderMap;
use odi_wire::http::{HeaderValue, StatusCode};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const HOSTILE: &str = "<script>alert(\"R&D\")</script>";

struct Scene {
    publisher: Publisher,
    pin: Pin,
    world: World,
    relay: FakeRelay,
    _origin: ScriptedServer,
}

impl Scene {
    /// A catalog of two states, and a relay that has come as far as the first.
    async fn start() -> Self {
        let mut publisher = Publisher::new();
        publisher.title = Some(HOSTILE.to_owned());
        let settings = format!("[[client]]\nname = \"apt\"\ntext = '''deb {{url}} stable {HOSTILE}'''\n");
        let big = large(1);
        let first: &[(&str, &[u8])] = &[("odi-catalog.toml", settings.as_bytes()), ("pool/a&b.deb", &big)];
        let pin = publisher.publish(first);
        let origin = publisher.serve().await;
        let world = World::start(&publisher.id, Some(&origin.url())).await;
        world.until_served(1).await;
        world.until(async || world.json("/odi/v1/catalogs").await[0]["clients"].is_array()).await;
        let mut relay = FakeRelay::start(11).await;
        relay.hold(&pin, &[("odi-catalog.toml", settings.as_bytes()), ("pool/a&b.deb", &big)]);
        relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
        Self { publisher, pin, world, relay, _origin: origin }
    }

    fn relay_page(&self) -> String {
        format!("/odi/relays/{}", self.relay.key.public_key().to_hex())
    }

    /// What a browser gets there.
    async fn browsed(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        let ask = Ask::get(&self.world.at(path)).header("accept", HeaderValue::from_static(BROWSER));
        let reply = self.world.client.send(ask).await.unwrap();
        let body = reply.body.collect().await.unwrap();
        (reply.status, reply.headers, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn every_page_names_what_it_should_and_carries_no_script() {
    let scene = Scene::start().await;
    let (id, host) = (scene.publisher.id, scene.relay.url.to_string());
    let host = host.strip_prefix("http://").unwrap();
    let (key, sha256) = (scene.relay.key.public_key(), Sha256::of(&large(1)));
    let (pin, relay_page) = (scene.pin.to_string(), scene.relay_page());
    let (id, key, sha256) = (id.to_string(), key.to_string(), sha256.to_string());
    for (path, named) in [
        ("/", vec!["href=\"/odi/catalogs/world\"", "&lt;script&gt;", host, relay_page.as_str()]),
        (
            "/odi/catalogs/world",
            vec![id.as_str(), "deb http://127.0.0.1:9999/world/ stable &lt;", "href=\"/world/\"", host, &pin],
        ),
        (&format!("/odi/catalogs/{id}"), vec![id.as_str(), "href=\"/world/\""]),
        ("/odi/catalogs/odi-selftest", vec!["What a directory tests new relays with"]),
        (
            &scene.relay_page(),
            vec![host, &key, "href=\"/odi/catalogs/world\"", "Yes. Of what all relays hold"],
        ),
        (
            "/world/pool/a&b.deb?explain",
            vec![&sha256, "/proof?path=pool/a%26b.deb&amp;head=", relay_page.as_str(), ".meta4"],
        ),
        ("/world/pool/", vec!["href=\"./a%26b.deb?explain\"", "href=\"/odi/catalogs/world\""]),
    ] {
        let (status, headers, html) = scene.browsed(path).await;
        assert_eq!(
            (status, headers["content-type"].as_bytes()),
            (StatusCode::OK, &b"text/html; charset=utf-8"[..]),
            "{path}"
        );
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script"), "{path}: {policy}");
        assert_eq!(
            (&headers["vary"], &headers["x-content-type-options"]),
            (&"accept".parse().unwrap(), &"nosniff".parse().unwrap()),
            "{path}"
        );
        assert!(!html.contains("<script") && !html.contains("\"R&D\""), "{path}: {html}");
        for text in named {
            assert!(html.contains(text), "{path}: {text} in {html}");
        }
    }
}

#[tokio::test]
async fn the_same_comes_as_json_to_those_who_ask() {
    let scene = Scene::start().await;
    let world = &scene.world;
    let front = world.json("/?json").await;
    assert_eq!(front["catalogs"][0]["title"], HOSTILE);
    assert_eq!(front["catalogs"][0]["reach"], serde_json::json!({"relays": 1, "full": 1, "copies": 65_536}));
    assert_eq!((&front["relays"][0]["weight"], &front["counts"]["ready"]), (&front["weights"], &1.into()));
    let catalog = world.json("/odi/catalogs/world?json").await;
    assert_eq!((&catalog["lifetime"], &catalog["followers"]), (&"good".into(), &1.into()));
    assert_eq!((&catalog["holders"][0]["seq"], &catalog["holders"][0]["full"]), (&1.into(), &1.into()));
    let relay = world.json(&format!("{}?json", scene.relay_page())).await;
    assert_eq!((&relay["state"], &relay["step"]["name"]), (&"ready".into(), &"ready".into()));
    let held = |at: usize| relay["catalogs"][at]["name"].clone();
    assert_eq!((held(0), held(1)), ("world".into(), "odi-selftest".into()), "whatever their ids are");
    let ask = Ask::get(&world.at("/")).header("accept", HeaderValue::from_static("application/json"));
    assert_eq!(world.client.send(ask).await.unwrap().headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_head_spreads_before_everybodys_eyes() {
    let mut scene = Scene::start().await;
    scene.publisher.publish(&[("pool/a&b.deb", &large(2))]);
    scene.world.pull(&scene.publisher.id, 2).await;
    let heads = scene.world.json("/odi/catalogs/world?json").await["heads"].clone();
    let line = |at: usize, key: &str| heads[at][key].clone();
    assert_eq!((line(0, "seq"), line(0, "state"), line(0, "relays")), (2.into(), "waiting".into(), 0.into()));
    assert_eq!((line(1, "seq"), line(1, "state"), line(1, "full")), (1.into(), "served".into(), 1.into()));
    assert!(line(0, "served").is_null() && line(1, "served").is_u64() && line(1, "superseded").is_null());

    let both = [scene.publisher.newest().id(), odi_manifest::HeadId::of(b"one that nobody knows")];
    scene.relay.announce(&scene.world, &scene.publisher.id, &both).await;
    scene.world.until_served(2).await;
    let page = scene.world.json("/odi/catalogs/world?json").await;
    assert_eq!((&page["heads"][0]["state"], &page["heads"][0]["full"]), (&"served".into(), &1.into()));
    assert_eq!(page["heads"][0]["served"], page["heads"][1]["superseded"]);

    // Nobody has announced anything for longer than a lease.
    scene.world.clock.advance(std::time::Duration::from_secs(120));
    assert_eq!(scene.world.json("/odi/catalogs/world?json").await["followers"], 0);
    let relay = scene.world.json(&format!("{}?json", scene.relay_page())).await;
    assert_eq!((&relay["shut_out"]["code"], &relay["weight"]), (&"silent".into(), &0.into()));
}

#[tokio::test]
async fn what_is_not_known_has_no_page_and_programs_get_text() {
    let scene = Scene::start().await;
    for path in [
        "/odi/catalogs/elsewhere".to_owned(),
        format!("/odi/relays/{}", "ab".repeat(32)),
        "/odi/catalogs".to_owned(),
    ] {
        assert_eq!(scene.browsed(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let explained = scene.world.get("/world/pool/a&b.deb?explain").await;
    assert_eq!(explained.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        scene.world.get("/world/pool/a&b.deb?explain&json").await.headers["content-type"],
        "application/json"
    );
}
