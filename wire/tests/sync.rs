//! Following a catalog at sources that are honest, old, hostile or incomplete. Whatever a source does, the state that
//! was held stays.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that indexes or unwraps wrongly fails"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odi_fixtures::{Ending, PUBLISHED_FROM, PublishedCatalog, Script, ScriptedServer, head_in, put, remove};
use odi_manifest::{
    Because, BlobId, HeadId, HeadRefusal, NodeId, Nodes, Op, Reason, Revocation, RevocationList, Revoked,
    SigningKey, Timestamp, Tree, skip_target,
};
use odi_store::{Ledger, Live, RealDisk, Store, StoreOptions, ledger_folder};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::fetch::{FetchLimits, Fetcher, SourceFault};
use odi_wire::layout::{HEADS_PER_PACK, LayoutPath, api_base};
use odi_wire::message::Push;
use odi_wire::sync::{
    Advance, FollowedCatalog, PushOutcome, Resolved, SyncClient, SyncError, SyncOutcome, SyncSource,
    TreeFault,
};
use tempfile::TempDir;
use url::Url;

/// Within the life of everything that fixtures make.
const NOW: Timestamp = Timestamp(PUBLISHED_FROM.0 + 86_400);

/// A follower on a disk of its own.
struct Follower {
    folder: TempDir,
    client: SyncClient,
    catalog: Option<Arc<FollowedCatalog>>,
    published: PublishedCatalog,
}

impl Follower {
    fn of(published: &PublishedCatalog) -> Self {
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Arc::new(Client::new(policy).unwrap());
        let client = SyncClient::new(Fetcher::new(client, FetchLimits::default()));
        let folder = TempDir::new().unwrap();
        let mut follower = Self { folder, client, catalog: None, published: published.clone() };
        follower.restart();
        follower
    }

    /// Opens store, ledger and catalog, again if they were open.
    fn restart(&mut self) {
        drop(self.catalog.take());
        let store =
            Store::open(Arc::new(RealDisk), &self.folder.path().join("store"), StoreOptions::default());
        let ledger = Ledger::open(Arc::new(RealDisk), &ledger_folder(self.folder.path())).unwrap();
        let catalog = FollowedCatalog::open(self.published.id(), store.unwrap(), Arc::new(ledger), NOW);
        self.catalog = Some(catalog.unwrap());
    }

    fn catalog(&self) -> &Arc<FollowedCatalog> {
        self.catalog.as_ref().unwrap()
    }

    async fn follow(&self, source: &Origin) -> Result<SyncOutcome, SyncError> {
        self.follow_at(source, NOW).await
    }

    async fn follow_at(&self, source: &Origin, now: Timestamp) -> Result<SyncOutcome, SyncError> {
        self.client.follow(self.catalog(), &source.source(), now).await
    }

    /// Follows to a newer head.
    async fn advance(&self, source: &Origin) -> Advance {
        match self.follow(source).await.unwrap() {
            SyncOutcome::Advanced(advance) => advance,
            SyncOutcome::Unchanged => panic!("nothing newer was found"),
        }
    }

    /// Follows into a refusal, and checks that nothing has changed.
    async fn refused(&self, source: &Origin) -> SyncError {
        self.refused_at(source, NOW).await
    }

    async fn refused_at(&self, source: &Origin, now: Timestamp) -> SyncError {
        let before = self.held();
        let error = self.follow_at(source, now).await.unwrap_err();
        assert_eq!(self.held(), before);
        error
    }

    fn held(&self) -> Option<HeadId> {
        self.catalog().state().newest().map(|head| head.id)
    }

    fn resolve(&self, path: &str) -> Resolved {
        self.catalog().state().resolve(&self.catalog().nodes(), path).unwrap()
    }

    /// Every artifact of the newest state, read through the store.
    fn paths(&self) -> Vec<String> {
        let nodes = self.catalog().nodes();
        let tree = self.catalog().state().newest().unwrap().tree;
        tree.iter(&nodes, None).map(|item| item.unwrap().0.to_string()).collect()
    }
}

/// A web server with a catalog's files, which a test may replace at any time.
struct Origin {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    server: ScriptedServer,
}

impl Origin {
    async fn of(published: &PublishedCatalog) -> Self {
        Self::with(published.files().clone()).await
    }

