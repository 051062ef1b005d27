//! `odi-sign import` through the real binary: folders that jobs fill, and lists of what is published elsewhere.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]

#[path = "support/installed.rs"]
mod installed;
#[path = "support/maintainer.rs"]
mod maintainer;
#[path = "support/skip.rs"]
mod skip;
#[path = "sign_import/watched.rs"]
mod watched;
#[path = "support/web.rs"]
mod web;

#[path = "sign_import/lists.rs"]
mod lists;
#[path = "sign_import/network.rs"]
mod network;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use installed::is_installed;
use maintainer::Maintainer;
use watched::Watched;

#[test]
fn a_watched_folder_is_published_whenever_it_is_quiet_and_done() {
    let m = Maintainer::with_tree(&[("a/x", "hi"), ("index", "one")]);
    let mut watched = Watched::start(&m, &["--settle", "1s"]);
    let first = watched.head();
    assert_eq!((first["seq"].as_u64(), first["entries"].as_u64()), (Some(1), Some(2)));
    // What rsync is still writing holds everything up, however long it takes.
    m.write("a/.y.9cKq2x", "half");
    m.write("index", "two");
    watched.says("waits: a/.y.9cKq2x is not finished");
    assert_eq!(m.json(&["status", "TREE"])["seq"], 1);
    fs::rename(m.tree().join("a/.y.9cKq2x"), m.tree().join("a/y")).unwrap();
    let second = watched.head();
    assert_eq!((second["seq"].as_u64(), second["entries"].as_u64()), (Some(2), Some(3)));
    assert_eq!((second["added"].as_u64(), second["changed"].as_u64()), (Some(1), Some(1)));
    watched.ends();
    assert_eq!(m.json(&["status", "TREE"])["seq"], 2);
    m.ok(&["verify", "TREE"]);
    // It goes on where it was.
    let mut again = Watched::start(&m, &["--settle", "1s"]);
    assert_eq!(again.head()["state"], "unchanged");
    again.ends();
}

#[test]
fn with_a_marker_nothing_is_published_before_it_is_touched() {
    let m = Maintainer::with_tree(&[("x", "one"), ("trace/done", "monday")]);
    let marked = ["--settle", "0s", "--marker", "trace/done"];
    let mut watched = Watched::start(&m, &marked);
    assert_eq!(watched.head()["seq"], 1);
    m.write("x", "two");
    watched.says("waits: the marker was not touched");
    m.write("y", "new");
    m.write("trace/done", "tuesday");
    let second = watched.head();
    assert_eq!((second["seq"].as_u64(), second["changed"].as_u64()), (Some(2), Some(2)));
    m.write("x", "three");
    watched.says("waits: the marker was not touched");
    watched.ends();
    // A new process knows what the old one knew.
    let once = |arguments: &[&str]| m.json(&[&["import", "TREE", "--key", "REL"], arguments].concat());
    assert_eq!(once(&marked)["state"], "untouched");
    m.write("trace/done", "wednesday");
    assert_eq!(once(&marked)["seq"], 3);
    assert_eq!(once(&marked)["state"], "untouched");
    assert_eq!(once(&["--settle", "0s"])["state"], "unchanged");
}

#[test]
fn what_cannot_be_published_is_said_and_tried_again() {
    let m = Maintainer::with_tree(&[("x", "one")]);
    let mut watched = Watched::start(&m, &["--settle", "0s"]);
    assert_eq!(watched.head()["seq"], 1);
    symlink("/etc/hostname", m.tree().join("out")).unwrap();
    watched.says("out: this link leaves the tree (to /etc/hostname); again when it changes, or in 30 s");
    fs::remove_file(m.tree().join("out")).unwrap();
    m.write("x", "two");
    assert_eq!(watched.head()["seq"], 2);
    // The catalog itself swept away, as `rsync --delete` does without `--exclude /.odi`.
    fs::rename(m.tree().join(".odi"), m.path().join("away")).unwrap();
    m.write("x", "three");
    watched.says("has no .odi/ folder with a root of trust");
    fs::rename(m.path().join("away"), m.tree().join(".odi")).unwrap();
    m.write("x", "four");
    assert_eq!(watched.head()["seq"], 3);
    watched.ends();
    m.ok(&["verify", "TREE"]);
}

#[test]
fn importing_once_refuses_what_is_not_finished() {
    let m = Maintainer::with_tree(&[("x", "one"), (".~tmp~/y", "half")]);
    let once = ["import", "TREE", "--key", "REL", "--settle", "0s"];
    let (code, said) = m.failure(&once);
    assert_eq!(code, 7);
    assert_eq!(
        said,
        "odi-sign: /HERE/tree is being filled: .~tmp~/y is not finished; run this again when it is done\n"
    );
    fs::rename(m.tree().join(".~tmp~/y"), m.tree().join("y")).unwrap();
    assert_eq!(m.json(&once)["entries"], 2);
    assert_eq!(m.failure(&["import", "TREE", "--key", "ROOT", "--watch"]).0, 4);
}

#[test]
fn rsync_fills_a_watched_folder_and_only_whole_states_are_published() {
    if !is_installed("rsync") {
        return;
    }
    let m = Maintainer::with_tree(&[("old", "old")]);
    let upstream = m.path().join("upstream");
    fs::create_dir_all(upstream.join("pool")).unwrap();
    let content = |name: u8, day: u8| vec![name ^ day; 400_000];
    let mut watched = Watched::start(&m, &["--settle", "1s"]);
    assert_eq!(watched.head()["entries"], 1);
    for day in 1..3 {
        for name in 0..8 {
            fs::write(upstream.join(format!("pool/{name}")), content(name, 16 * day)).unwrap();
        }
        // Slow enough that the folder is looked at several times meanwhile.
        let mut rsync = Command::new("rsync");
        rsync.args(["-rt", "--whole-file", "--delete", "--exclude=/.odi/", "--bwlimit=1000"]);
        rsync.arg(format!("{}/", upstream.display())).arg(m.tree());
        assert!(rsync.status().unwrap().success());
        let head = watched.head();
        assert_eq!((head["seq"].as_u64(), head["entries"].as_u64()), (Some(u64::from(day) + 1), Some(8)));
    }
    watched.ends();
    m.ok(&["verify", "TREE"]);
}
