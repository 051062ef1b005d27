//! What leaves the store: what was taken back, trees that nothing needs any more, and more than may be carried.

use std::path::Path;
use std::time::Duration;

use odi_manifest::{ArtifactPath, BlobId, Revoked, Tree};
use odi_wire::http::StatusCode;
use odi_wire::layout::LayoutPath;

use crate::publisher::{Publisher, large};
use crate::world::{PUBLIC_URL, World};

type Artifacts<'a> = &'a [(&'a str, &'a [u8])];

#[tokio::test]
async fn what_is_taken_back_is_purged_unless_something_else_names_it() {
    let mut publisher = Publisher::new();
    let first: Artifacts<'_> = &[("bad/a", b"evil!"), ("bad/b", b"shared"), ("bad.txt", b"wrong!!")];
    publisher.publish(first);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    for (path, bytes) in first {
        assert_eq!(world.body(&format!("/world/{path}")).await, *bytes);
    }
    assert_eq!(world.carried_bytes().await, 18);
    publisher.revoke(vec![
        Revoked::Blob(BlobId::of(b"wrong!!")),
        Revoked::Path(ArtifactPath::parse("bad").unwrap()),
    ]);
    publisher.publish(&[("good", b"shared")]);
    world.pull(&publisher.id, 2).await;
    world.until(async || world.carried_bytes().await == 6).await;
    assert_eq!(world.body("/world/good").await, b"shared");
    let folder = world.store_folder();
    assert!(holds(&folder, b"shared") && !holds(&folder, b"wrong!!"), "off the disk too");

    let gone = [BlobId::of(b"evil!"), BlobId::of(b"wrong!!")];
    world.stop().await;
    {
        let store = world.store();
        assert!(gone.iter().all(|blob| store.is_dead(blob).unwrap()));
        assert!(store.contains(&BlobId::of(b"shared")));
        // As if it had stopped between the head and the purge.
        for (blob, bytes) in gone.iter().zip([b"evil!".as_slice(), b"wrong!!"]) {
            store.lift(blob).unwrap();
            store.ingest(blob, bytes).unwrap();
        }
        store.flush().unwrap();
    }
    world.go_on().await;
    world.until(async || world.carried_bytes().await == 6).await;
    world.stop().await;
    let store = world.store();
    assert!(gone.iter().all(|blob| store.is_dead(blob).unwrap()), "purged after a restart");
    assert!(holds(&folder, b"shared") && !holds(&folder, b"wrong!!"), "and off the disk");
}

#[tokio::test]
async fn what_another_path_names_goes_when_that_does_and_comes_back_when_it_stands_again() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("bad", b"both"), ("good", b"both")]);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.body("/world/good").await, b"both");
    publisher.revoke(vec![Revoked::Path(ArtifactPath::parse("bad").unwrap())]);
    publisher.publish(&[("bad", b"both"), ("good", b"both")]);
    world.pull(&publisher.id, 2).await;
    world.until_served(2).await;
    assert_eq!(world.body("/world/good").await, b"both");
    publisher.publish(&[("bad", b"both")]);
    world.pull(&publisher.id, 3).await;
    world.until_served(3).await;
    assert_eq!(world.carried_bytes().await, 4, "former states still name it");
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(7201));
        world.until(async || world.get("/world/good").await.status == StatusCode::NOT_FOUND).await;
        publisher.publish(&[("bad", b"both"), ("other", b"1")]);
        world.pull(&publisher.id, publisher.newest().seq).await;
        world.until_served(publisher.newest().seq).await;
    }
    world.until(async || world.carried_bytes().await == 1).await;
    publisher.publish(&[("again", b"both")]);
    world.pull(&publisher.id, publisher.newest().seq).await;
    world.until_served(publisher.newest().seq).await;
    assert_eq!(world.body("/world/again").await, b"both");
    assert_eq!(world.carried_bytes().await, 5);
    world.stop().await;
    assert!(world.store().contains(&BlobId::of(b"both")));
}

