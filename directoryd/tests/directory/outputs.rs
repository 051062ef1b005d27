//! What is made from a catalog and the roster for tools: digests, metalinks, lists of mirrors, explanations.

use std::time::Duration;

use odi_fixtures::ScriptedServer;
use odi_manifest::{BlobId, CatalogId, Pin, Sha256};
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::state;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// The directory's own URL, as its configuration says.
const OWN: &str = "http://127.0.0.1:9999";

/// A catalog of one large file and what is around it, and two relays that hold all of it.
struct Scene {
    publisher: Publisher,
    pin: Pin,
    big: Vec<u8>,
    world: World,
    relays: [FakeRelay; 2],
    _origin: ScriptedServer,
}

impl Scene {
    async fn start() -> Self {
        let mut publisher = Publisher::new();
        let big = large(1);
        let artifacts: &[(&str, &[u8])] = &[
            ("pool/a+b.deb", &big),
            ("pool/a+b.deb.sha256", b"the catalog's own"),
            ("repodata/repomd.xml", b"<repomd/>"),
        ];
        let pin = publisher.publish(artifacts);
        let origin = publisher.serve().await;
        let world = World::start(&publisher.id, Some(&origin.url())).await;
        world.until_served(1).await;
        let mut relays = [FakeRelay::start(11).await, FakeRelay::start(12).await];
        for relay in &mut relays {
            relay.hold(
                &pin,
                &[
                    ("pool/a+b.deb", &big),
                    ("pool/a+b.deb.sha256", b"the catalog's own"),
                    ("repodata/repomd.xml", b"<repomd/>"),
                ],
            );
            relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
        }
        Self { publisher, pin, big, world, relays, _origin: origin }
    }

    async fn text(&self, path: &str) -> String {
        let reply = self.world.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.headers["cache-control"], "private, no-store", "{path}");
        String::from_utf8(reply.body.collect().await.unwrap().to_vec()).unwrap()
    }

    fn catalog(&self) -> CatalogId {
        self.publisher.id
    }

    /// What a list begins with, in either order, and the rest of it.
    fn of_relays<'a>(&self, list: &'a str, path: &str) -> Vec<&'a str> {
        let lines: Vec<&str> = list.lines().collect();
        let mut first: Vec<String> = lines.iter().take(2).map(|line| (*line).to_owned()).collect();
        let mut expected: Vec<String> =
            self.relays.iter().map(|relay| format!("{}{path}", relay.url)).collect();
        first.sort();
        expected.sort();
        assert_eq!(first, expected);
        lines.get(2..).unwrap().to_vec()
    }
}

