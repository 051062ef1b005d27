//! `[[mirror]]`: who knows nothing of ODI has what the catalog says, or does not.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use odi_fixtures::ScriptedServer;
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::{PUBLIC_URL, World};

fn settings(url: &str, redirect: bool) -> String {
    format!("[[mirror]]\ncatalog = \"world\"\nurl = \"{url}\"\nredirect = {redirect}\n")
}

#[tokio::test]
async fn clients_go_to_a_mirror_as_long_as_it_has_what_the_catalog_says() {
    let mut publisher = Publisher::new();
    let (big, other) = (large(1), large(2));
    publisher.publish(&[("folder/big", &big)]);
    let origin = publisher.serve().await;
    let mirrored = publisher.fork();
    let mirror = mirrored.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), &settings(&mirror.url(), true)).await;
    world.until_served(1).await;
    let (at_mirror, at_origin) =
        (format!("{}folder/big", mirror.url()), format!("{}folder/big", origin.url()));
    let sent = world.get("/world/folder/big").await;
    assert_eq!(sent.status, StatusCode::FOUND);
    assert_eq!(sent.headers["location"], at_mirror.as_str());
    assert_eq!(sent.headers["x-odi-reason"], "no relay holds it; this mirror was seen to");
    assert_eq!(world.sent("/world/folder/big?origin").await.1, at_origin, "who asks for the origin gets it");

    // It has other bytes now: nobody is sent there once the proof has run out.
    mirrored.tamper("/folder/big", &other);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.sent("/world/folder/big").await, (StatusCode::FOUND, at_origin.clone()));

    // The maintainers publish just that. It replaces what a URL meant, so that a mirror may be behind at any moment.
    publisher.publish(&[("folder/big", &other)]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.sent("/world/folder/big").await, (StatusCode::FOUND, at_origin));
}

#[tokio::test]
async fn a_mirror_gives_a_directory_small_files_and_gets_no_clients_unless_told() {
    let mut publisher = Publisher::new();
    let big = large(1);
    publisher.publish(&[("folder/big", &big), ("page", b"right")]);
    let origin = publisher.serve().await;
    let mirrored = publisher.fork();
    let mirror = mirrored.serve().await;
    publisher.tamper("/page", b"wrong");
    let world = World::start_with(&publisher.id, Some(&origin.url()), &settings(&mirror.url(), false)).await;
    world.until_served(1).await;
    assert_eq!(world.body("/world/page").await, b"right");
    let at_origin = format!("{}folder/big", origin.url());
    assert_eq!(world.sent("/world/folder/big").await, (StatusCode::FOUND, at_origin));
}

/// A catalog at one relay and two mirrors: one to which clients may be sent, one that is a source only.
struct Scene {
    publisher: Publisher,
    mirrored: Publisher,
    world: World,
    relay: FakeRelay,
    /// Where the artifact is.
    at_relay: String,
    at_mirror: String,
    at_source: String,
    /// The origin, the mirror, and the one that is a source only.
    servers: [ScriptedServer; 3],
}

impl Scene {
    async fn start() -> Self {
        let mut publisher = Publisher::new();
        let big = large(1);
        let artifacts: &[(&str, &[u8])] = &[("folder/big", &big), ("repodata/repomd.xml", b"<repomd/>")];
        let pin = publisher.publish(artifacts);
        let origin = publisher.serve().await;
        let mirrored = publisher.fork();
        let (mirror, source) = (mirrored.serve().await, publisher.serve().await);
        let named = settings(&mirror.url(), true) + &settings(&source.url(), false);
        let world = World::start_with(&publisher.id, Some(&origin.url()), &named).await;
        world.until_served(1).await;
        let mut relay = FakeRelay::start(41).await;
        relay.hold(&pin, artifacts);
        relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
        Self {
            at_relay: format!("{}/{pin}/folder/big", relay.url),
            at_mirror: format!("{}folder/big", mirror.url()),
            at_source: format!("{}folder/big", source.url()),
            publisher,
            mirrored,
            world,
            relay,
            servers: [origin, mirror, source],
        }
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.world.body(path).await).unwrap()
    }

    /// The artifact's list as lines.
    async fn list(&self, query: &str) -> Vec<String> {
        let list = self.text(&format!("/world/folder/big?mirrorlist{query}")).await;
        list.lines().map(str::to_owned).collect()
    }

    /// Waits until the artifact's list names the mirror, or does not.
    async fn until_listed(&self, named: bool) {
        self.world.until(async || self.list("").await.contains(&self.at_mirror) == named).await;
    }

    /// The code of each mirror in an explanation, by URL.
    async fn codes(&self, query: &str) -> BTreeMap<String, String> {
        let said = self.world.json(&format!("/world/folder/big?explain&json{query}")).await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mirrors = said["mirrors"].as_array().unwrap();
        mirrors.iter().map(|mirror| (text(&mirror["url"]), text(&mirror["code"]))).collect()
    }

    fn codes_are(&self, codes: &BTreeMap<String, String>, at_mirror: &str, at_source: &str) {
        assert_eq!(codes[&self.at_mirror], at_mirror);
        assert_eq!(codes[&self.at_source], at_source);
    }
}

