//! docs/clients/crates.md: cargo, from a sparse index.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a crate of 1 MiB.
const FATAL: u64 = 300_000;

fn package(folder: &Path, version: &str) {
    let work = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"odi-hello\"\nversion = \"{version}\"\nedition = \"2021\"\nlicense = \"MIT\"\n\
         description = \"A greeting\"\n[workspace]\n"
    );
    fs::write(work.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(work.path().join("src")).unwrap();
    fs::write(work.path().join("src/lib.rs"), "").unwrap();
    fs::write(work.path().join("data"), noise(1 << 20, 6)).unwrap();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| env!("CARGO").to_owned());
    let mut build = Command::new(cargo);
    build.args(["package", "--quiet", "--no-verify", "--allow-dirty", "--offline", "--target-dir", "target"]);
    let built = build.current_dir(work.path()).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let name = format!("odi-hello-{version}.crate");
    fs::create_dir_all(folder.join("incoming")).unwrap();
    fs::copy(work.path().join("target/package").join(&name), folder.join("incoming").join(name)).unwrap();
}

/// What is locked; its archive was fetched and compared with the index.
fn version(user: &User) -> String {
    let lock = fs::read_to_string(user.folder.join("project/Cargo.lock")).unwrap();
    let (_, own) = lock.split_once("name = \"odi-hello\"\nversion = \"").unwrap();
    own.split('"').next().unwrap().to_owned()
}

#[test]
fn cargo_fetches_and_updates() {
    let Some(mut scenario) = Scenario::begin_over_tls("crates", &["python3"]) else { return };
    package(scenario.maintainer(), "1.0.0");
    scenario.swap("SOME-CRATE", "odi-hello");
    let client = Client {
        row: "cargo, sparse index",
        install: "use",
        update: "update",
        fatal: FATAL,
        version: &version,
    };
    scenario.play(&[client], ["1.0.0", "1.1.0"], |_| {}, |folder| package(folder, "1.1.0"));
}
