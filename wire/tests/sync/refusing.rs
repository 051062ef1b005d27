//! Heads that are old, forked, foreign, expired or revoked by an epoch: the held one stays.

use odi_fixtures::{Ending, PublishedCatalog, Script, ScriptedServer, head_in, put};
use odi_manifest::{
    Because, HeadRefusal, Reason, Revocation, RevocationList, Revoked, SigningKey, Timestamp, skip_target,
};
use odi_wire::fetch::SourceFault;
use odi_wire::layout::LayoutPath;
use odi_wire::sync::{Resolved, SyncError, SyncSource};
use url::Url;

use crate::follower::{Follower, NOW, Origin, published, refusal};

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

    // Whoever comes later finds the contradiction below their next head.
    origin.show(&ours);
    let late = Follower::of(&ours);
    late.advance(&origin).await;
    theirs.publish(&[put("theirs", b"3")]);
    origin.show(&theirs);
    for holder in [&follower, &late] {
        let error = holder.refused(&origin).await;
        assert!(matches!(error, SyncError::Equivocation { seq: 3, .. }), "{error:?}");
        let believed = holder.catalog().state().believed().cloned().unwrap();
        assert_eq!(believed.equivocations.len(), 1);
        assert_eq!(holder.held(), Some(ours.newest().id()));
    }

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
