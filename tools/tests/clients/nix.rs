//! docs/clients/nix.md: nix copies a path from a binary cache, into a store of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within an archive of 1 MiB.
const FATAL: u64 = 300_000;

/// A path of the maintainer's own store, with a dependency on nothing.
fn path(folder: &Path, version: &str) {
    let work = tempfile::tempdir().unwrap();
    fs::write(work.path().join("data"), noise(1 << 20, version.bytes().last().unwrap().into())).unwrap();
    let mut add = Command::new("nix");
    add.args(["--extra-experimental-features", "nix-command", "store", "add-path", "--name"]);
    add.arg(format!("hello-{version}")).arg(work.path()).env("HOME", folder).env("NIX_REMOTE", store(folder));
    let output = add.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(folder.join("paths"), output.stdout).unwrap();
}

fn store(folder: &Path) -> String {
    format!("local?root={}", folder.join("store").display())
}

/// The newest that somebody's store has.
fn version(user: &User) -> String {
    let paths = fs::read_dir(user.folder.join("store/nix/store")).unwrap().flatten();
    let names = paths.map(|entry| entry.file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.split_once("-hello-")?.1.to_owned())).max().expect("a path")
}

#[test]
fn nix_copies_from_a_binary_cache() {
    let Some(mut scenario) = Scenario::begin_over_tls("nix", &["nix", "nix-store", "curl"]) else { return };
    path(scenario.maintainer(), "1");
    scenario.swap("nix --extra", "NIX_REMOTE='local?root={here}/store' nix --extra");
    let client = Client { row: "nix", install: "use", update: "use", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1", "2"], |_| {}, |folder| path(folder, "2"));
}