    async fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        let files = Arc::new(Mutex::new(files));
        let shown = Arc::clone(&files);
        let server = ScriptedServer::start(move |seen| {
            let files = shown.lock().unwrap();
            let file = seen.target.strip_prefix("/debian/.odi/").and_then(|path| files.get(path));
            file.map_or_else(Script::absent, |file| Script::respond(seen, file))
        });
        Self { files, server: server.await.unwrap() }
    }

    fn show(&self, published: &PublishedCatalog) {
        *self.files.lock().unwrap() = published.files().clone();
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        change(&mut self.files.lock().unwrap());
    }

    fn source(&self) -> SyncSource {
        SyncSource::origin(Url::parse(&self.server.url()).unwrap().join("debian").unwrap())
    }

    /// How many requests for items of this folder came.
    fn asked_for(&self, folder: &str) -> usize {
        let prefix = format!("/debian/.odi/{folder}");
        self.server.seen().iter().filter(|seen| seen.target.starts_with(&prefix)).count()
    }
}

fn published(heads: u32) -> PublishedCatalog {
    let mut catalog = PublishedCatalog::new("debian", 1);
    for number in 0..heads {
        catalog.publish(&[
            put("dists/InRelease", &number.to_le_bytes()),
            put(&format!("pool/{number:04}.deb"), b"x"),
        ]);
    }
    catalog
}

fn refusal(error: SyncError) -> HeadRefusal {
    match error {
        SyncError::Head(refusal) => *refusal,
        other => panic!("{other:?} is no refusal of a head"),
    }
}

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
async fn an_older_head_is_a_rollback_also_after_a_restart() {
    let new = published(5);
    let origin = Origin::of(&new).await;
    let mut follower = Follower::of(&new);
    follower.advance(&origin).await;
    origin.show(&published(3));
    let expected = HeadRefusal::Rollback { held: 5, found: 3 };
    assert_eq!(refusal(follower.refused(&origin).await), expected);
    follower.restart();
    assert_eq!(refusal(follower.refused(&origin).await), expected);
}

#[tokio::test]
async fn two_heads_of_one_number_are_evidence_and_the_held_one_stays() {
    let base = published(2);
    let (mut ours, mut theirs) = (base.clone(), base);
    ours.publish(&[put("ours", b"1")]);
    theirs.publish(&[put("theirs", b"2")]);
    let origin = Origin::of(&ours).await;
    let follower = Follower::of(&ours);
    follower.advance(&origin).await;
    origin.show(&theirs);
    let error = follower.refused(&origin).await;
    assert!(matches!(error, SyncError::Equivocation { seq: 3, .. }), "{error:?}");
    let believed = follower.catalog().state().believed().cloned().unwrap();
    assert_eq!(believed.equivocations.len(), 1);
    believed.equivocations[0].verify(ours.id()).unwrap();

    theirs.publish(&[put("theirs", b"3")]);
    origin.show(&theirs);
    assert!(matches!(refusal(follower.refused(&origin).await), HeadRefusal::Divergent { seq: 3, .. }));

    // A later head that voids theirs is what their holders follow.
    let voided = theirs.newest().id();
    let other = Follower::of(&theirs);
    other.advance(&origin).await;
    ours.publish(&[put("more", b"4")]);
    ours.publish_with(&[put("more", b"5")], |head| head.void(voided));
    origin.show(&ours);
    assert_eq!(other.advance(&origin).await.because, Because::Voids);
    assert_eq!(other.held(), Some(ours.newest().id()));
}

#[tokio::test]
async fn a_head_of_a_wrong_key_or_past_its_date_is_refused_by_name() {
    let mut published = published(1);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    follower.advance(&origin).await;
    published.publish(&[put("new", b"1")]);

    origin.show(&published);
    let head = LayoutPath::Head.to_string();
    origin.change(|files| {
        let claims = head_in(&files[&head]).claims().clone();
        let thief = SigningKey::from_seed(&[99; 32]);
        let forged = odi_manifest::Unverified::draft(claims).unwrap().signed_by(&thief).unwrap();
        files.insert(head.clone(), forged.encode());
    });
    assert!(matches!(refusal(follower.refused(&origin).await), HeadRefusal::WrongKeys(_)));

    origin.show(&published);
    let late = Timestamp(NOW.0 + 100 * 86_400);
    assert!(matches!(refusal(follower.refused_at(&origin, late).await), HeadRefusal::Expired { .. }));
    assert!(follower.catalog().state().is_stale(late), "what is held is served on, as stale");
    assert!(!follower.catalog().state().is_stale(NOW));
    follower.advance(&origin).await;
}

