//! `odi-sign init` and `publish` through the real binary: what a maintainer does every day.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]
#[path = "support/maintainer.rs"]
mod maintainer;

use std::fs;
use std::time::{Duration, SystemTime};

use maintainer::Maintainer;

#[test]
fn a_tree_is_published_and_stays_while_nothing_changes() {
    let m = Maintainer::with_tree(&[("a/x", "hi"), ("index.html", "one")]);
    let first = m.json(&["publish", "TREE", "--key", "REL"]);
    assert_eq!((first["state"].as_str(), first["seq"].as_u64()), (Some("published"), Some(1)));
    assert_eq!(first["entries"], 2);
    let again = m.json(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(again["state"], "unchanged");
    assert_eq!(again["head"], first["head"]);
    let status = m.json(&["status", "TREE"]);
    for field in ["id", "name", "seq", "head", "entries", "bytes", "expires"] {
        assert_eq!(status[field], first[field], "{field}");
    }
}

#[test]
fn a_replaced_file_is_the_next_head_and_its_former_bytes_stay() {
    let m = Maintainer::with_tree(&[("a/x", "hi"), ("index.html", "one")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    m.write("index.html", "two");
    let second = m.json(&["publish", "TREE", "--key", "REL"]);
    assert_eq!((second["seq"].as_u64(), second["changed"].as_u64()), (Some(2), Some(1)));
    let kept = m.tree().join(".odi/blobs").join(sharded(b"one"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "one");
    assert_eq!(m.text(&["diff", "TREE"]), "~ index.html\n");
}

#[test]
fn an_unchanged_file_keeps_its_published_time_and_a_changed_one_moves_on() {
    let m = Maintainer::with_tree(&[("same", "same"), ("back", "one")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let before = m.json(&["ls", "TREE"]);
    // `touch` alone changes nothing; older bytes with an older time must still look newer.
    let hour_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    m.write("back", "two");
    for name in ["same", "back"] {
        fs::File::open(m.tree().join(name)).unwrap().set_modified(hour_ago).unwrap();
    }
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let after = m.json(&["ls", "TREE"]);
    assert_eq!(before[1]["mtime"], after[1]["mtime"]);
    assert_eq!(before[0]["mtime"].as_u64().unwrap() + 1, after[0]["mtime"].as_u64().unwrap());
}

#[test]
fn a_key_of_another_role_is_refused_before_any_work() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    let refused = m.run(&["publish", "TREE", "--key", "ROOT"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(!m.tree().join(".odi/head").exists());
}

#[test]
fn labels_and_revocations_are_heads_of_the_same_tree() {
    let m = Maintainer::with_tree(&[("a/x", "bad"), ("y", "y")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(m.json(&["label", "TREE", "stable", "1", "--key", "REL"])["seq"], 2);
    assert_eq!(m.json(&["log", "TREE"])[1]["labels"][0], "stable");
    assert_eq!(m.failure(&["label", "TREE", "stable", "9", "--key", "REL"]).0, 5);
    let revoked = m.json(&["revoke", "TREE", "a/x", "--key", "REL", "--reason", "compromised"]);
    assert_eq!((revoked["seq"].as_u64(), revoked["entries"].as_u64()), (Some(3), Some(2)));
    m.write("z", "bad");
    let again = m.json(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(again["notes"][0], "z is withdrawn (compromised), and no relay will serve it");
    assert_eq!(m.failure(&["revoke", "TREE", "no/such", "--key", "REL"]).0, 2);
    m.ok(&["verify", "TREE"]);
}

#[test]
fn bytes_overwritten_in_place_are_not_passed_off_as_the_former_ones() {
    let m = Maintainer::with_tree(&[("index", "one")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    fs::write(m.tree().join("index"), "two").unwrap();
    let second = m.json(&["publish", "TREE", "--key", "REL"]);
    assert!(second["notes"][0].as_str().unwrap().starts_with("index was overwritten in place"));
    assert!(!m.tree().join(".odi/blobs").join(sharded(b"one")).exists());
    // Having changed once, the path is copied, and survives the next time.
    fs::write(m.tree().join("index"), "three").unwrap();
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let kept = m.tree().join(".odi/blobs").join(sharded(b"two"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "two");
}

fn sharded(bytes: &[u8]) -> String {
    let id = odi_manifest::BlobId::of(bytes).to_string();
    format!("{}/{id}", &id[..2])
}
