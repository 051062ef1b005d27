//! `odi demo`, the real binary, with a tree of somebody's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

fn demo(tree: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi"));
    command.arg("demo").arg("--tree").arg(tree).env("TMPDIR", temporary);
    command
}

#[test]
fn what_publish_refuses_is_refused_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, temporary) = (folder.path().join("tree"), folder.path().join("tmp"));
    fs::create_dir_all(&tree).unwrap();
    fs::create_dir(&temporary).unwrap();
    let said = || {
        let ended = demo(&tree, &temporary).arg("--once").output().unwrap();
        assert!(!ended.status.success());
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left behind");
        String::from_utf8(ended.stderr).unwrap()
    };
    assert!(said().contains("has no files"));
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(tree.join("a"), "a").unwrap();
    symlink(folder.path().join("secret"), tree.join("link")).unwrap();
    let refused = said();
    assert!(refused.contains("link: this link leaves the tree"), "{refused}");
}

#[test]
fn a_demo_that_is_told_to_end_cleans_up_and_names_the_largest_file() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, temporary) = (folder.path().join("tree"), folder.path().join("tmp"));
    fs::create_dir_all(&tree).unwrap();
    fs::create_dir(&temporary).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("it's $(large)"), vec![7; 200_000]).unwrap();
    let mut running = demo(&tree, &temporary).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let invited = lines.by_ref().map(Result::unwrap).find(|line| line.contains("curl -LO"));
    let invited = invited.expect("it ended before it was ready");
    assert!(invited.ends_with("/demo/it%27s%20%24%28large%29'"), "{invited}");
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    lines.for_each(drop);
    assert!(running.wait().unwrap().success());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left behind");
    let mut logged = String::new();
    std::io::Read::read_to_string(&mut running.stderr.take().unwrap(), &mut logged).unwrap();
    assert!(!logged.contains('\u{1b}'), "colours for nobody: {logged}");
}
