//! The operator's denylist: what is on it is answered 451 by every name, dropped, and nobody is sent elsewhere for it; all else
//! goes on.

use std::sync::Arc;
use std::time::Duration;

use odi_directoryd::Reloaded;
use odi_fixtures::{DaemonProcess, ScriptedServer};
use odi_manifest::{BlobId, Pin, Sha256};
use odi_wire::client::Ask;
use odi_wire::denylist::Denylist;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::layout::LayoutPath;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

const REFUSED: StatusCode = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;

impl World {
    /// As a SIGHUP does after the operator has edited the list.
    async fn deny(&self, lines: &str) {
        let done = self.reload(|config| config.denied = Arc::new(Denylist::parse(lines).unwrap())).await;
        assert_eq!(done, Reloaded::default(), "a list is taken up at once, and changes nothing else");
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.get(path).await.status
    }

    /// The status by content, once it is known what the list means there.
    async fn known_by_content(&self, bytes: &[u8]) -> StatusCode {
        let path = by_content(bytes);
        self.until(async || self.status(&path).await != StatusCode::SERVICE_UNAVAILABLE).await;
        self.status(&path).await
    }
}

fn by_content(bytes: &[u8]) -> String {
    format!("/blake3/{}", BlobId::of(bytes))
}

/// A catalog of large and small files, a relay that holds all of it, and a mirror to which clients may be sent.
struct Scene {
    publisher: Publisher,
    pin: Pin,
    big: Vec<u8>,
    world: World,
    relay: FakeRelay,
    mirror: ScriptedServer,
    _origin: ScriptedServer,
}

impl Scene {
    async fn start() -> Self {
        let mut publisher = Publisher::new();
        let (big, good) = (large(1), large(2));
        let artifacts: &[(&str, &[u8])] = &[
            ("pool/big.deb", &big),
            ("copy/of-big.deb", &big),
            ("pool/good.deb", &good),
            ("secret/note", b"the secret note"),
            ("copy/of-note", b"the secret note"),
            ("small/bad", b"bad and small"),
            ("small/good", b"good and small"),
        ];
        let pin = publisher.publish(artifacts);
        let origin = publisher.serve().await;
        let mirror = publisher.serve().await;
        let named = format!("[[mirror]]\ncatalog = \"world\"\nurl = \"{}\"\nredirect = true\n", mirror.url());
        let world = World::start_with(&publisher.id, Some(&origin.url()), &named).await;
        world.until_served(1).await;
        let mut relay = FakeRelay::start(11).await;
        relay.hold(&pin, artifacts);
        relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
        Self { publisher, pin, big, world, relay, mirror, _origin: origin }
    }

    /// Every name that a path has here.
    fn names(&self, path: &str) -> Vec<String> {
        let at = [
            format!("/world/{path}"),
            format!("/{}/{path}", self.publisher.id),
            format!("/{}/{path}", self.pin),
            format!("/world@1/{path}"),
        ];
        let made = ["", ".meta4", ".metalink", ".mirrorlist", ".sha256", ".b3"];
        at.iter().flat_map(|at| made.iter().map(move |made| format!("{at}{made}"))).collect()
    }

    /// The same, and what queries ask of it.
    fn names_and_queries(&self, path: &str) -> Vec<String> {
        let asks = ["?mirrorlist", "?mirrorlist=apt", "?mirrorlist&json", "?origin", "?avoid=example.org"];
        let mut names = self.names(path);
        names.extend(asks.iter().map(|ask| format!("/world/{path}{ask}")));
        names.push(format!("/world/{path}?relay={}", self.relay.key.public_key().to_hex()));
        names
    }

    async fn assert_refused(&self, path: &str) {
        let url = self.world.at(path);
        for ask in [Ask::get(&url), Ask::head(&url)] {
            let reply = self.world.client.send(ask).await.unwrap();
            assert_eq!(reply.status, REFUSED, "{path}");
            assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
            for told in ["location", "link", "digest", "x-odi-relay", "etag"] {
                assert!(!reply.headers.contains_key(told), "{told} of {path}");
            }
        }
        assert_eq!(self.world.body(path).await, b"unavailable for legal reasons\n", "{path}");
    }

    /// That what nobody denies is as it was.
    async fn assert_others_go_on(&self) {
        let to_relay = format!("{}/{}/pool/good.deb", self.relay.url, self.pin);
        assert_eq!(self.world.sent("/world/pool/good.deb").await, (StatusCode::FOUND, to_relay));
        assert_eq!(self.world.body("/world/small/good").await, b"good and small");
        for path in self.names("small/good").into_iter().chain(self.names("pool/good.deb")) {
            let status = self.world.status(&path).await;
            assert!(matches!(status, StatusCode::OK | StatusCode::FOUND), "{status} for {path}");
        }
    }
}

