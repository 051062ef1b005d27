//! What a directory says of a head and a root of trust whose dates come near.

use std::fs::{self, File};
use std::sync::Arc;

use odi_manifest::Timestamp;
use odi_wire::http::StatusCode;
use serde_json::{Value, json};

use crate::publisher::Publisher;
use crate::world::{START, World};

const fn after(seconds: u64) -> Timestamp {
    Timestamp(START.0 + seconds)
}

impl World {
    /// What it says of its one catalog.
    async fn said(&self) -> Value {
        let catalog = self.json("/odi/v1/status").await["catalogs"][0].clone();
        let listed = self.json("/odi/v1/catalogs").await[0].clone();
        assert_eq!(catalog["stale"], listed["stale"], "two documents, one truth");
        json!([catalog["lifetime"], catalog["stale"]])
    }

    async fn is_measured(&self, name: &str) -> bool {
        let metrics = self.metrics().await;
        let sample = format!("odi_directory_catalog_{name}{{catalog=\"world\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).unwrap() == "1"
    }
}

#[tokio::test]
async fn a_head_is_good_then_ending_then_stale_until_the_next_one_and_served_all_the_while() {
    let mut publisher = Publisher::new();
    publisher.times = (START, after(9000));
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    for (at, lifetime, stale) in [
        (5999, "good", false),
        (6000, "ending", false),
        (8999, "ending", false),
        (9000, "ended", true),
        (90_000, "ended", true),
    ] {
        world.clock.set(after(at));
        assert_eq!(world.said().await, json!([lifetime, stale]), "{at}");
        assert_eq!(world.is_measured("ending").await, lifetime != "good", "{at}");
        assert_eq!(world.is_measured("stale").await, stale, "{at}");
        assert_eq!(world.get("/world/a").await.status, StatusCode::OK, "{at}");
    }
    publisher.times = (after(90_000), after(99_000));
    publisher.publish(&[("a", b"two")]);
    world.pull(&publisher.id, 2).await;
    assert_eq!(world.said().await, json!(["good", false]));
}

#[tokio::test]
async fn a_root_that_ends_makes_its_catalog_stale_as_well() {
    let ends = after(9000);
    let mut publisher = Publisher::under_a_root_until(ends);
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.json("/odi/v1/status").await["catalogs"][0]["root_expires"], ends.0);
    for (at, lifetime, stale) in [(5999, "good", false), (6000, "ending", false), (9000, "ended", true)] {
        world.clock.set(after(at));
        assert_eq!(world.said().await, json!([lifetime, stale]), "{at}");
        assert_eq!(world.is_measured("stale").await, stale, "{at}");
    }
    publisher.publish(&[("a", b"one"), ("b", b"two")]);
    world.post(&format!("/odi/v1/catalogs/{}/trigger", publisher.id), Vec::new()).await;
    let refused = async || world.json("/odi/v1/status").await["catalogs"][0]["fault"].is_string();
    world.until(refused).await;
    assert_eq!(world.adopted().await, Some(1), "nothing new is adopted under it");
    assert_eq!(world.get("/world/a").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_log_warns_once_of_what_ends() {
    let mut publisher = Publisher::under_a_root_until(after(12_000));
    publisher.times = (START, after(9000));
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    // Beside the data folder; all tasks of this test run on its thread.
    let log = world.data_dir().join("log");
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(File::create(&log).unwrap()));
    let _logging = tracing::subscriber::set_default(lines.finish());
    let told = |words: &str| fs::read_to_string(&log).unwrap().matches(words).count();
    for (at, words) in [
        (6000, "newest head ends soon"),
        (8000, "newest root of trust ends soon"),
        (9000, "newest head has expired"),
        (12_000, "newest root of trust has expired"),
    ] {
        assert_eq!(told(words), 0);
        world.clock.set(after(at));
        world.until(async || told(words) > 0).await;
    }
    assert_eq!([told("ends soon"), told("has expired"), told("good for long")], [2, 2, 0]);
    assert_eq!(told("WARN"), 4, "each as a warning");
}