#[tokio::test]
async fn digests_are_made_where_the_catalog_has_none() {
    let scene = Scene::start().await;
    let b3 = scene.text("/world/pool/a+b.deb.b3").await;
    assert_eq!(b3, format!("{}  a+b.deb\n", BlobId::of(&scene.big)));
    let sha256 = scene.text("/world/repodata/repomd.xml.sha256").await;
    assert_eq!(sha256, format!("{}  repomd.xml\n", Sha256::of(b"<repomd/>")));
    let own = scene.world.body("/world/pool/a+b.deb.sha256").await;
    assert_eq!(own, b"the catalog's own");
    // The digest of the catalog's own file of that name can be asked for, and there is none of what does not exist.
    let of_own = scene.text("/world/pool/a+b.deb.sha256.b3").await;
    assert_eq!(of_own, format!("{}  a+b.deb.sha256\n", BlobId::of(b"the catalog's own")));
    for path in ["/world/nothing.b3", "/world/pool.b3", "/world/pool/.b3", "/world/nothing/.mirrorlist"] {
        assert_eq!(scene.world.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let pinned = scene.text(&format!("/{}/pool/a+b.deb.b3", scene.pin)).await;
    assert_eq!(pinned, b3);
}

#[tokio::test]
async fn an_artifacts_mirrors_hold_it_and_the_directory_is_the_last() {
    let scene = Scene::start().await;
    let at_pin = format!("/{}/pool/a+b.deb", scene.pin);
    let own = format!("{OWN}/world/pool/a+b.deb");
    for path in ["/world/pool/a+b.deb?mirrorlist", "/world/pool/a+b.deb.mirrorlist"] {
        let list = scene.text(path).await;
        assert_eq!(scene.of_relays(&list, &at_pin), [own.as_str()], "{path}");
    }
    let json: Vec<serde_json::Value> =
        serde_json::from_str(&scene.text("/world/pool/a+b.deb?mirrorlist&json").await).unwrap();
    assert_eq!(json.len(), 3);
    assert_eq!(json[2]["url"], own);
    let avoided = scene.relays[0].key.public_key().to_hex();
    let list = scene.text(&format!("/world/pool/a+b.deb?mirrorlist&avoid={avoided}")).await;
    assert_eq!(list, format!("{}{at_pin}\n{own}\n", scene.relays[1].url));
    let list = scene.text(&format!("/world/pool/a+b.deb?mirrorlist&relay={avoided}")).await;
    assert_eq!(list, format!("{}{at_pin}\n{own}\n", scene.relays[0].url));

    let metalink = scene.text("/world/pool/a+b.deb.meta4").await;
    let sha256 = Sha256::of(&scene.big);
    for expected in [
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">".to_owned(),
        "<file name=\"a+b.deb\">".to_owned(),
        format!("<size>{}</size><hash type=\"sha-256\">{sha256}</hash>", scene.big.len()),
        format!("{}{at_pin}</url>", scene.relays[0].url),
        format!("{}{at_pin}</url>", scene.relays[1].url),
        format!("<url priority=\"3\">{own}</url>"),
    ] {
        assert!(metalink.contains(&expected), "{expected} in {metalink}");
    }
}

#[tokio::test]
async fn what_is_the_base_of_other_urls_lasts_and_names_only_whole_relays() {
    let mut scene = Scene::start().await;
    let at_id = format!("/{}/", scene.catalog());
    let own = format!("{OWN}/world/");
    for path in ["/world/?mirrorlist", "/world/.mirrorlist"] {
        let list = scene.text(path).await;
        assert_eq!(scene.of_relays(&list, &at_id), [own.as_str()], "{path}");
    }
    let list = scene.text("/world/pool/?mirrorlist=apt").await;
    assert_eq!(list.lines().last().unwrap(), format!("{own}pool/\tpriority:3"));
    let pinned = scene.text(&format!("/{}/?mirrorlist", scene.pin)).await;
    assert_eq!(scene.of_relays(&pinned, &format!("/{}/", scene.pin)), [format!("{OWN}/{}/", scene.pin)]);

    // dnf takes what comes before `repodata/repomd.xml` for the base of all packages, and keeps it.
    let metalink = scene.text("/world/repodata/repomd.xml.metalink").await;
    assert!(
        metalink.contains(&format!("<hash type=\"sha256\">{}</hash>", Sha256::of(b"<repomd/>"))),
        "{metalink}"
    );
    for relay in &scene.relays {
        assert!(metalink.contains(&format!("{}{at_id}repodata/repomd.xml</url>", relay.url)), "{metalink}");
    }

    // One that lacks anything answers for single files only.
    let mut inventory =
        scene.relays[0].inventory(&scene.world, &scene.publisher.id, &[scene.publisher.newest().id()]);
    let holding = inventory.catalogs.iter_mut().find(|holding| holding.cat == scene.publisher.id).unwrap();
    holding.minus = vec![BlobId::of(b"<repomd/>")];
    let envelope = state(inventory, &scene.relays[0].key).unwrap();
    assert_eq!(scene.world.post("/odi/v1/relays/inventory", envelope).await.status, StatusCode::OK);
    let list = scene.text("/world/?mirrorlist").await;
    assert_eq!(list, format!("{}{at_id}\n{own}\n", scene.relays[1].url));
}

#[tokio::test]
async fn a_metalink_of_what_changes_names_what_it_was() {
    let mut scene = Scene::start().await;
    scene.publisher.publish(&[("repodata/repomd.xml", b"<repomd>2</repomd>")]);
    scene.world.pull(&scene.publisher.id, 2).await;
    scene.world.clock.advance(Duration::from_secs(61));
    scene.world.until_served(2).await;
    let metalink = scene.text("/world/repodata/repomd.xml.metalink").await;
    let (newest, alternates) = metalink.split_once("<mm0:alternates>").unwrap();
    assert!(newest.contains(&Sha256::of(b"<repomd>2</repomd>").to_string()), "{metalink}");
    assert!(alternates.contains(&Sha256::of(b"<repomd/>").to_string()), "{metalink}");
}

#[tokio::test]
async fn an_explanation_says_what_happens_and_why_not_otherwise() {
    let scene = Scene::start().await;
    let path = "/world/pool/a+b.deb?explain&json";
    let said = scene.world.json(path).await;
    assert_eq!(said["status"], 302);
    assert_eq!(said["location"], said["relays"][0]["url"]);
    assert_eq!(said["relays"].as_array().unwrap().len(), 2);
    assert_eq!(said["sha256"], Sha256::of(&scene.big).to_string());
    let avoided = scene.relays[0].key.public_key().to_hex();
    let said = scene.world.json(&format!("{path}&avoid={avoided}")).await;
    assert_eq!(said["passed_over"][0]["code"], "avoided");
    assert_eq!(said["passed_over"][0]["relay"], scene.relays[0].key.public_key().to_string());

    let words = scene.text("/world/repodata/repomd.xml?explain").await;
    assert!(
        words.contains("The answer is 200: this directory carries files of at most 65536 bytes."),
        "{words}"
    );
    // Nobody has announced anything for longer than a lease.
    scene.world.clock.advance(Duration::from_secs(120));
    let words = scene.text("/world/pool/a+b.deb?explain").await;
    assert!(words.contains("it has not been heard of for a minute"), "{words}");
    assert!(words.contains("The answer is 302 to http://127.0.0.1"), "{words}");
    assert!(words.contains(": no relay holds it."), "{words}");
}

#[tokio::test]
async fn whoever_asks_again_at_once_is_sent_to_the_next_relay() {
    let scene = Scene::start().await;
    let path = "/world/pool/a+b.deb";
    let first = scene.world.sent(path).await.1;
    let explained = scene.world.json(&format!("{path}?explain&json")).await;
    assert_eq!(explained["location"], first.as_str(), "to be told moves nobody");
    let second = scene.world.sent(path).await.1;
    assert_ne!(second, first);
    assert_eq!(scene.world.sent(path).await.1, first, "there are two");
    scene.world.clock.advance(Duration::from_secs(50));
    assert_eq!(scene.world.sent(path).await.1, second, "still the same minute");
}

#[tokio::test]
async fn who_reads_links_is_told_of_the_other_relays_and_nobody_else() {
    let scene = Scene::start().await;
    let mut third = FakeRelay::start(13).await;
    third.hold(
        &scene.pin,
        &[
            ("pool/a+b.deb", &scene.big),
            ("pool/a+b.deb.sha256", b"the catalog's own"),
            ("repodata/repomd.xml", b"<repomd/>"),
        ],
    );
    third.join(&scene.world, &scene.publisher.id, &[scene.publisher.newest().id()]).await;
    let at_pin = format!("/{}/pool/a+b.deb", scene.pin);
    let url = scene.world.at("/world/pool/a+b.deb");
    let plain = scene.world.get("/world/pool/a+b.deb").await;
    assert!(!plain.headers.contains_key("link"));
    let wants = HeaderValue::from_static("SHA-512;q=1, SHA-256;q=1, SHA;q=0.1");
    let ask = Ask::get(&url).header("want-digest", wants);
    let told = scene.world.client.send(ask).await.unwrap();
    assert_eq!(told.status, StatusCode::FOUND);
    assert!(told.headers.contains_key("digest"), "without it a link means nothing");
    let links: Vec<&str> = told.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let location = told.headers["location"].to_str().unwrap();
    let relays = scene.relays.iter().chain([&third]).map(|relay| format!("{}{at_pin}", relay.url));
    let others: Vec<String> = relays.filter(|url| url != location).collect();
    let [a, b] = others.as_slice() else { panic!("{location} is none of them") };
    let in_order = |first: &str, second: &str| {
        [(first, 2), (second, 3)].map(|(url, at)| format!("<{url}>; rel=duplicate; pri={at}"))
    };
    assert!(links == in_order(a, b) || links == in_order(b, a), "{links:?}");
}
