//! A publish that dies at any step, or beside another, leaves a catalog that every follower still follows.
//!
//! The disk dies before, after or in the middle of its n-th verb, for every n, or takes back what was not synced; the
//! real binary is killed at times spread over its run. Afterwards a plain re-run must leave one line of heads: no
//! number ever means two heads, and whoever held any head that was ever shown moves on to the newest.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]
#[path = "support/maintainer.rs"]
mod maintainer;
#[path = "support/mortal_disk.rs"]
mod mortal_disk;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use maintainer::Maintainer;
use mortal_disk::{Death, MortalDisk};
use odi_manifest::{
    Adoption, Ancestors, Clock, Head, HeadId, SigningKey, SystemClock, TrustRoot, Unverified, Verified, judge,
};
use odi_tools::sign::{
    BoxedSigner, Description, HeadOutcome, InitRequest, PublishRequest, RealTreeDisk, Silent, TreeDisk, init,
    publish,
};

const DAY: Duration = Duration::from_secs(86_400);

fn signers() -> Vec<BoxedSigner> {
    vec![Box::new(SigningKey::from_seed(&[1; 32]))]
}

fn begin(tree: &Path) {
    let key = SigningKey::from_seed(&[1; 32]).public_key();
    let request = InitRequest {
        tree: tree.to_path_buf(),
        name: "demo".to_owned(),
        root_keys: vec![key],
        root_threshold: 1,
        release_keys: vec![key],
        release_threshold: 1,
        revoke_keys: Vec::new(),
        witnesses: Vec::new(),
        witness_quorum: None,
        expires: 30 * DAY,
        description: Description::default(),
    };
    init(&RealTreeDisk, &request, &signers(), SystemClock.now()).unwrap();
}

fn publish_on(disk: &dyn TreeDisk, tree: &Path) -> Result<HeadOutcome, odi_tools::sign::Failure> {
    let request = PublishRequest {
        tree,
        signers: &signers(),
        now: SystemClock.now(),
        expires: 30 * DAY,
        renew: false,
        rehash: false,
        discard_waiting: false,
        directories: &[],
        offline: true,
        keep_replaced: Duration::ZERO,
        description: &Description::default(),
        cache: None,
        steady: false,
        imported: None,
        workers: 1,
        progress: &Silent,
    };
    publish(disk, &request)
}

/// Everyone who ever looked at the tree: which head each number meant, and what the newest was at each look.
#[derive(Default)]
struct Followers {
    seen: BTreeMap<u64, HeadId>,
    held: Vec<Verified<Head>>,
}

impl Followers {
    /// Looks at the tree as a web server would show it now, and follows it.
    fn look(&mut self, tree: &Path) {
        let odi = tree.join(".odi");
        let first = Unverified::decode(&fs::read(odi.join("roots/1")).unwrap()).unwrap();
        let trust = TrustRoot::found(&first).unwrap();
        for entry in fs::read_dir(odi.join("heads")).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_none() {
                self.see(&Unverified::decode(&fs::read(&path).unwrap()).unwrap());
            }
        }
        let Ok(bytes) = fs::read(odi.join("head")) else { return };
        let newest: Unverified<Head> = Unverified::decode(&bytes).unwrap();
        self.see(&newest);
        let newest = trust.verify_head(&newest).unwrap();
        for held in &self.held {
            follow(&odi, &trust, held, &newest);
        }
        if self.held.last().is_none_or(|held| held.id() != newest.id()) {
            self.held.push(newest);
        }
    }

    fn see(&mut self, head: &Unverified<Head>) {
        let known = *self.seen.entry(head.claims().seq).or_insert_with(|| head.id());
        assert_eq!(known, head.id(), "head {} means two things", head.claims().seq);
    }
}

fn follow(odi: &Path, trust: &TrustRoot, held: &Verified<Head>, newest: &Verified<Head>) {
    let mut ancestors = Ancestors::default();
    loop {
        match judge(trust, Some(held), newest, &ancestors, SystemClock.now()).unwrap() {
            Adoption::Same | Adoption::Adopt(_) => return,
            Adoption::NeedsAncestor { seq, head } => {
                let bytes = fs::read(odi.join(format!("heads/{seq}"))).unwrap();
                ancestors.insert(&head, Unverified::decode(&bytes).unwrap()).unwrap();
            }
            Adoption::Equivocation(_) => panic!("two heads of one number"),
        }
    }
}

fn write(tree: &Path, path: &str, text: &str) {
    let target = tree.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    let new = tree.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, target).unwrap();
}