#[tokio::test]
async fn another_catalog_under_the_same_address_is_refused() {
    let published = published(1);
    let mut other = PublishedCatalog::new("debian", 7);
    other.publish(&[put("a", b"1")]);
    let follower = Follower::of(&published);
    let origin = Origin::of(&other).await;
    assert!(matches!(follower.refused(&origin).await, SyncError::Root { version: 1, .. }));
    let honest = Origin::of(&published).await;
    follower.advance(&honest).await;
    assert!(matches!(refusal(follower.refused(&origin).await), HeadRefusal::WrongCatalog { .. }));
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

#[tokio::test]
async fn a_directory_without_diffs_gives_node_by_node_only_what_is_new() {
    let mut published = PublishedCatalog::new("debian", 1);
    let many: Vec<Op> = (0..3000).map(|number| put(&format!("pool/{number:05}.deb"), b"x")).collect();
    published.publish(&many);
    let follower = Follower::of(&published);
    follower.advance(&Origin::of(&published).await).await;
    published.publish(&[put("pool/00007.deb", b"changed")]);

    let (nodes, files, id) = (published.nodes.clone(), published.files().clone(), published.id());
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix(&api_base(&id)).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match path.parse() {
            Ok(LayoutPath::Node(node)) => {
                nodes.encoded(&node).map_or_else(Script::absent, |node| Script::status(200, node))
            }
            Ok(LayoutPath::Diff { .. } | LayoutPath::Full(_)) | Err(_) => Script::absent(),
            Ok(_) => files.get(path).map_or_else(Script::absent, |file| Script::status(200, file.clone())),
        }
    })
    .await
    .unwrap();
    let source =
        SyncSource::directory(Url::parse(&server.url()).unwrap(), &id).waiting(Duration::from_secs(30));
    let outcome = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(_)));
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert!(targets.iter().any(|target| target.ends_with("/head?after=1&wait=30")));
    let asked = targets.iter().filter(|target| target.contains("/nodes/")).count();
    let all = published.tree().node_ids(&published.nodes as &dyn Nodes).count();
    assert!((2..=6).contains(&asked) && asked < all, "{asked} of {all} nodes");
}

/// A directory that has the nodes of a catalog, and neither diffs nor whole trees.
async fn directory_of_nodes(published: &PublishedCatalog) -> (ScriptedServer, SyncSource) {
    let (nodes, files, id) = (published.nodes.clone(), published.files().clone(), published.id());
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix(&api_base(&id)).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match path.parse() {
            Ok(LayoutPath::Node(node)) => {
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
    let mut published = PublishedCatalog::new("debian", 1);
    let many: Vec<Op> = (0..3000).map(|number| put(&format!("pool/{number:05}.deb"), b"x")).collect();
    published.publish(&many);
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
    fn blobs(&self, _: &mut dyn FnMut(&BlobId)) {}

    fn nodes(&self, mark: &mut dyn FnMut(&NodeId)) {
        self.0.mark_nodes(mark).unwrap();
    }
}

#[tokio::test]
async fn a_reclaim_leaves_a_tree_that_is_being_fetched_alone() {
    let mut published = PublishedCatalog::new("debian", 1);
    let many: Vec<Op> = (0..3000).map(|number| put(&format!("pool/{number:05}.deb"), b"x")).collect();
    published.publish(&many);
    let follower = Follower::of(&published);
    let (nodes, files, id) = (published.nodes.clone(), published.files().clone(), published.id());
    let catalog = Arc::clone(follower.catalog());
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix(&api_base(&id)).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match path.parse() {
            Ok(LayoutPath::Node(node)) => {
                // Every node so far is durable and no state names it.
                catalog.store().flush().unwrap();
                catalog.store().reclaim(&Served(Arc::clone(&catalog))).unwrap();
                Script::status(200, nodes.encoded(&node).unwrap())
            }
            Ok(LayoutPath::Diff { .. } | LayoutPath::Full(_)) | Err(_) => Script::absent(),
            Ok(_) => files.get(path).map_or_else(Script::absent, |file| Script::status(200, file.clone())),
        }
    })
    .await
    .unwrap();
    let source = SyncSource::directory(Url::parse(&server.url()).unwrap(), &id);
    let outcome = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(_)));
    assert!(!follower.catalog().doubt().await.unwrap());
    assert_eq!(follower.paths().len(), 3000);
    drop(server);
}