#[tokio::test]
async fn what_the_operator_denies_is_451_by_every_name_until_the_line_goes() {
    let scene = Scene::start().await;
    let world = &scene.world;
    let denied = ["pool/big.deb", "copy/of-big.deb", "secret/note", "small/bad"];
    for path in denied.iter().flat_map(|path| scene.names_and_queries(path)) {
        let status = world.status(&path).await;
        assert!(matches!(status, StatusCode::OK | StatusCode::FOUND), "{status} for {path}");
    }
    let small = world.get("/world/small/bad").await;
    let etag = small.headers["etag"].clone();
    scene.assert_others_go_on().await;

    world
        .deny(&format!(
            "# two notices\nblake3:{}\n/world/secret/\nsha256:{}\n",
            BlobId::of(&scene.big),
            Sha256::of(b"bad and small")
        ))
        .await;
    for path in denied.iter().flat_map(|path| scene.names_and_queries(path)) {
        scene.assert_refused(&path).await;
    }
    scene.assert_refused("/world/secret/?mirrorlist").await;
    scene.assert_refused("/world/secret/.mirrorlist").await;
    scene.assert_others_go_on().await;
    assert_eq!(world.body("/world/copy/of-note").await, b"the secret note", "a path is not its content");
    // Who has it already is told no more than others.
    let ask = Ask::get(&world.at("/world/small/bad")).header("if-none-match", etag);
    assert_eq!(world.client.send(ask).await.unwrap().status, REFUSED);
    let blob = LayoutPath::Blob(BlobId::of(b"bad and small"));
    for bytes in [&scene.big[..], b"bad and small", b"the secret note"] {
        assert_eq!(world.known_by_content(bytes).await, REFUSED);
        scene.assert_refused(&by_content(bytes)).await;
    }
    assert_eq!(world.item(&scene.publisher.id, blob).await, REFUSED);
    assert_eq!(world.known_by_content(b"good and small").await, StatusCode::OK);

    world.deny("").await;
    for path in denied.iter().flat_map(|path| scene.names_and_queries(path)) {
        let status = world.status(&path).await;
        assert!(matches!(status, StatusCode::OK | StatusCode::FOUND), "{status} for {path}");
    }
    assert_eq!(world.body("/world/small/bad").await, b"bad and small", "it is fetched again");
    assert_eq!(world.status(&by_content(b"bad and small")).await, StatusCode::OK);
}

#[tokio::test]
async fn the_catalogs_facts_stay_whole_and_pages_say_that_it_is_not_given() {
    let scene = Scene::start().await;
    let (world, head) = (&scene.world, scene.publisher.newest().id());
    let api = format!("/odi/v1/catalogs/{}", scene.publisher.id);
    let facts = [
        format!("{api}/proof?path=pool%2Fbig.deb"),
        format!("{api}/{}", LayoutPath::Full(head)),
        format!("{api}/{}", LayoutPath::Node(scene.publisher.newest().tree)),
        "/world/pool/?json".to_owned(),
    ];
    let mut before = Vec::new();
    for path in &facts {
        before.push(world.body(path).await);
    }
    world.deny("/world/pool/big.deb\n").await;
    for (path, before) in facts.iter().zip(&before) {
        assert_eq!(world.status(path).await, StatusCode::OK, "{path}");
        assert_eq!(world.body(path).await, *before, "{path}");
    }
    let said = world.json("/world/pool/big.deb?explain&json").await;
    assert_eq!((&said["status"], said["relays"].as_array().unwrap().len()), (&451.into(), 0));
    assert!(said["location"].is_null() && said["passed_over"].as_array().unwrap().is_empty(), "{said}");
    let url = world.at("/world/pool/big.deb?explain");
    let page = Ask::get(&url).header("accept", HeaderValue::from_static("text/html"));
    let page = world.client.send(page).await.unwrap().body.collect().await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("It is not given here") && !page.contains("Download"), "{page}");
    assert!(!page.contains(scene.relay.url.as_str()), "{page}");
    let words = String::from_utf8(world.body("/world/pool/big.deb?explain").await).unwrap();
    assert!(words.contains("The answer is 451: unavailable for legal reasons."), "{words}");
    assert!(words.contains("this directory's operator denies it"), "{words}");
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_denied_when_that_is_explained() {
    let scene = Scene::start().await;
    scene.world.deny("/world/pool/big.deb\n").await;
    for form in ["?explain", "?explain&json", "?explain&json&ipv4"] {
        assert_eq!(scene.world.status(&format!("/world/pool/big.deb{form}")).await, StatusCode::OK);
    }
    // Looks are had in the order in which they were called for: once this one is over, the others would have begun.
    let good = "/world/pool/good.deb?explain&json";
    scene.world.until(async || scene.world.json(good).await["mirrors"][0]["code"] == "proved").await;
    let asked: Vec<String> = scene.mirror.seen().into_iter().map(|seen| seen.target).collect();
    assert!(asked.iter().any(|target| target == "/pool/good.deb"), "{asked:?}");
    let chunks = format!("/.odi/{}", LayoutPath::Chunks(BlobId::of(&scene.big)));
    assert!(!asked.iter().any(|target| *target == "/pool/big.deb" || *target == chunks), "{asked:?}");
}