#[tokio::test]
async fn trees_of_states_that_lapsed_leave_the_store() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"0")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let mut tops = vec![LayoutPath::Node(publisher.newest().tree)];
    for (seq, text) in [(2, b"1"), (3, b"2"), (4, b"3")] {
        publisher.publish(&[("a", text)]);
        tops.push(LayoutPath::Node(publisher.newest().tree));
        world.pull(&publisher.id, seq).await;
        world.until_served(seq).await;
    }
    for top in &tops {
        assert_eq!(world.item(&publisher.id, *top).await, StatusCode::OK);
    }
    world.clock.advance(Duration::from_secs(7201));
    world.until(async || world.item(&publisher.id, tops[0]).await == StatusCode::NOT_FOUND).await;
    assert_eq!(world.item(&publisher.id, tops[1]).await, StatusCode::NOT_FOUND);
    assert_eq!(world.item(&publisher.id, tops[3]).await, StatusCode::OK);
    let (_, pinned) = world.sent("/world/a").await;
    let path = pinned.strip_prefix(PUBLIC_URL).unwrap();
    assert_eq!(world.body(path).await, b"3");
    // The artifacts that only those states named went with them.
    world.until(async || world.carried_bytes().await <= 2).await;
}

#[tokio::test]
async fn carried_artifacts_stay_within_their_bound_whatever_the_trees_take() {
    let mut publisher = Publisher::new();
    let bodies: Vec<Vec<u8>> = (0..6).map(|seed| large(seed)[..30_000].to_vec()).collect();
    let names: Vec<String> = (0..6).map(|n| format!("file-{n}")).collect();
    let artifacts: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(bodies.iter().map(Vec::as_slice)).collect();
    publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let world = World::start_with(&publisher.id, Some(&origin.url()), "carry = \"100 kB\"").await;
    world.until_served(1).await;
    assert_eq!(world.carried_bytes().await, 0, "nodes do not count");
    for (at, (path, bytes)) in artifacts.iter().enumerate() {
        assert_eq!(world.body(&format!("/world/{path}")).await, *bytes);
        if at == 2 {
            assert_eq!(world.carried_bytes().await, 90_000);
        }
    }
    world.until(async || world.carried_bytes().await <= 100_000).await;
    assert!(world.carried_bytes().await >= 30_000, "no more goes than has to");
    for (path, bytes) in &artifacts {
        assert_eq!(world.body(&format!("/world/{path}")).await, *bytes, "what went is fetched again");
    }
}

#[tokio::test]
async fn nothing_is_swept_behind_a_damaged_tree() {
    let mut publisher = Publisher::new();
    let names: Vec<String> = (0..2000).map(|n| format!("file-{n:04}")).collect();
    let mut tops = Vec::new();
    let mut artifacts: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    publisher.publish(&artifacts);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    tops.push(publisher.newest().tree);
    for (seq, text) in [(2, b"1"), (3, b"2"), (4, b"3")] {
        artifacts[0].1 = text;
        publisher.publish(&artifacts);
        tops.push(publisher.newest().tree);
        world.pull(&publisher.id, seq).await;
        world.until_served(seq).await;
    }
    let newest = format!("/{}/file-0001", publisher.newest().pin());
    assert_eq!(world.body(&newest).await, b"x");
    drop(origin);
    world.stop().await;
    let leaf = {
        let store = world.store();
        let nodes = store.nodes();
        let tree = Tree::open(&nodes, tops[3]).unwrap();
        let last = tree.node_ids(&nodes).last().unwrap().unwrap();
        assert_ne!(last, tops[3], "more than one node");
        store.node(&last).unwrap().unwrap()
    };
    assert!(damage(&world.data_dir().join("data/store"), &leaf), "the node lies in no file");
    world.go_on().await;
    assert_eq!(world.get(&newest).await.status, StatusCode::OK, "the top is whole");
    let former = "/world@1/file-0001";
    assert_eq!(world.get(former).await.status, StatusCode::FOUND);
    world.clock.advance(Duration::from_secs(7201));
    world.until(async || world.get(former).await.status == StatusCode::NOT_FOUND).await;
    world.stop().await;
    let store = world.store();
    for top in tops {
        assert!(store.has_node(&top).unwrap(), "{top}");
    }
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // A pack may be removed between the listing and this.
        std::fs::read(&path).is_ok_and(|held| held.windows(bytes.len()).any(|window| window == bytes))
    })
}

/// Turns a bit of these bytes in the file below a folder that has them; whether one has.
fn damage(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).any(|path| {
        if path.is_dir() {
            return damage(&path, bytes);
        }
        let mut held = std::fs::read(&path).unwrap();
        let Some(at) = held.windows(bytes.len()).position(|window| window == bytes) else { return false };
        held[at + bytes.len() / 2] ^= 1;
        std::fs::write(&path, held).unwrap();
        true
    })
}