#[tokio::test]
async fn lists_of_one_artifact_name_proved_mirrors_after_the_relays_and_lists_of_bases_none() {
    let mut scene = Scene::start().await;
    let own = format!("{PUBLIC_URL}/world/folder/big");
    assert_eq!(scene.list("").await, [scene.at_relay.as_str(), &own], "nobody has looked there yet");
    scene.until_listed(true).await;
    assert_eq!(scene.list("").await, [scene.at_relay.as_str(), &scene.at_mirror, &own]);
    let json: Vec<serde_json::Value> = serde_json::from_str(&scene.list("&json").await.concat()).unwrap();
    assert_eq!(json[1]["url"], scene.at_mirror.as_str());
    assert_eq!(json[1]["mirror"], true);
    assert!(json[0]["mirror"].is_null() && json[0]["relay"].is_string());
    assert!(json[2]["mirror"].is_null() && json[2]["relay"].is_null());
    let meta4 = scene.text("/world/folder/big.meta4").await;
    let urls = format!(
        "<url priority=\"1\">{}</url><url priority=\"2\">{}</url><url priority=\"3\">{own}</url>",
        scene.at_relay, scene.at_mirror
    );
    assert!(meta4.contains(&urls), "{meta4}");
    let metalink = scene.text("/world/folder/big.metalink").await;
    let url = format!("<url protocol=\"http\" type=\"http\" preference=\"99\">{}</url>", scene.at_mirror);
    assert!(metalink.contains(&url), "{metalink}");

    // These are bases of other URLs, or read as such.
    let base = scene.at_mirror.strip_suffix("folder/big").unwrap();
    for path in [
        "/world/folder/big?mirrorlist=apt",
        "/world/folder/big?mirrorlist=pacman",
        "/world/?mirrorlist",
        "/world/folder/.mirrorlist",
        "/world/repodata/repomd.xml.metalink",
    ] {
        let list = scene.text(path).await;
        assert!(list.contains(PUBLIC_URL) && !list.contains(base), "{path}: {list}");
    }

    // Other bytes now: whoever asks once the proof has run out is not told of it, and from then on it is known to lack them.
    scene.mirrored.tamper("/folder/big", &large(2));
    scene.world.clock.advance(Duration::from_secs(40));
    let heads = [scene.publisher.newest().id()];
    scene.relay.announce(&scene.world, &scene.publisher.id, &heads).await;
    assert_eq!(scene.list("").await.len(), 3, "still the same minute");
    scene.world.clock.advance(Duration::from_secs(21));
    scene.codes_are(&scene.codes("").await, "expired", "not-a-target");
    assert!(!scene.list("").await.contains(&scene.at_mirror));
    scene.world.until(async || scene.codes("").await[&scene.at_mirror] == "not-held").await;
    assert!(!scene.list("").await.contains(&scene.at_mirror));
}

