//! `kill -9` at random points, for real: a child process works on a store and says what was acknowledged, its parent
//! kills it, opens the store and compares. `ODI_KILLS` sets how often; `odi bench store` does it over the real binary.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::noise;
use odi_manifest::BlobId;
use odi_store::{RealDisk, Store, StoreOptions};

const CHILD: &str = "ODI_KILL_CHILD";
const BLOBS_PER_CHILD: u64 = 1 << 20;

fn numbered(number: u64) -> (BlobId, Vec<u8>) {
    let size = if number.is_multiple_of(17) { 600_000 } else { 1 + usize::try_from(number % 9000).unwrap() };
    let bytes = noise(size, number);
    (BlobId::of(&bytes), bytes)
}

fn open(folder: &Path) -> Store {
    let options = StoreOptions {
        pack_bytes: 4 << 20,
        commit_interval: Duration::from_millis(10),
        ..StoreOptions::default()
    };
    Store::open(Arc::new(RealDisk), folder, options).unwrap()
}

/// No test: what the killed process does. It ends only by being killed.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (first, folder) = task.split_once(' ').unwrap();
    let (first, store): (u64, _) = (first.parse().unwrap(), open(Path::new(folder)));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for number in (first + thread..).step_by(2) {
                    let (blob, bytes) = numbered(number);
                    store.ingest(&blob, &bytes).unwrap();
                    println!("has {number}");
                    if number.is_multiple_of(29) {
                        println!("kills {number}");
                        store.purge(&blob).unwrap();
                        println!("dead {number}");
                        store.compact().unwrap();
                    }
                }
            });
        }
    });
}

/// What a killed child had said.
#[derive(Default)]
struct Said {
    has: BTreeSet<u64>,
    dead: BTreeSet<u64>,
}

fn one_kill(folder: &Path, first: u64, lines_wanted: usize) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{first} {}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut said, mut heard, mut line) = (Said::default(), 0, String::new());
    // Lines come as fast as commits do: so many of them are a random point in the child's life.
    while lines.read_line(&mut line).unwrap() > 0 {
        // A last line without its end was not said.
        if let Some((word, number)) = line.strip_suffix('\n').and_then(|line| line.rsplit_once(' '))
            && let Ok(number) = number.parse::<u64>()
        {
            match word {
                "has" => _ = said.has.insert(number),
                "kills" => _ = said.has.remove(&number),
                "dead" => _ = said.dead.insert(number),
                _ => {}
            }
            heard += 1;
        }
        line.clear();
        if heard == lines_wanted {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(heard >= lines_wanted, "the child ended by itself");
    said
}

fn check(store: &Store, said: &Said) {
    for number in &said.has {
        let (blob, bytes) = numbered(*number);
        let reader = store.open_blob(&blob).unwrap().unwrap_or_else(|| panic!("blob {number} is lost"));
        let served: Vec<u8> =
            (0..reader.chunk_count()).flat_map(|chunk| reader.chunk(chunk).unwrap()).collect();
        assert_eq!(served, bytes, "blob {number}");
    }
    for number in &said.dead {
        assert!(!store.contains(&numbered(*number).0), "blob {number} is back");
    }
    assert_eq!(store.take_events(), []);
}

#[test]
fn kills_at_random_points_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let kills: u64 = std::env::var("ODI_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let mut all = Said::default();
    for round in 0..kills {
        let lines = 1 + usize::try_from(round * 37 % 101).unwrap();
        let said = one_kill(dir.path(), round * BLOBS_PER_CHILD, lines);
        check(&open(dir.path()), &said);
        all.has.extend(said.has);
        all.dead.extend(said.dead);
    }
    check(&open(dir.path()), &all);
}
