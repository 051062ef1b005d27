//! docs/clients/ostree.md: ostree pulls commits.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a file of 1 MiB, after what else a commit has.
const FATAL: u64 = 300_000;

fn content(folder: &Path, version: &str) {
    fs::create_dir_all(folder.join("incoming/usr")).unwrap();
    fs::write(folder.join("incoming/VERSION"), version).unwrap();
    let seed = version.bytes().last().unwrap();
    fs::write(folder.join("incoming/usr/data"), noise(1 << 20, seed.into())).unwrap();
}

fn version(user: &User) -> String {
    let mut cat = Command::new("ostree");
    cat.current_dir(&user.folder).args(["--repo=mine", "cat", "example:app/stable", "/VERSION"]);
    String::from_utf8(cat.output().unwrap().stdout).unwrap()
}

#[test]
fn ostree_pulls() {
    let Some(mut scenario) = Scenario::begin_over_tls("ostree", &["ostree", "curl", "gpg"]) else { return };
    content(scenario.maintainer(), "1");
    scenario.swap("remote add", "remote add --set=tls-ca-path={here}/../root.pem");
    let client = Client { row: "ostree", install: "use", update: "use", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1", "2"], |_| {}, |folder| content(folder, "2"));
}