#[tokio::test]
async fn an_explanation_and_the_pages_say_of_each_mirror_why_or_why_not() {
    let scene = Scene::start().await;
    scene.codes_are(&scene.codes("").await, "unproved", "not-a-target");
    // To be told so has had it looked at.
    scene.world.until(async || scene.codes("").await[&scene.at_mirror] == "proved").await;
    let words = scene.text("/world/folder/big?explain").await;
    let line = format!("  {}: a probe got this content there within the last minute\n", scene.at_mirror);
    assert!(words.contains(&line), "{words}");
    let authority = scene.at_mirror.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let avoid = format!("&avoid={authority}");
    scene.codes_are(&scene.codes(&avoid).await, "avoided", "not-a-target");
    assert!(!scene.list(&avoid).await.contains(&scene.at_mirror));
    scene.codes_are(&scene.codes("&https").await, "other-scheme", "not-a-target");
    let relay = scene.relay.key.public_key().to_hex();
    scene.codes_are(&scene.codes(&format!("&relay={relay}")).await, "not-asked-for", "not-a-target");
    assert_eq!(scene.list(&format!("&relay={relay}")).await.len(), 2);
    // A look over another family is another look, and there is nobody over that one.
    scene.world.until(async || scene.codes("&ipv6").await[&scene.at_mirror] == "other-family").await;
    scene.world.until(async || scene.codes("&ipv4").await[&scene.at_mirror] == "proved").await;

    let html = HeaderValue::from_static("text/html");
    let ask = Ask::get(&scene.world.at("/world/folder/big?explain")).header("accept", html);
    let page = scene.world.client.send(ask).await.unwrap().body.collect().await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("<h2>Mirrors</h2>") && page.contains(&scene.at_mirror), "{page}");
    let catalog = scene.world.json("/odi/catalogs/world?json").await;
    let of = |redirect: bool| {
        let mirrors = catalog["mirrors"].as_array().unwrap();
        mirrors.iter().find(|mirror| mirror["redirect"] == redirect).unwrap()
    };
    assert!(scene.at_mirror.starts_with(of(true)["url"].as_str().unwrap()));
    assert!(of(true)["matched"].is_u64() && of(false)["matched"].is_null());
}

#[tokio::test]
async fn a_mirror_is_named_for_nothing_that_was_replaced() {
    let mut scene = Scene::start().await;
    scene.until_listed(true).await;
    let other = large(2);
    scene.publisher.publish(&[("folder/big", &other)]);
    scene.world.pull(&scene.publisher.id, 2).await;
    scene.codes_are(&scene.codes("").await, "replaced", "not-a-target");
    assert!(!scene.list("").await.contains(&scene.at_mirror), "the proof was of the former head");
}

#[tokio::test]
async fn where_no_relay_has_it_a_list_waits_for_looks_and_spared_mirrors_get_nobody() {
    let scene = Scene::start().await;
    let own = format!("{PUBLIC_URL}/world/folder/big");
    let relay = scene.relay.key.public_key().to_hex();
    let without = format!("&avoid={relay}");
    let lists = join_all((0..16).map(|_| scene.list(&without))).await;
    for list in lists {
        assert_eq!(list, [scene.at_mirror.as_str(), &own], "the first answer has it");
    }
    let [_, mirror, source] = &scene.servers;
    let looks =
        |server: &ScriptedServer| server.seen().iter().filter(|seen| seen.target == "/folder/big").count();
    assert_eq!((looks(mirror), looks(source)), (1, 0), "one look for all of them");
    let sent = scene.world.sent(&format!("/world/folder/big?avoid={relay}")).await;
    assert_eq!(sent, (StatusCode::FOUND, scene.at_mirror.clone()));
    let authority = scene.at_mirror.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let (_, sent) = scene.world.sent(&format!("/world/folder/big?avoid={relay}&avoid={authority}")).await;
    assert!(!sent.is_empty() && sent != scene.at_mirror, "{sent}");
}

#[tokio::test]
async fn who_reads_links_is_told_of_proved_mirrors_where_relays_are_too_few() {
    let scene = Scene::start().await;
    let ask = || {
        let wants = HeaderValue::from_static("SHA-512;q=1, SHA-256;q=1, SHA;q=0.1");
        Ask::get(&scene.world.at("/world/folder/big")).header("want-digest", wants)
    };
    scene.until_listed(true).await;
    let told = scene.world.client.send(ask()).await.unwrap();
    assert_eq!(told.headers["location"], scene.at_relay.as_str());
    let links: Vec<&str> = told.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(links, [format!("<{}>; rel=duplicate; pri=2", scene.at_mirror)]);
    let plain = scene.world.get("/world/folder/big").await;
    assert!(!plain.headers.contains_key("link"), "to all others they are bytes that nobody reads");
}
