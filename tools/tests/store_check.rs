//! `odi store check` and the kill loop, over the real binary.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use odi_manifest::BlobId;
use odi_store::{RealDisk, Store, StoreOptions};

fn odi(words: &[&str], path: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_odi")).args(words).arg(path).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn check_finds_damage_and_rebuilds_a_lost_index() {
    let dir = tempfile::tempdir().unwrap();
    let blob = BlobId::of(b"something to keep");
    let store = Store::open(Arc::new(RealDisk), dir.path(), StoreOptions::default()).unwrap();
    store.ingest(&blob, b"something to keep").unwrap();
    drop(store);
    let good = odi(&["store", "check"], dir.path(), &[]);
    assert!(
        good.status.success() && said(&good).contains("every record that is needed verifies"),
        "{}",
        said(&good)
    );

    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let lost = odi(&["store", "check"], dir.path(), &[]);
    assert!(!lost.status.success() && said(&lost).contains("--rebuild"), "{}", said(&lost));
    let rebuilt = odi(&["store", "check"], dir.path(), &["--rebuild"]);
    assert!(rebuilt.status.success() && said(&rebuilt).contains("1 blobs"), "{}", said(&rebuilt));

    let pack = dir.path().join("packs/00000001.pack");
    let mut bytes = std::fs::read(&pack).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let damaged = odi(&["store", "check"], dir.path(), &[]);
    assert!(!damaged.status.success() && said(&damaged).contains("damaged"), "{}", said(&damaged));

    let none = odi(&["store", "check"], &dir.path().join("packs"), &["--rebuild"]);
    assert!(!none.status.success() && said(&none).contains("is no store"), "{}", said(&none));
}

#[test]
fn kills_of_the_real_binary_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let only_kills = ["--rounds", "0", "--small-files", "0", "--blobs", "0", "--kills", "5"];
    let killed = odi(&["bench", "store", "--work"], dir.path(), &only_kills);
    assert!(killed.status.success() && said(&killed).contains("none lost"), "{}", said(&killed));
}
