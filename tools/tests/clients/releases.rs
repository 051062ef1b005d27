//! docs/clients/releases.md: curl, wget, wget2, aria2 and a browser fetch an archive, which is then checked.

use std::fs;
use std::path::Path;

use crate::scenario::{Client, Scenario, User};

/// Within an archive of 8 MiB.
const FATAL: u64 = 3_000_000;

fn archive(folder: &Path, version: &str) {
    let mut bytes = vec![0; 8 << 20];
    blake3::Hasher::new().update(version.as_bytes()).finalize_xof().fill(&mut bytes);
    fs::create_dir_all(folder.join("incoming")).unwrap();
    fs::write(folder.join(format!("incoming/tool-{version}.tar.gz")), bytes).unwrap();
}

/// The newest that somebody has; the page's own checks say whether it is right.
fn version(user: &User) -> String {
    let folders = [&user.folder, &user.folder.join("Downloads")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let versions =
        names.filter_map(|name| Some(name.strip_prefix("tool-")?.strip_suffix(".tar.gz")?.to_owned()));
    versions.max().expect("an archive")
}

fn play(mut scenario: Scenario, clients: &[(&'static str, &'static str)]) {
    archive(scenario.maintainer(), "1.0");
    let client = |&(row, install)| Client { row, install, update: install, fatal: FATAL, version: &version };
    let clients: Vec<Client<'_>> = clients.iter().map(client).collect();
    scenario.play(&clients, ["1.0", "2.0"], |_| {}, |folder| archive(folder, "2.0"));
}

#[test]
fn curl_and_wget_fetch_releases() {
    let tools = ["curl", "wget", "wget2", "gpg", "sha256sum"];
    let Some(scenario) = Scenario::begin_over_tls("releases", &tools) else { return };
    play(scenario, &[("curl", "use curl"), ("wget", "use wget"), ("wget2", "use wget2")]);
}

#[test]
fn aria2_fetches_releases() {
    let tools = ["curl", "aria2c", "gpg", "sha256sum"];
    let Some(scenario) = Scenario::begin_over_tls_to_addresses("releases", &tools) else { return };
    play(scenario, &[("aria2, metalink", "use aria2")]);
}

#[test]
fn a_browser_downloads_releases() {
    let tools = ["chromium", "certutil", "curl", "gpg", "python3", "sha256sum"];
    let Some(mut scenario) = Scenario::begin_over_tls("releases", &tools) else { return };
    let clicks = concat!("python3 ", env!("CARGO_MANIFEST_DIR"), "/tests/clients/browser.py");
    // Who clicks is not on the page.
    scenario.swap("name=tool-2.0.tar.gz", &format!("name=$({clicks} https://everest.example.org/releases/)"));
    play(scenario, &[("a browser", "use a browser")]);
}
