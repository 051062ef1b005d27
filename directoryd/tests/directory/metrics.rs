//! The admin listener: what a collector and a supervisor read there.

use std::collections::BTreeSet;

use odi_manifest::CatalogId;
use odi_wire::client::{Ask, Reply};
use odi_wire::http::StatusCode;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

const PAGE: &str = include_str!("../../../docs/metrics.md");

impl World {
    async fn admin(&self, path: &str) -> Reply {
        let addr = self.directory.as_ref().unwrap().admin_addr().unwrap();
        self.client.send(Ask::get(&format!("http://{addr}{path}").parse().unwrap())).await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(self.admin("/metrics").await.body.collect().await.unwrap().to_vec()).unwrap()
    }
}

#[tokio::test]
async fn the_numbers_are_those_of_the_status() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big), ("small", b"1234567")]);
    let origin = publisher.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), "carry = \"5 MB\"").await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(21).await;
    relay.hold(&pin, &[("big", &big), ("small", b"1234567")]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    let carried = world.carried_bytes().await;
    world.sent("/world/big").await;

    let reply = world.admin("/metrics").await;
    assert_eq!(reply.status, StatusCode::OK);
    let media = reply.headers["content-type"].to_str().unwrap().to_owned();
    assert!(media.starts_with("application/openmetrics-text; version=1.0.0"), "{media}");
    let shown = world.metrics().await;
    for sample in [
        "odi_directory_ready 1".to_owned(),
        "odi_directory_relays{state=\"ready\"} 1".to_owned(),
        "odi_directory_relays{state=\"unproven\"} 0".to_owned(),
        "odi_directory_catalog_seq{catalog=\"world\"} 1".to_owned(),
        format!("odi_directory_carried_bytes {carried}"),
        "odi_directory_downloads_total{how=\"redirected\"} 1".to_owned(),
        format!("odi_directory_downloaded_bytes_total{{how=\"redirected\"}} {}", big.len()),
        "odi_directory_carry_budget_bytes 5000000".to_owned(),
    ] {
        assert!(shown.lines().any(|line| line == sample), "{sample}:\n{shown}");
    }
    let connections = shown.lines().find_map(|line| line.strip_prefix("odi_directory_connections "));
    assert!(connections.unwrap().parse::<u32>().unwrap() > 0, "{shown}");
    assert!(shown.ends_with("# EOF\n"), "{shown}");
    assert!(!shown.contains("127.0.0.1"), "an address: {shown}");
}

#[tokio::test]
async fn every_metric_is_on_the_page_and_everything_there_is_measured() {
    let world = World::start(&CatalogId::of(b"nothing yet"), None).await;
    let shown = world.metrics().await;
    let measured: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let named: BTreeSet<&str> = PAGE
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|name| name.split('{').next())
        .map(|name| name.strip_suffix("_total").unwrap_or(name))
        .filter(|name| name.starts_with("odi_directory_"))
        .collect();
    assert_eq!(measured, named);
}

#[tokio::test]
async fn it_lives_before_it_is_ready() {
    let world = World::start(&CatalogId::of(b"nothing yet"), None).await;
    assert_eq!(world.admin("/healthz").await.status, StatusCode::OK);
    let waiting = world.admin("/readyz").await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    let words = waiting.body.collect().await.unwrap();
    assert_eq!(words, "catalog world has no state yet\n");
    assert_eq!(
        world.admin("/odi/v1/status").await.status,
        StatusCode::NOT_FOUND,
        "the public space is elsewhere"
    );
}
