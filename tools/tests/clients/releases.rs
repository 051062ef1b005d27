//! docs/clients/releases.md: curl, wget, wget2 and aria2 fetch an archive and check it.

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
    let names =
        fs::read_dir(&user.folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let versions =
        names.filter_map(|name| Some(name.strip_prefix("tool-")?.strip_suffix(".tar.gz")?.to_owned()));
    versions.max().expect("an archive")
}

#[test]
fn curl_wget_and_aria2_fetch_releases() {
    let tools = ["curl", "wget", "wget2", "aria2c", "gpg", "sha256sum"];
    let Some(mut scenario) = Scenario::begin("releases", &tools) else { return };
    archive(scenario.maintainer(), "1.0");
    let client = |row, install| Client { row, install, update: install, fatal: FATAL, version: &version };
    let clients = [
        client("curl", "use curl"),
        client("wget", "use wget"),
        client("wget2", "use wget2"),
        client("aria2, metalink", "use aria2"),
    ];
    scenario.play(&clients, ["1.0", "2.0"], |_| {}, |folder| archive(folder, "2.0"));
}
