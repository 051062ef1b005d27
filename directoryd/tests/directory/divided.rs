//! Two directories that were given different heads of one number, and one that keeps newer heads back. Each scenario prints
//! how long its detection took.

use std::time::{Duration, Instant};

use odi_manifest::{Clock as _, Equivocation};
use odi_wire::http::StatusCode;
use odi_wire::layout::LayoutPath;
use serde_json::Value;

use crate::publisher::Publisher;
use crate::witnessing::two_at;
use crate::world::{PUBLIC_URL, World};

impl World {
    async fn equivocations(&self) -> Value {
        self.json("/odi/v1/status").await["catalogs"][0]["equivocations"].clone()
    }

    /// What the first peer shows that is not as here.
    async fn differs(&self) -> Value {
        self.json("/odi/v1/status").await["peers"][0]["differs"][0].clone()
    }

    async fn page(&self, path: &str) -> String {
        String::from_utf8(self.body(path).await).unwrap()
    }

    async fn pull_head(&self, publisher: &Publisher) {
        self.pull(&publisher.id, publisher.newest().seq).await;
    }
}

#[tokio::test]
async fn two_heads_for_one_number_are_proven_everywhere_and_downloads_go_on() {
    let mut ours = Publisher::witnessed_by(&[21, 22], 1);
    ours.publish(&[("a", b"one")]);
    let mut theirs = ours.fork();
    let origins = [ours.serve().await, theirs.serve().await];
    let [mut first, mut second] = two_at(&ours, [Some(&origins[0].url()), Some(&origins[1].url())]).await;
    for world in [&first, &second] {
        world.until_served(1).await;
    }

    // A thief of the release key signs another second head, and shows it to one directory alone, while the two cannot hear
    // each other.
    ours.publish(&[("a", b"two of ours")]);
    theirs.publish(&[("a", b"two of theirs")]);
    let (mine, other) = (ours.newest().id(), theirs.newest().id());
    second.stop().await;
    first.pull_head(&ours).await;
    first.stop().await;
    second.go_on().await;
    second.pull_head(&theirs).await;
    let given = Instant::now();
    first.go_on().await;
    for world in [&first, &second] {
        world.until(async || world.equivocations().await[0]["seq"] == 2).await;
    }
    odi_fixtures::tell!(
        "two heads for one number: proven at both directories {} ms after they met",
        given.elapsed().as_millis()
    );

    let mut pair = [mine, other];
    pair.sort();
    let [first_id, second_id] = pair;
    let item = LayoutPath::Equivocation { first: first_id, second: second_id };
    for world in [&first, &second] {
        let proof = world.body(&format!("/odi/v1/catalogs/{}/{item}", ours.id)).await;
        assert_eq!(Equivocation::decode(&proof).unwrap().verify(ours.id).unwrap(), 2, "anybody can check it");
        let page = world.page("/odi/catalogs/world").await;
        assert!(page.contains("signed two different heads with the number"), "{page}");
        assert!(page.contains(&item.to_string()), "{page}");
        let metrics = world.metrics().await;
        assert!(metrics.contains("odi_directory_catalog_equivocations{catalog=\"world\"} 1"), "{metrics}");
        world.until(async || world.differs().await["kind"] == "divided").await;
        world.clock.advance(Duration::from_secs(61));
        world.until_served(2).await;
    }
    // Each goes on with the one that it holds.
    assert_eq!(first.body(&first.sent("/world/a").await.1.replace(PUBLIC_URL, "")).await, b"two of ours");
    assert_eq!(second.body(&second.sent("/world/a").await.1.replace(PUBLIC_URL, "")).await, b"two of theirs");
    assert_eq!(first.json("/odi/v1/status").await["catalogs"][0]["adopted"]["head"], mine.to_string());
    assert_eq!(second.json("/odi/v1/status").await["catalogs"][0]["adopted"]["head"], other.to_string());

    // Its maintainers void the other head with their next one, which its holders then follow.
    ours.void(other);
    ours.publish(&[("a", b"three")]);
    first.pull_head(&ours).await;
    second.until(async || second.adopted().await == Some(3)).await;
    second.until(async || second.differs().await.is_null() && first.differs().await.is_null()).await;
    assert_eq!(second.equivocations().await[0]["seq"], 2, "the proof stays");
}