/// A tree with two heads, about to get its third, which comes with a full file, skips and replaced bytes.
fn tree_with_history(tree: &Path) {
    write(tree, "a/kept", "kept");
    write(tree, "index", "one");
    write(tree, "large", &"x".repeat(300_000));
    begin(tree);
    publish_on(&RealTreeDisk, tree).unwrap();
    for round in ["two", "three"] {
        write(tree, "index", round);
        publish_on(&RealTreeDisk, tree).unwrap();
    }
    write(tree, "index", "four");
    write(tree, "large", &"y".repeat(300_000));
    fs::remove_file(tree.join("a/kept")).unwrap();
    write(tree, "b/new", "new");
}

fn copy_tree(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// In memory where that is possible: hundreds of publishes, each with its syncs.
fn scratch_folder() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn dies_at_every_step(death: Death) {
    let folder = scratch_folder();
    let template = folder.path().join("template");
    tree_with_history(&template);
    for step in 0.. {
        let tree = folder.path().join(format!("tree-{step}"));
        copy_tree(&template, &tree);
        let mut followers = Followers::default();
        followers.look(&tree);
        let disk = MortalDisk::new(step, death);
        let result = publish_on(&disk, &tree);
        disk.lose_power();
        followers.look(&tree);
        if !disk.died() {
            result.unwrap();
            assert!(step > 30, "{step} steps are too few to be a publish");
            return;
        }
        // The tree changes between the crash and the re-run, as trees do.
        write(&tree, "index", "five");
        publish_on(&RealTreeDisk, &tree).unwrap();
        followers.look(&tree);
        let newest = followers.held.last().unwrap();
        assert!(newest.seq >= 4, "died at step {step}: still at head {}", newest.seq);
        let verified = std::process::Command::new(env!("CARGO_BIN_EXE_odi-sign"))
            .arg("verify")
            .arg(&tree)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "died at step {step}: {said}");
        assert!(!tree.join(".odi/pending").exists());
        fs::remove_dir_all(tree).unwrap();
    }
}

#[test]
fn a_disk_that_dies_before_any_step() {
    dies_at_every_step(Death::Before);
}

#[test]
fn a_disk_that_dies_after_any_step() {
    dies_at_every_step(Death::After);
}

#[test]
fn a_disk_that_dies_in_the_middle_of_any_write() {
    dies_at_every_step(Death::Torn);
}

#[test]
fn a_power_cut_at_any_step() {
    dies_at_every_step(Death::PowerCut);
}

#[test]
fn a_signed_head_survives_the_crash_and_is_the_one_that_appears() {
    let folder = scratch_folder();
    let tree = folder.path().join("tree");
    tree_with_history(&tree);
    let pending = tree.join(".odi/pending");
    let signed = (0..).find_map(|step| {
        let disk = MortalDisk::new(step, Death::Before);
        let _died = publish_on(&disk, &tree);
        fs::read(&pending).ok()
    });
    write(&tree, "index", "changed since");
    let outcome = publish_on(&RealTreeDisk, &tree).unwrap();
    assert_eq!((outcome.finished, outcome.seq), (Some(4), 5));
    assert_eq!(fs::read(tree.join(".odi/heads/4")).unwrap(), signed.unwrap());
}

#[test]
fn a_killed_process_leaves_what_a_re_run_completes() {
    let m = Maintainer::with_tree(&[("index", "0")]);
    (0..200).for_each(|index| m.write(&format!("pool/{index}"), &index.to_string()));
    let began = Instant::now();
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let whole = began.elapsed();
    let mut followers = Followers::default();
    for round in 1..=24_u32 {
        m.write("index", &round.to_string());
        m.write(&format!("pool/{round}"), "changed");
        let mut publish = m.command(&["publish", "TREE", "--key", "REL"]);
        let mut child = publish.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (_never, clock) = mpsc::channel::<()>();
        let _elapsed = clock.recv_timeout(whole * round / 24);
        child.kill().unwrap();
        child.wait().unwrap();
        followers.look(&m.tree());
    }
    m.ok(&["publish", "TREE", "--key", "REL"]);
    followers.look(&m.tree());
    m.ok(&["verify", "TREE"]);
    assert!(followers.held.len() > 1, "every run was killed before it did anything");
}

#[test]
fn maintainers_who_publish_one_tree_at_once_make_one_line() {
    let m = Maintainer::with_tree(&[("index", "0")]);
    let mut followers = Followers::default();
    let (mut published, mut busy) = (0, 0);
    for round in 0..5 {
        m.write("index", &format!("round {round}"));
        let mut publish = m.command(&["publish", "TREE", "--key", "REL", "--renew"]);
        publish.stdout(Stdio::null()).stderr(Stdio::null());
        let mut children: Vec<_> = (0..4).map(|_| publish.spawn().unwrap()).collect();
        for child in &mut children {
            match child.wait().unwrap().code() {
                Some(0) => published += 1,
                Some(7) => busy += 1,
                other => panic!("ended with {other:?}"),
            }
        }
        followers.look(&m.tree());
    }
    assert!(published >= 5, "{published} published, {busy} found the tree busy");
    assert_eq!(followers.held.last().unwrap().seq, published);
}
