//! The state rules on sockets: when a state is served, for how long, and that nobody mixes two.

use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, Revoked};
use odi_wire::http::StatusCode;
use odi_wire::layout::LayoutPath;
use odi_wire::message::{IdRanges, Push, RelayState, state};

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::{PUBLIC_URL, World};

#[tokio::test]
async fn a_state_waits_for_its_holders_or_for_a_minute() {
    let mut publisher = Publisher::new();
    let (one, two, three) = (large(1), large(2), large(3));
    let first = publisher.publish(&[("big", &one)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let first_id = publisher.newest().id();
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&first, &[("big", &one)]);
    relay.join(&world, &publisher.id, &[first_id]).await;

    let second = publisher.publish(&[("big", &two)]);
    world.pull(&publisher.id, 2).await;
    assert_eq!(world.served().await, Some(1), "nobody holds what it changed");
    assert!(world.sent("/world/big").await.1.contains(&first.to_string()));
    relay.hold(&second, &[("big", &two)]);
    relay.announce(&world, &publisher.id, &[publisher.newest().id(), first_id]).await;
    world.until_served(2).await;
    assert!(world.sent("/world/big").await.1.contains(&second.to_string()));
    // The former state stays servable under its pin, at the relay that still serves it, or at the origin.
    assert_ne!(world.get(&format!("/{first}/big")).await.status, StatusCode::NOT_FOUND);

    publisher.publish(&[("big", &three)]);
    world.pull(&publisher.id, 3).await;
    assert_eq!(world.served().await, Some(2));
    world.clock.advance(Duration::from_secs(60));
    world.until_served(3).await;
    world.clock.advance(Duration::from_secs(7200));
    world.until(async || world.get(&format!("/{first}/big")).await.status == StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_relay_that_holds_nothing_of_a_catalog_keeps_no_state_waiting() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("big", &large(1))]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(11).await;
    assert_eq!(relay.register(&world).await, StatusCode::ACCEPTED);
    relay.until(&world, RelayState::Probation).await;
    // Past the time in which a directory that has just started waits for relays to come back.
    world.clock.advance(Duration::from_secs(7200));
    let mut inventory = relay.inventory(&world, &publisher.id, &[publisher.newest().id()]);
    inventory.catalogs[0].full = None;
    inventory.catalogs[0].ranges = IdRanges::none();
    let envelope = state(inventory, &relay.key).unwrap();
    assert_eq!(world.post("/odi/v1/relays/inventory", envelope).await.status, StatusCode::OK);

    publisher.publish(&[("big", &large(2))]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
}

#[tokio::test]
async fn a_relay_that_is_full_at_a_state_that_never_was_served_still_gets_clients() {
    let mut publisher = Publisher::new();
    let (same, one, two, three) = (large(1), large(2), large(3), large(4));
    let first = publisher.publish(&[("big", &same), ("other", &one)]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let first_id = publisher.newest().id();
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&first, &[("big", &same), ("other", &one)]);
    relay.join(&world, &publisher.id, &[first_id]).await;

    publisher.publish(&[("big", &same), ("other", &two)]);
    let second_id = publisher.newest().id();
    world.pull(&publisher.id, 2).await;
    publisher.publish(&[("big", &same), ("other", &three)]);
    world.pull(&publisher.id, 3).await;
    world.clock.advance(Duration::from_secs(60));
    world.until_served(3).await;
    relay.announce(&world, &publisher.id, &[second_id, first_id]).await;
    let at_first = format!("{}{first}/big", relay.url.to_url());
    world.until(async || world.sent("/world/big").await.1 == at_first).await;
}

#[tokio::test]
async fn what_differs_among_states_is_answered_at_its_pin_and_what_left_stays_a_while() {
    let mut publisher = Publisher::new();
    let first = publisher.publish(&[("InRelease", b"one"), ("old", b"left"), ("same", b"same")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    for path in ["InRelease", "old", "same"] {
        assert_eq!(world.get(&format!("/world/{path}")).await.status, StatusCode::OK, "{path}");
    }
    let second = publisher.publish(&[("InRelease", b"two"), ("same", b"same"), ("new", b"new")]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    let whole = |path: &str| (StatusCode::FOUND, format!("{PUBLIC_URL}{path}"));
    assert_eq!(world.sent("/world/InRelease").await, whole(&format!("/{second}/InRelease")));
    assert_eq!(world.body(&format!("/{second}/InRelease")).await, b"two");
    assert_eq!(world.body(&format!("/{first}/InRelease")).await, b"one");
    assert_eq!(world.body("/world/same").await, b"same");
    assert_eq!(world.body("/world/new").await, b"new");
    assert_eq!(world.sent("/world/old").await, whole(&format!("/{first}/old")));
    world.clock.advance(Duration::from_secs(7201));
    world.until(async || world.get("/world/old").await.status == StatusCode::NOT_FOUND).await;
    // Its next change may come while somebody reads what it names.
    assert_eq!(world.sent("/world/InRelease").await, whole(&format!("/{second}/InRelease")));

    let third = publisher.publish(&[("InRelease", b"two"), ("same", b"same"), ("new", b"newer")]);
    world.pull(&publisher.id, 3).await;
    world.until_served(3).await;
    world.clock.advance(Duration::from_secs(7201));
    world.until(async || world.get(&format!("/{second}/same")).await.status == StatusCode::NOT_FOUND).await;
    assert_eq!(
        world.sent("/world/InRelease").await,
        whole(&format!("/{third}/InRelease")),
        "nor is that forgotten"
    );
    assert_eq!(world.body("/world/same").await, b"same");
}

#[tokio::test]
async fn a_push_is_compare_and_swap() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let push = |head: Vec<u8>| Push { head, ..Push::default() }.encode().unwrap();
    let target = format!("/odi/v1/catalogs/{}/push", publisher.id);

    let mut rival = Publisher::new();
    rival.sign(&[("a", b"one")]);
    let second = publisher.sign(&[("a", b"two")]);
    assert_eq!(world.post(&target, push(second.encode())).await.status, StatusCode::OK);
    assert_eq!(world.adopted().await, Some(2));
    assert_eq!(world.post(&target, push(second.encode())).await.status, StatusCode::OK, "the same once more");

    let other = rival.sign(&[("a", b"other")]);
    let conflict = world.post(&target, push(other.encode())).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    assert_eq!(conflict.body.collect().await.unwrap(), second.encode(), "the current head comes back");
    assert_eq!(world.post(&target, b"junk".to_vec()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.adopted().await, Some(2));
}

#[tokio::test]
async fn a_long_poll_ends_with_news_or_without() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let head = format!("/odi/v1/catalogs/{}/head", publisher.id);
    assert_eq!(world.get(&format!("{head}?after=1&wait=0")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.body(&head).await, publisher.newest().encode());
    let second = publisher.publish(&[("a", b"two")]);
    let waiting = format!("{head}?after=1&wait=30");
    let (news, ()) = tokio::join!(world.body(&waiting), world.pull(&publisher.id, 2));
    assert_eq!(news, publisher.newest().encode());
    assert_eq!(publisher.newest().pin(), second);
}

#[tokio::test]
async fn what_is_taken_back_is_gone_at_every_state_and_by_content() {
    let mut publisher = Publisher::new();
    let artifacts: &[(&str, &[u8])] = &[("bad/a", b"evil"), ("bad.txt", b"wrong"), ("good", b"good")];
    let first = publisher.publish(artifacts);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let blob = |bytes: &[u8]| format!("/blake3/{}", BlobId::of(bytes));
    for (path, bytes) in artifacts {
        assert_eq!(world.body(&format!("/world/{path}")).await, *bytes);
        assert_eq!(world.body(&blob(bytes)).await, *bytes);
    }
    publisher.revoke(vec![
        Revoked::Blob(BlobId::of(b"wrong")),
        Revoked::Path(ArtifactPath::parse("bad").unwrap()),
    ]);
    let second = publisher.publish(&[("good", b"good")]);
    world.pull(&publisher.id, 2).await;
    for path in ["bad/a", "bad.txt"] {
        for state in ["world", &first.to_string()] {
            let status = world.get(&format!("/{state}/{path}")).await.status;
            assert_eq!(status, StatusCode::GONE, "{state}/{path}");
        }
    }
    for bytes in [b"evil".as_slice(), b"wrong"] {
        assert_eq!(world.get(&blob(bytes)).await.status, StatusCode::GONE);
    }
    assert_eq!(world.body(&blob(b"good")).await, b"good");
    world.until_served(2).await;
    assert_eq!(world.body(&format!("/{second}/good")).await, b"good");
}

#[tokio::test]
async fn what_a_new_epoch_voids_is_served_no_more_and_its_floor_at_once() {
    let mut publisher = Publisher::new();
    let (good, evil) = (large(1), large(2));
    let first = publisher.publish(&[("big", &good), ("a", b"good")]);
    let floor = publisher.newest().clone();
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.body("/world/a").await, b"good");
    let second = publisher.publish(&[("big", &evil), ("a", b"evil")]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    // A third one waits for its minute: a relay follows the catalog and does not hold it.
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&second, &[("big", &evil), ("a", b"evil")]);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
    let third = publisher.publish(&[("big", &large(3)), ("a", b"evil")]);
    world.pull(&publisher.id, 3).await;

    // The origin still shows the stolen head when the root comes.
    publisher.open_epoch(&floor, 10);
    world.pull(&publisher.id, 1).await;
    assert_eq!(world.served().await, Some(1), "no wait for holders");
    for pin in [second, third] {
        assert_eq!(world.get(&format!("/{pin}/a")).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.body("/world/a").await, b"good");
    assert_eq!(world.body(&format!("/{first}/a")).await, b"good");
    world.clock.advance(Duration::from_secs(7201));
    world.until(async || world.get(&format!("/{second}/a")).await.status == StatusCode::NOT_FOUND).await;
    assert_eq!(world.served().await, Some(1));
}

#[tokio::test]
async fn whoever_follows_here_finds_the_heads_that_a_jump_left_out() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut heads = vec![publisher.newest().encode()];
    heads.extend((2..30u8).map(|text| publisher.sign(&[("a", &[text])]).encode()));
    publisher.publish(&[("a", b"thirty")]);
    heads.push(publisher.newest().encode());
    world.pull(&publisher.id, 30).await;
    for (seq, head) in (1..).zip(heads) {
        let item = LayoutPath::HeadAt(seq);
        world.until(async || world.item(&publisher.id, item).await == StatusCode::OK).await;
        let found = world.body(&format!("/odi/v1/catalogs/{}/{item}", publisher.id)).await;
        assert!(found == head, "head {seq} is another");
    }
    let item = LayoutPath::HeadAt(31);
    assert_eq!(world.item(&publisher.id, item).await, StatusCode::NOT_FOUND, "a head that there is not");
}

#[tokio::test]
async fn a_merged_file_of_heads_passes_over_what_an_epoch_left_out() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    publisher.publish(&[("a", b"two")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(2).await;
    assert_eq!(
        world.item(&publisher.id, LayoutPath::HeadPack(0)).await,
        StatusCode::NOT_FOUND,
        "not complete"
    );
    let floor = publisher.newest().clone();
    publisher.open_epoch(&floor, 1030);
    publisher.publish(&[("a", b"three")]);
    world.pull(&publisher.id, 1030).await;
    let heads = [1, 2].map(|seq| format!("/odi/v1/catalogs/{}/{}", publisher.id, LayoutPath::HeadAt(seq)));
    world.until(async || world.get(&heads[0]).await.status == StatusCode::OK).await;
    let pack = world.body(&format!("/odi/v1/catalogs/{}/{}", publisher.id, LayoutPath::HeadPack(0))).await;
    assert_eq!(pack, [world.body(&heads[0]).await, world.body(&heads[1]).await].concat());
    assert_eq!(
        world.item(&publisher.id, LayoutPath::HeadPack(1)).await,
        StatusCode::NOT_FOUND,
        "not complete"
    );
}