#[tokio::test]
async fn a_foreign_ancestor_proves_no_descent() {
    let base = published(2);
    let origin = Origin::of(&base).await;
    let follower = Follower::of(&base);
    follower.advance(&origin).await;
    let mut published = base;
    for number in 0..5_u8 {
        published.publish(&[put("new", &[number])]);
    }
    origin.show(&published);
    assert_eq!(skip_target(7), None);
    origin.change(|files| {
        let wrong = files[&LayoutPath::HeadAt(1).to_string()].clone();
        files.insert(LayoutPath::HeadAt(6).to_string(), wrong);
    });
    assert!(matches!(refusal(follower.refused(&origin).await), HeadRefusal::ForeignAncestor { .. }));
    origin.change(|files| _ = files.remove(&LayoutPath::HeadAt(6).to_string()));
    let error = follower.refused(&origin).await;
    assert!(matches!(error, SyncError::Source { item: LayoutPath::HeadAt(6), .. }), "{error:?}");
    origin.show(&published);
    follower.advance(&origin).await;
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

fn revoking(paths: &[&str]) -> RevocationList {
    let mut list = RevocationList::default();
    for path in paths {
        let what = Revoked::Path(odi_manifest::ArtifactPath::parse(path).unwrap());
        list.insert(Revocation { what, reason: Reason::COMPROMISED, since: 2 });
    }
    list
}

#[tokio::test]
async fn revocations_come_with_their_head_and_only_grow() {
    let mut published = published(1);
    published.revoke(&revoking(&["pool/0000.deb", "secret"]));
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    follower.advance(&origin).await;
    assert!(matches!(follower.resolve("pool/0000.deb"), Resolved::Revoked(_)));
    assert!(matches!(follower.resolve("dists/InRelease"), Resolved::Entry { .. }));

    let mut shrunk = published.clone();
    shrunk.revoke(&revoking(&["secret"]));
    origin.show(&shrunk);
    let error = follower.refused(&origin).await;
    assert!(matches!(error, SyncError::Ledger { .. }), "{error:?}");

    let list = revoking(&["dists", "pool/0000.deb", "secret"]);
    published.revoke(&list);
    origin.show(&published);
    origin.change(|files| _ = files.remove(&LayoutPath::Revocations(list.id()).to_string()));
    assert!(matches!(follower.refused(&origin).await, SyncError::Source { .. }));
    origin.change(|files| _ = files.insert(LayoutPath::Revocations(list.id()).to_string(), b"\x80".to_vec()));
    assert!(matches!(follower.refused(&origin).await, SyncError::Revocations { .. }));
    origin.show(&published);
    follower.advance(&origin).await;
    assert!(matches!(follower.resolve("dists/InRelease"), Resolved::Revoked(_)));
}

#[tokio::test]
async fn a_new_epoch_drops_what_a_thief_published() {
    let mut published = published(4);
    let origin = Origin::of(&published).await;
    let mut follower = Follower::of(&published);
    follower.advance(&origin).await;
    let thief = published.clone();

    published.fall_back_to(2, SigningKey::from_seed(&[55; 32]));
    origin.show(&published);
    origin.change(|files| {
        let newest = thief.newest().encode();
        files.insert(LayoutPath::Head.to_string(), newest);
    });
    let fallen_back = follower.advance(&origin).await;
    assert_eq!(fallen_back.because, Because::NewEpoch);
    assert_eq!(fallen_back.to.seq(), 2);
    assert_eq!(
        follower.resolve("pool/0003.deb"),
        Resolved::Absent,
        "the thief's heads are not servable any more"
    );
    assert!(matches!(refusal(follower.refused(&origin).await), HeadRefusal::FormerEpoch { .. }));
    follower.restart();
    assert_eq!(follower.catalog().state().newest().unwrap().seq(), 2);

    published.publish(&[put("good", b"1")]);
    origin.show(&published);
    follower.advance(&origin).await;
    assert_eq!(follower.held(), Some(published.newest().id()));
    assert_eq!(follower.catalog().state().newest().unwrap().seq(), 14);
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

/// What a maintainer pushes after a publish.
fn push_of(published: &PublishedCatalog) -> Push {
    let [.., former, newest] = &published.heads[..] else { panic!("two heads are needed") };
    let diff = LayoutPath::Diff { from: former.id(), to: newest.id() }.to_string();
    let roots = published.trust.roots().iter().map(odi_manifest::Verified::encode).collect();
    Push { head: newest.encode(), roots, rev: None, diff: Some(published.files()[&diff].clone()) }
}

#[tokio::test]
async fn a_push_needs_no_origin_and_no_trust() {
    let mut published = published(1);
    let origin = Origin::of(&published).await;
    let follower = Follower::of(&published);
    follower.advance(&origin).await;
    published.publish(&[put("new", b"1")]);
    let push = push_of(&published);

    let tampered = Push { diff: Some(vec![0xa0]), ..push.clone() };
    let refused = follower.client.receive(follower.catalog(), &tampered, None, NOW).await;
    assert!(matches!(refused, Err(SyncError::NoTree { .. })));
    let forged = Push { head: vec![1, 2, 3], ..push.clone() };
    let refused = follower.client.receive(follower.catalog(), &forged, None, NOW).await;
    assert!(matches!(refused, Err(SyncError::Record { .. })));

    let taken = follower.client.receive(follower.catalog(), &push, None, NOW).await.unwrap();
    assert!(matches!(taken, PushOutcome::Taken(SyncOutcome::Advanced(_))));
    assert_eq!(follower.held(), Some(published.newest().id()));
    let again = follower.client.receive(follower.catalog(), &push, None, NOW).await.unwrap();
    assert!(matches!(again, PushOutcome::Taken(SyncOutcome::Unchanged)));
}

#[tokio::test]
async fn a_push_that_does_not_build_on_the_held_head_is_a_conflict() {
    let base = published(2);
    let origin = Origin::of(&base).await;
    let follower = Follower::of(&base);
    follower.advance(&origin).await;
    let (mut ours, mut theirs) = (base.clone(), base);
    ours.publish(&[put("ours", b"1")]);
    theirs.publish(&[put("theirs", b"2")]);
    let taken = follower.client.receive(follower.catalog(), &push_of(&ours), None, NOW).await.unwrap();
    assert!(matches!(taken, PushOutcome::Taken(_)));
    let conflict = follower.client.receive(follower.catalog(), &push_of(&theirs), None, NOW).await.unwrap();
    let PushOutcome::Conflict(current) = conflict else { panic!("it was taken") };
    assert_eq!(current, ours.newest().encode());
    assert_eq!(follower.held(), Some(ours.newest().id()));
}

#[tokio::test]
async fn a_first_push_brings_all_of_a_new_catalog() {
    let published = published(1);
    let follower = Follower::of(&published);
    let full = Push {
        head: published.newest().encode(),
        roots: published.trust.roots().iter().map(odi_manifest::Verified::encode).collect(),
        rev: None,
        diff: None,
    };
    let refused = follower.client.receive(follower.catalog(), &full, None, NOW).await;
    assert!(matches!(refused, Err(SyncError::NoTree { .. })), "without an origin there is no tree");
    let origin = Origin::of(&published).await;
    let taken =
        follower.client.receive(follower.catalog(), &full, Some(&origin.source()), NOW).await.unwrap();
    assert!(matches!(taken, PushOutcome::Taken(SyncOutcome::Advanced(_))));
    assert_eq!(follower.paths().len(), 2);
}

#[tokio::test]
async fn a_push_does_not_wait_for_a_source_that_stalls() {
    let mut published = published(1);
    let follower = Follower::of(&published);
    follower.advance(&Origin::of(&published).await).await;
    published.publish(&[put("new", b"1")]);
    let files = published.files().clone();
    let (reached, mut stalled) = tokio::sync::mpsc::channel(1);
    let server = ScriptedServer::start(move |seen| {
        let path = seen.target.strip_prefix("/.odi/").unwrap_or_default();
        if path.starts_with("diffs/") {
            reached.try_send(()).unwrap_or_default();
            return Script::status(200, "x").without("content-length").ending(Ending::Stall);
        }
        files.get(path).map_or_else(Script::absent, |file| Script::respond(seen, file))
    })
    .await
    .unwrap();
    let source = SyncSource::origin(Url::parse(&server.url()).unwrap());
    let (client, catalog) = (follower.client.clone(), Arc::clone(follower.catalog()));
    let following = tokio::spawn(async move { client.follow(&catalog, &source, NOW).await });
    stalled.recv().await.unwrap();
    let taken = follower.client.receive(follower.catalog(), &push_of(&published), None, NOW).await.unwrap();
    assert!(matches!(taken, PushOutcome::Taken(SyncOutcome::Advanced(_))));
    following.abort();
}

#[tokio::test]
async fn an_endless_or_huge_head_is_cut_off() {
    let published = published(1);
    let root = published.files()[&LayoutPath::Root(1).to_string()].clone();
    let server = ScriptedServer::start(move |seen| match seen.target.as_str() {
        "/.odi/roots/1" => Script::status(200, root.clone()),
        "/.odi/head" => Script::status(200, "x").without("content-length").ending(Ending::Endless),
        _ => Script::absent(),
    })
    .await
    .unwrap();
    let follower = Follower::of(&published);
    let source = SyncSource::origin(Url::parse(&server.url()).unwrap());
    let error = follower.client.follow(follower.catalog(), &source, NOW).await.unwrap_err();
    let item = LayoutPath::Head;
    assert!(
        matches!(error, SyncError::Source { item: asked, source: SourceFault::TooLong } if asked == item)
    );
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
