//! docs/clients/flatpak.md: flatpak installs an application and updates it.

use std::fs;
use std::path::Path;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a file of 1 MiB, after what else an application has.
const FATAL: u64 = 300_000;

/// What is built, of which nothing is ever run.
fn application(folder: &Path, version: &str) {
    let (files, metadata) = (folder.join("incoming/files"), folder.join("incoming/metadata"));
    fs::create_dir_all(folder.join("incoming/export")).unwrap();
    fs::create_dir_all(&files).unwrap();
    let runtime = "runtime=org.example.Platform/x86_64/stable\nsdk=org.example.Sdk/x86_64/stable";
    fs::write(metadata, format!("[Application]\nname=org.example.Hello\n{runtime}\n")).unwrap();
    fs::write(files.join("VERSION"), version).unwrap();
    let seed = version.bytes().last().unwrap();
    fs::write(files.join("data"), noise(1 << 20, seed.into())).unwrap();
}

fn version(user: &User) -> String {
    let deployed = ".local/share/flatpak/app/org.example.Hello/current/active/files/VERSION";
    fs::read_to_string(user.folder.join(deployed)).unwrap()
}

/// Over http: flatpak believes the authorities of the system alone.
#[test]
fn flatpak_installs_and_updates() {
    let Some(mut scenario) = Scenario::begin("flatpak", &["flatpak", "curl", "gpg"]) else { return };
    application(scenario.maintainer(), "1");
    // What the application would run on is not here.
    scenario.swap("--noninteractive", "--noninteractive --no-deps");
    let client =
        Client { row: "flatpak, http", install: "use", update: "update", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1", "2"], |_| {}, |folder| application(folder, "2"));
}
