//! A short soak: the program that runs for half an hour before a release, for half a minute.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn mixed_load_over_dying_and_lying_sources_leaves_nothing_wrong() {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "odi-directoryd", "--package", "odi-relayd", "--bins"]);
    assert!(build.status().unwrap().success());
    let work = tempfile::tempdir().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_odi"))
        .args(["bench", "soak", "--minutes", "0.6", "--every", "5", "--clients", "12"])
        .args(["--disk", "64 MiB", "--content", "100 MB", "--work"])
        .arg(work.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
}
