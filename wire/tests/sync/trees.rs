//! How a tree gets here: diffs, whole trees, single nodes; what is lost on disk is fetched again.

use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::{Ending, PublishedCatalog, Script, ScriptedServer, put};
use odi_manifest::{BlobId, NodeId, Nodes, Op};
use odi_store::{Keep, Live};
use odi_wire::fetch::SourceFault;
use odi_wire::layout::{LayoutPath, api_base};
use odi_wire::sync::{FollowedCatalog, Resolved, SyncError, SyncOutcome, SyncSource, TreeFault};
use url::Url;

use crate::follower::{Follower, NOW, Origin, published};

#[tokio::test]
async fn a_restart_finds_the_states_again() {
    let mut published = published(2);
    let origin = Origin::of(&published).await;
    let mut follower = Follower::of(&published);
    follower.advance(&origin).await;
    published.publish(&[put("new", b"1")]);
    origin.show(&published);
    follower.advance(&origin).await;
    follower.restart();
    assert_eq!(follower.held(), Some(published.newest().id()));
    assert_eq!(follower.catalog().state().retained().len(), 2, "the former one as well");
    let asked = origin.asked_for("diffs/") + origin.asked_for("full/");
    assert!(matches!(follower.follow(&origin).await.unwrap(), SyncOutcome::Unchanged));
    assert_eq!(origin.asked_for("diffs/") + origin.asked_for("full/"), asked);
}

#[tokio::test]
async fn a_lost_store_is_filled_again_under_the_same_head() {
    let published = published(3);
    let origin = Origin::of(&published).await;
    let mut follower = Follower::of(&published);
    follower.advance(&origin).await;
    drop(follower.catalog.take());
    std::fs::remove_dir_all(follower.folder.path().join("store")).unwrap();
    follower.restart();
    assert_eq!(follower.held(), None);
    assert_eq!(follower.advance(&origin).await.to.id, published.newest().id());
    assert_eq!(follower.paths().len(), 4);
}

#[tokio::test]
async fn a_wrong_diff_condemns_its_source_and_not_the_catalog() {
    let mut published = published(1);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    follower.advance(&origin).await;
    let from = published.newest().id();
    let to = published.publish(&[put("new", b"1")]);
    let item = LayoutPath::Diff { from, to }.to_string();
    let honest = published.files()[&item].clone();
    let elsewhere = {
        let mut other = self::published(1);
        let to = other.publish(&[put("evil", b"1")]);
        other.files()[&LayoutPath::Diff { from, to }.to_string()].clone()
    };
    let mut spoiled =
        vec![elsewhere, Vec::new(), honest[..honest.len() - 1].to_vec(), [&honest[..], &[0]].concat()];
    spoiled.extend((0..honest.len()).step_by(7).map(|at| {
        let mut flipped = honest.clone();
        flipped[at] ^= 1;
        flipped
    }));
    for diff in spoiled {
        origin.show(&published);
        origin.change(|files| _ = files.insert(item.clone(), diff));
        let SyncError::NoTree { tried } = follower.refused(&origin).await else { panic!("a tree was found") };
        assert!(tried.iter().any(TreeFault::condemns_source), "{tried:?}");
    }
    origin.show(&published);
    assert!(follower.advance(&origin).await.faults.is_empty());
}

#[tokio::test]
async fn an_endless_diff_ends_at_its_cap_and_the_whole_tree_is_taken() {
    let mut published = published(1);
    let honest = Origin::of(&published).await;
    let follower = Follower::of(&published);
    follower.advance(&honest).await;
    published.publish(&[put("new", b"1")]);
    let mut files = published.files().clone();
    let mut full = Vec::new();
    odi_manifest::encode_full(&published.tree(), &published.nodes, |frame| full.extend_from_slice(frame))
        .unwrap();
    files.insert(LayoutPath::Full(published.newest().id()).to_string(), full);
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix("/.odi/").unwrap_or_default();
        if path.starts_with("diffs/") {
            return Script::status(200, "").without("content-length").ending(Ending::Endless);
        }
        files.get(path).map_or_else(Script::absent, |file| Script::respond(seen, file))
    })
    .await
    .unwrap();
    let source = SyncSource::origin(Url::parse(&server.url()).unwrap());
    let outcome = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap();
    let SyncOutcome::Advanced(advance) = outcome else { panic!("nothing newer was found") };
    assert!(matches!(advance.faults[0], TreeFault::Source { source: SourceFault::TooLong, .. }));
    assert_eq!(follower.held(), Some(published.newest().id()));
}

#[tokio::test]
async fn a_wrong_stream_of_nodes_is_refused_wherever_it_is_wrong() {
    let published = published(1);
    let item = LayoutPath::Full(published.newest().id()).to_string();
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    let honest = published.files()[&item].clone();
    for at in (0..honest.len()).step_by(11) {
        let mut flipped = honest.clone();
        flipped[at] ^= 1;
        origin.change(|files| _ = files.insert(item.clone(), flipped));
        assert!(matches!(follower.refused(&origin).await, SyncError::NoTree { .. }), "{at}");
    }
    origin.change(|files| _ = files.insert(item.clone(), [&honest[..], &honest[..]].concat()));
    assert!(matches!(follower.refused(&origin).await, SyncError::NoTree { .. }));
    origin.change(|files| _ = files.insert(item.clone(), honest[..honest.len() / 2].to_vec()));
    assert!(matches!(follower.refused(&origin).await, SyncError::NoTree { .. }));
    origin.show(&published);
    follower.advance(&origin).await;
}

/// A directory that has the nodes of a catalog, and neither diffs nor whole trees.
async fn directory_of_nodes(published: &PublishedCatalog) -> (ScriptedServer, SyncSource) {
    directory_that_gives(published, || ()).await
}

