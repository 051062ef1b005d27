//! From the first head on, after a long absence, over gaps: every honest way to the newest state.

use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::{PublishedCatalog, put, remove};
use odi_manifest::{Because, Tree};
use odi_wire::layout::{HEADS_PER_PACK, LayoutPath};
use odi_wire::sync::{Resolved, SyncOutcome};

use crate::follower::{Follower, Origin, published};

#[tokio::test]
async fn a_catalog_is_followed_from_its_first_head_on() {
    let mut published = published(1);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    let first = follower.advance(&origin).await;
    assert_eq!((first.because, first.from), (Because::First, None));
    assert_eq!(follower.paths(), ["dists/InRelease", "pool/0000.deb"]);
    assert!(matches!(follower.follow(&origin).await.unwrap(), SyncOutcome::Unchanged));

    published.publish(&[put("new", b"1")]);
    origin.show(&published);
    let second = follower.advance(&origin).await;
    assert_eq!(second.because, Because::Descends);
    assert_eq!(second.from.unwrap().id, first.to.id);
    assert!(second.faults.is_empty());
    assert_eq!(follower.paths(), ["dists/InRelease", "new", "pool/0000.deb"]);
    assert_eq!(origin.asked_for("full/"), 1, "the second tree came as a diff");
}

#[tokio::test]
async fn after_a_long_absence_few_requests_catch_up() {
    let full = published(150);
    let origin = Origin::of(&published(3)).await;
    let follower = Follower::of(&full);
    follower.advance(&origin).await;
    let (before, whole_trees) = (origin.server.seen().len(), origin.asked_for("full/"));
    origin.show(&full);
    let advance = follower.advance(&origin).await;
    assert!(advance.faults.iter().all(|fault| !fault.condemns_source()));
    assert_eq!(advance.to.id, full.newest().id());
    assert_eq!(follower.paths().len(), 151);
    assert_eq!(origin.asked_for("full/"), whole_trees);
    let requests = origin.server.seen().len() - before;
    assert!(requests < 50, "{requests} requests for 147 heads");
}

#[tokio::test]
async fn the_first_sight_of_an_old_catalog_finds_a_whole_tree_a_little_back() {
    let published = published(70);
    let origin = Origin::of(&published).await;
    origin.change(|files| {
        let kept = LayoutPath::Full(published.heads[32].id()).to_string();
        files.retain(|path, _| !path.starts_with("full/") || *path == kept);
    });
    let follower = Follower::of(&published);
    let advance = follower.advance(&origin).await;
    assert_eq!(advance.to.id, published.newest().id());
    assert_eq!(follower.paths().len(), 71);
}

#[tokio::test]
async fn merged_heads_serve_as_well_as_single_ones() {
    let whole = published(40);
    let origin = Origin::of(&published(3)).await;
    let follower = Follower::of(&whole);
    follower.advance(&origin).await;
    origin.show(&whole);
    origin.change(|files| {
        let mut pack = Vec::new();
        for seq in 1..40 {
            pack.extend_from_slice(&files.remove(&LayoutPath::HeadAt(seq).to_string()).unwrap());
        }
        files.insert(LayoutPath::HeadPack(0).to_string(), pack);
    });
    assert_eq!(follower.advance(&origin).await.to.id, whole.newest().id());
}

#[tokio::test]
async fn a_catalog_with_more_heads_than_a_merged_file_takes_is_followed_from_nothing() {
    let mut whole = PublishedCatalog::new("debian", 1);
    for number in 0..HEADS_PER_PACK + 4 {
        whole.publish(&[put("dists/InRelease", &number.to_le_bytes())]);
    }
    let origin = Origin::of(&whole).await;
    origin.change(|files| {
        let singles =
            (1..HEADS_PER_PACK).map(|seq| files.remove(&LayoutPath::HeadAt(seq).to_string()).unwrap());
        let pack = singles.collect::<Vec<_>>().concat();
        files.insert(LayoutPath::HeadPack(0).to_string(), pack);
    });
    let follower = Follower::of(&whole);
    assert_eq!(follower.advance(&origin).await.to.id, whole.newest().id());
    let pack = LayoutPath::HeadPack(0).to_string();
    let (filled, gaps) = (2 * usize::try_from(HEADS_PER_PACK).unwrap(), origin.asked_for(&pack));
    follower.client.fill_line(follower.catalog(), &origin.source(), filled).await.unwrap();
    assert!(origin.asked_for(&pack) <= gaps + 1, "one request brings all that is merged");
    let ledger = follower.catalog().ledger();
    for head in &whole.heads {
        assert_eq!(ledger.head(&whole.id(), head.seq).unwrap(), Some(head.encode()), "{}", head.seq);
    }
}

#[tokio::test]
async fn gaps_in_the_line_are_filled_for_those_who_follow_here() {
    let few = published(2);
    let many = published(30);
    let origin = Origin::of(&few).await;
    let follower = Follower::of(&few);
    follower.advance(&origin).await;
    origin.show(&many);
    follower.advance(&origin).await;
    let filled = follower.client.fill_line(follower.catalog(), &origin.source(), 1000).await.unwrap();
    assert!(filled > 0);
    let ledger = follower.catalog().ledger();
    for head in &many.heads {
        assert_eq!(ledger.head(&many.id(), head.seq).unwrap(), Some(head.encode()), "{}", head.seq);
    }
    assert_eq!(follower.client.fill_line(follower.catalog(), &origin.source(), 1000).await.unwrap(), 0);
}

#[tokio::test]
async fn paths_resolve_among_the_servable_states() {
    let mut published = published(1);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    let first = follower.advance(&origin).await.to;
    published.publish(&[put("dists/InRelease", b"new"), remove("pool/0000.deb")]);
    origin.show(&published);
    let second = follower.advance(&origin).await.to;

    let Resolved::Entry { head, settled, .. } = follower.resolve("dists/InRelease") else {
        panic!("not found")
    };
    assert_eq!((head.id, settled), (second.id, false), "it differs among the states");
    let Resolved::Entry { head, settled, .. } = follower.resolve("pool/0000.deb") else {
        panic!("not found")
    };
    assert_eq!((head.id, settled), (first.id, true), "gone from the newest, kept in the former");
    assert_eq!(follower.resolve("nothing"), Resolved::Absent);

    let state = follower.catalog().state();
    assert_eq!(state.pinned(&first.pin).unwrap().id, first.id);
    assert_eq!(state.by_seq(2).unwrap().id, second.id);
    assert!(state.pinned(&odi_manifest::Pin::of(2, &first.id)).is_none());
    assert_eq!(state.labelled("stable"), None);
}

#[tokio::test]
async fn news_wakes_those_who_wait() {
    let published = published(2);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    let waiting = {
        let catalog = Arc::clone(follower.catalog());
        tokio::spawn(async move {
            catalog.newer_than(1, Duration::from_secs(600)).await;
            catalog.state().newest().map(|head| head.seq())
        })
    };
    follower.advance(&origin).await;
    assert_eq!(waiting.await.unwrap(), Some(2));
}

#[tokio::test]
async fn an_emptied_catalog_is_a_state_like_any_other() {
    let mut published = published(1);
    published.publish(&[remove("dists/InRelease"), remove("pool/0000.deb")]);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    let advance = follower.advance(&origin).await;
    assert_eq!(advance.to.tree, Tree::empty());
    assert_eq!(follower.paths(), Vec::<String>::new());
}
