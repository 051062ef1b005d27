//! docs/clients/npm.md: npm, from static documents and archives.

use std::fs;

use crate::scenario::{Client, Scenario, User, copy_packages};

const VERSIONS: [&str; 2] = ["4.17.20", "4.17.21"];
/// Within an archive of 300 kB.
const FATAL: u64 = 100_000;

fn version(user: &User) -> String {
    let manifest = fs::read(user.folder.join("node_modules/lodash/package.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    manifest["version"].as_str().unwrap().to_owned()
}

#[test]
fn npm_installs_and_updates() {
    let Some(mut scenario) = Scenario::begin_over_tls("npm", &["npm", "node"]) else { return };
    let incoming = scenario.maintainer().join("incoming");
    let names = VERSIONS.map(|version| format!("lodash-{version}"));
    let Some([_, next]) = copy_packages("npm", names, &incoming) else { return };
    let aside = next.with_extension("later");
    fs::rename(&next, &aside).unwrap();
    scenario.swap("SOME-PACKAGE", "lodash");
    let client = Client { row: "npm", install: "use", update: "update", fatal: FATAL, version: &version };
    scenario.play(&[client], VERSIONS, |_| {}, |_| fs::rename(&aside, &next).unwrap());
}
