//! `[[mirror]]`: who knows nothing of ODI has what the catalog says, or does not.

use std::time::Duration;

use odi_wire::http::StatusCode;

use crate::publisher::{Publisher, large};
use crate::world::World;

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