#[tokio::test]
async fn what_is_denied_is_neither_kept_nor_fetched() {
    let mut scene = Scene::start().await;
    let note: &[u8] = b"the secret note";
    for path in ["/world/secret/note", "/world/small/bad", "/world/small/good"] {
        assert_eq!(scene.world.status(path).await, StatusCode::OK);
    }
    assert_eq!(scene.world.carried_bytes().await, 15 + 13 + 14);
    let list = format!("/world/secret/\nblake3:{}\n", BlobId::of(b"bad and small"));
    scene.world.deny(&list).await;
    scene.world.until(async || scene.world.carried_bytes().await == 14).await;
    assert_eq!(scene.world.known_by_content(note).await, REFUSED);

    // A later state has other content there, which is not even fetched; of the former one nobody forgets what it was.
    let newer: &[u8] = b"another secret note";
    scene.publisher.publish(&[("secret/note", newer), ("small/good", b"good and small")]);
    scene.world.pull(&scene.publisher.id, 2).await;
    scene.world.clock.advance(Duration::from_secs(61));
    scene.world.until_served(2).await;
    for bytes in [note, newer] {
        assert_eq!(scene.world.known_by_content(bytes).await, REFUSED);
    }
    assert_eq!(scene.world.status("/world/secret/note").await, REFUSED);
    assert_eq!(scene.world.carried_bytes().await, 14);
    scene.world.stop().await;
    let store = scene.world.store();
    for bytes in [note, newer, b"bad and small"] {
        assert!(!store.contains(&BlobId::of(bytes)), "still carried");
    }
    assert!(store.contains(&BlobId::of(b"good and small")));
}

#[tokio::test]
async fn what_no_state_names_any_more_is_not_given_by_content_either() {
    let mut scene = Scene::start().await;
    assert_eq!(scene.world.status("/world/small/good").await, StatusCode::OK);
    // As a state left it that has lapsed, at a path that nobody remembers.
    let left: &[u8] = b"what a lapsed state named";
    scene.world.stop().await;
    {
        let store = scene.world.store();
        store.ingest(&BlobId::of(left), left).unwrap();
        store.flush().unwrap();
    }
    scene.world.go_on().await;
    assert_eq!(scene.world.status(&by_content(left)).await, StatusCode::OK);
    scene.world.deny("/world/secret/note\n").await;
    let path = by_content(left);
    scene
        .world
        .until(async || match scene.world.status(&path).await {
            StatusCode::SERVICE_UNAVAILABLE => false,
            status => {
                assert_eq!(status, StatusCode::NOT_FOUND);
                true
            }
        })
        .await;
    assert_eq!(scene.world.known_by_content(b"good and small").await, StatusCode::OK);
}

#[tokio::test]
async fn a_real_hang_up_takes_the_list_beside_the_configuration_and_survives_a_bad_one() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"first"), ("b", b"second")]);
    let origin = publisher.serve().await;
    let settings = format!(
        "denylist = \"denied\"\n[[catalog]]\nname = \"world\"\nid = \"{}\"\norigin = \"{}\"\n",
        publisher.id,
        origin.url()
    );
    let mut daemon = DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &settings);
    let list = daemon.config().with_file_name("denied");
    std::fs::write(&list, "/world/a\n").unwrap();
    daemon.start().await;
    daemon.until(async || daemon.get("world/b").await.is_some()).await;
    assert_eq!(daemon.get("world/a").await, None);

    std::fs::write(&list, "/world/a\nworld/b\n").unwrap();
    daemon.hang_up();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
    check.args(["check", "--allow-private-addresses", "--config"]).arg(daemon.config());
    let said = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let words = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(78), "{words}");
    let wanted = format!("denylist {}, line 2: `world/b` is none of ", list.display());
    assert!(words.contains(&wanted), "{words}");
    assert_eq!((daemon.get("world/a").await, daemon.get("world/b").await), (None, Some(b"second".to_vec())));

    std::fs::write(&list, "/world/b\n").unwrap();
    daemon.hang_up();
    daemon.until(async || daemon.get("world/b").await.is_none()).await;
    assert_eq!(daemon.get("world/a").await.as_deref(), Some(&b"first"[..]));
}
