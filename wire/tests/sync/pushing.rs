//! Heads that are pushed: no origin and no trust in the pusher is needed.

use std::sync::Arc;

use odi_fixtures::{Ending, PublishedCatalog, Script, ScriptedServer, put};
use odi_wire::layout::LayoutPath;
use odi_wire::message::Push;
use odi_wire::sync::{PushOutcome, SyncError, SyncOutcome, SyncSource};
use url::Url;

use crate::follower::{Follower, NOW, Origin, published};

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