#[tokio::test]
async fn the_proof_is_there_after_a_restart_and_reaches_who_holds_neither_head() {
    let mut ours = Publisher::new();
    ours.publish(&[("a", b"one")]);
    let mut theirs = ours.fork();
    let origin = ours.serve().await;
    let mut world = World::start(&ours.id, Some(&origin.url())).await;
    world.until_served(1).await;
    ours.publish(&[("a", b"two of ours")]);
    world.pull_head(&ours).await;
    theirs.publish(&[("a", b"two of theirs")]);
    let push = theirs.push_of_newest();
    let refused = world.post(&format!("/odi/v1/catalogs/{}/push", ours.id), push).await;
    assert!(!refused.status.is_success(), "{}", refused.status);
    ours.put(LayoutPath::Head, theirs.newest().encode());
    world.post(&format!("/odi/v1/catalogs/{}/trigger", ours.id), Vec::new()).await;
    world.until(async || world.equivocations().await[0]["seq"] == 2).await;
    world.restart().await;
    assert_eq!(world.equivocations().await[0]["seq"], 2);

    let peer = format!("[[peer]]\nurl = \"{}\"\n", world.url);
    let newcomer = World::start_with(&ours.id, None, &peer).await;
    newcomer.until(async || newcomer.equivocations().await[0]["seq"] == 2).await;
}

#[tokio::test]
async fn a_directory_that_keeps_newer_heads_back_is_shown_to_be_behind() {
    let mut publisher = Publisher::new();
    let origin = publisher.serve().await;
    // It was given the first head and hears nobody: whoever asks it alone is shown that one for ever.
    let frozen = World::start(&publisher.id, None).await;
    let push = publisher.push_of_first(&[("a", b"one")], &origin.url());
    assert!(frozen.post(&format!("/odi/v1/catalogs/{}/push", publisher.id), push).await.status.is_success());
    let first_head = publisher.newest().encode();
    publisher.put(LayoutPath::Head, first_head);
    let peer = format!("[[peer]]\nurl = \"{}\"\n", frozen.url);
    let honest = World::start_with(&publisher.id, Some(&origin.url()), &peer).await;
    honest.until_served(1).await;
    honest.until(async || honest.json("/odi/v1/status").await["peers"][0]["heard"].is_u64()).await;
    assert!(honest.differs().await.is_null());

    honest.clock.advance(Duration::from_secs(100));
    let since = honest.clock.now();
    frozen.until(async || frozen.body("/world/a").await == b"one").await;
    publisher.publish(&[("a", b"two")]);
    let published = Instant::now();
    honest.pull_head(&publisher).await;
    honest.until(async || honest.differs().await["kind"] == "behind").await;
    odi_fixtures::tell!(
        "a directory that withholds heads: shown to be behind {} ms after the publish",
        published.elapsed().as_millis()
    );
    let differs = honest.differs().await;
    assert_eq!(
        [&differs["seq"], &differs["here"], &differs["since"]],
        [1, 2, since.0].map(Value::from).each_ref()
    );
    honest.clock.advance(Duration::from_secs(90));
    let metrics = honest.metrics().await;
    let sample = format!("odi_directory_peer_behind_seconds{{peer=\"{}\"}} 90", frozen.url);
    assert!(metrics.contains(&sample), "{metrics}");
    let page = honest.page("/").await;
    assert!(page.contains("world: shows head 1, while 2 is known here, since "), "{page}");
    assert_eq!(frozen.get("/world/a").await.status, StatusCode::OK, "it serves on what it has");

    // Given what it lacked, it is behind no more.
    let push = publisher.push_of_newest();
    assert!(frozen.post(&format!("/odi/v1/catalogs/{}/push", publisher.id), push).await.status.is_success());
    honest.until(async || honest.differs().await.is_null()).await;
}

#[tokio::test]
async fn a_newer_root_reaches_a_directory_to_which_nobody_shows_a_newer_head() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let first = World::start(&publisher.id, Some(&origin.url())).await;
    first.until_served(1).await;
    let floor = publisher.newest().clone();
    publisher.publish(&[("a", b"two, by a thief")]);
    first.pull(&publisher.id, 2).await;
    let peer = format!("[[peer]]\nurl = \"{}\"\n", first.url);
    let second = World::start_with(&publisher.id, None, &peer).await;
    second.until(async || second.adopted().await == Some(2)).await;

    // The maintainers go back to the first head, under a new epoch; they have signed nothing newer yet.
    publisher.open_epoch(&floor, 10);
    first.post(&format!("/odi/v1/catalogs/{}/trigger", publisher.id), Vec::new()).await;
    for world in [&first, &second] {
        world.until(async || world.adopted().await == Some(1)).await;
    }
}
