//! What a catalog's `odi-catalog.toml` changes at a directory, and that a broken one changes nothing.

use odi_fixtures::{Script, ScriptedServer};
use odi_wire::http::StatusCode;

use crate::publisher::Publisher;
use crate::world::World;

#[tokio::test]
async fn a_folder_shows_the_page_that_its_catalog_names() {
    let mut publisher = Publisher::new();
    publisher.publish(&[
        ("odi-catalog.toml", b"index = [\"home.html\"]\nindex_without_slash = [\"home.json\"]"),
        ("simple/home.html", b"<p>packages</p>"),
        ("simple/home.json", b"{}"),
        ("other/index.html", b"<p>no index here</p>"),
    ]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    world.until(async || world.body("/world/simple/").await == b"<p>packages</p>").await;
    let page = world.get("/world/simple/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox"), "{policy}");
    assert!(String::from_utf8(world.body("/world/other/").await).unwrap().contains("Index of world/other/"));
    assert_eq!(world.body("/world/simple").await, b"{}");
    assert_eq!(world.get("/world/other").await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn media_types_pull_urls_and_instructions_are_taken_from_the_catalog() {
    let mut publisher = Publisher::new();
    let depot = ScriptedServer::start(|seen| match seen.target.as_str() {
        "/d/pool/a.odd" => Script::respond(seen, b"from the depot"),
        _ => Script::absent(),
    })
    .await
    .unwrap();
    let settings = format!(
        "[[media]]\npaths = \"*.odd\"\ntype = \"text/html\"\n[[pull]]\npaths = \"pool/*\"\nfrom = [\"{}/d\"]\n\
         [[client]]\nname = \"apt\"\ntext = \"deb {{url}} stable main\"\n",
        depot.url().trim_end_matches('/')
    );
    publisher.publish(&[("odi-catalog.toml", settings.as_bytes()), ("pool/a.odd", b"from the depot")]);
    publisher.tamper("/pool/a.odd", b"something else");
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    world.until(async || world.json("/odi/v1/catalogs").await[0]["clients"].is_array()).await;
    assert_eq!(
        world.json("/odi/v1/catalogs").await[0]["clients"][0],
        serde_json::json!({"name": "apt", "text": "deb http://127.0.0.1:9999/world/ stable main"})
    );
    let got = world.get("/world/pool/a.odd").await;
    assert_eq!(got.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(world.body("/world/pool/a.odd").await, b"from the depot");
}

#[tokio::test]
async fn replaced_states_stay_for_as_long_as_the_catalog_wishes() {
    let mut publisher = Publisher::new();
    let pin = publisher.publish(&[("odi-catalog.toml", b"[retention]\nkeep_hours = 5"), ("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let at_pin = format!("/{pin}/a");
    assert_eq!(world.body(&at_pin).await, b"one");
    publisher.publish(&[("odi-catalog.toml", b"[retention]\nkeep_hours = 5"), ("a", b"two")]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    world.clock.advance(std::time::Duration::from_secs(4 * 3600));
    publisher.publish(&[("odi-catalog.toml", b"[retention]\nkeep_hours = 5"), ("a", b"three")]);
    world.pull(&publisher.id, 3).await;
    world.until_served(3).await;
    assert_eq!(world.get(&at_pin).await.status, StatusCode::OK);
    world.clock.advance(std::time::Duration::from_secs(2 * 3600));
    world.until(async || world.get(&at_pin).await.status == StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn settings_that_cannot_be_read_leave_the_former_ones_and_are_told() {
    let mut publisher = Publisher::new();
    let page: (&str, &[u8]) = ("simple/home.html", b"<p>packages</p>");
    publisher.publish(&[("odi-catalog.toml", b"index = [\"home.html\"]"), page]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    world.until(async || world.body("/world/simple/").await == page.1).await;
    publisher.publish(&[("odi-catalog.toml", b"index = [\"home.html\"]\nindx = 1"), page]);
    world.pull(&publisher.id, 2).await;
    let fault = async || world.json("/odi/v1/status").await["catalogs"][0]["settings_fault"].clone();
    world.until(async || fault().await.is_string()).await;
    assert_eq!(fault().await, "odi-catalog.toml: line 2, key `indx`: there is no such key");
    assert_eq!(world.body("/world/simple/").await, page.1);
    assert_eq!(world.adopted().await, Some(2));
}