/// The same, with something done before each node is given.
async fn directory_that_gives(
    published: &PublishedCatalog,
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> (ScriptedServer, SyncSource) {
    let (nodes, files, id) = (published.nodes.clone(), published.files().clone(), published.id());
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix(&api_base(&id)).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match path.parse() {
            Ok(LayoutPath::Node(node)) => {
                meanwhile();
                nodes.encoded(&node).map_or_else(Script::absent, |node| Script::status(200, node))
            }
            Ok(LayoutPath::Diff { .. } | LayoutPath::Full(_)) | Err(_) => Script::absent(),
            Ok(_) => files.get(path).map_or_else(Script::absent, |file| Script::status(200, file.clone())),
        }
    })
    .await
    .unwrap();
    let source = SyncSource::directory(Url::parse(&server.url()).unwrap(), &published.id());
    (server, source)
}

/// A catalog whose tree has many nodes.
fn published_widely() -> PublishedCatalog {
    let mut published = PublishedCatalog::new("debian", 1);
    let many: Vec<Op> = (0..3000).map(|number| put(&format!("pool/{number:05}.deb"), b"x")).collect();
    published.publish(&many);
    published
}

#[tokio::test]
async fn a_directory_without_diffs_gives_node_by_node_only_what_is_new() {
    let mut published = published_widely();
    let follower = Follower::of(&published);
    follower.advance(&Origin::of(&published).await).await;
    published.publish(&[put("pool/00007.deb", b"changed")]);

    let (server, source) = directory_of_nodes(&published).await;
    let source = source.waiting(Duration::from_secs(30));
    let outcome = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(_)));
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert!(targets.iter().any(|target| target.ends_with("/head?after=1&wait=30")));
    let asked = targets.iter().filter(|target| target.contains("/nodes/")).count();
    let all = published.tree().node_ids(&published.nodes as &dyn Nodes).count();
    assert!((2..=6).contains(&asked) && asked < all, "{asked} of {all} nodes");
}

/// Flips a byte of a node in the store's packs.
fn damage(follower: &Follower, node: &[u8]) {
    let mut found = 0;
    for file in std::fs::read_dir(follower.folder.path().join("store/packs")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(node.len()).position(|window| window == node) {
            bytes[at + node.len() / 2] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            found += 1;
        }
    }
    assert_eq!(found, 1);
}

#[tokio::test]
async fn lost_nodes_are_fetched_again_under_the_same_head() {
    let published = published_widely();
    let origin = Origin::of(&published).await;
    let mut follower = Follower::of(&published);
    follower.advance(&origin).await;
    let (directory, nodes) = directory_of_nodes(&published).await;
    let ids: Vec<_> =
        published.tree().node_ids(&published.nodes as &dyn Nodes).map(|id| id.unwrap()).collect();
    let [_, inner_or_leaf, .., last_leaf] = ids[..] else { panic!("too few nodes") };
    let asked = || directory.seen().iter().filter(|seen| seen.target.contains("/nodes/")).count();

    for (at, lost) in [inner_or_leaf, last_leaf].into_iter().enumerate() {
        // Found by a look for rot; found at the next start.
        for restarts in [false, true] {
            follower.restart();
            damage(&follower, &published.nodes.encoded(&lost).unwrap());
            assert_eq!(follower.catalog().store().scrub(u64::MAX).unwrap().bad, 1);
            if restarts {
                follower.restart();
            } else {
                assert!(follower.catalog().doubt().await.unwrap());
            }
            let state = follower.catalog().state();
            let newest = state.newest().expect("what is left is served");
            assert!(state.is_torn(&newest.id));
            let kept = if at == 0 { "pool/02999.deb" } else { "pool/00000.deb" };
            assert!(matches!(follower.resolve(kept), Resolved::Entry { .. }));

            let before = asked();
            let outcome = follower.client.follow(follower.catalog(), &nodes, NOW).await.unwrap();
            assert!(matches!(outcome, SyncOutcome::Advanced(_)));
            assert_eq!(asked() - before, 1, "only what was lost is asked for");
            assert!(!follower.catalog().doubt().await.unwrap());
            follower.restart();
            assert_eq!(follower.paths().len(), 3000);
            let again = follower.client.follow(follower.catalog(), &nodes, NOW).await.unwrap();
            assert!(matches!(again, SyncOutcome::Unchanged));
        }
    }
    // An origin has no single nodes.
    damage(&follower, &published.nodes.encoded(&last_leaf).unwrap());
    assert_eq!(follower.catalog().store().scrub(u64::MAX).unwrap().bad, 1);
    assert!(follower.catalog().doubt().await.unwrap());
    follower.advance(&origin).await;
    follower.restart();
    assert_eq!(follower.paths().len(), 3000);
}

/// Needs what a followed catalog serves.
struct Served(Arc<FollowedCatalog>);

impl Live for Served {
    fn blobs(&self, _: &mut dyn FnMut(&BlobId, Keep)) {}

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        self.0.mark_nodes(mark).unwrap();
    }
}

#[tokio::test]
async fn a_reclaim_leaves_a_tree_that_is_being_fetched_alone() {
    let published = published_widely();
    let follower = Follower::of(&published);
    let catalog = Arc::clone(follower.catalog());
    let (_server, source) = directory_that_gives(&published, move || {
        // Every node so far is durable and no state names it.
        catalog.store().flush().unwrap();
        catalog.store().reclaim(&Served(Arc::clone(&catalog)), 0).unwrap();
    })
    .await;
    let outcome = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(_)));
    assert!(!follower.catalog().doubt().await.unwrap());
    assert_eq!(follower.paths().len(), 3000);
}
