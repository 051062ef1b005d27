//! docs/clients/jenkins.md: an update centre's document, and the plugins that it names.

use std::fs;
use std::path::Path;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a plugin of 1 MiB.
const FATAL: u64 = 300_000;

fn plugin(folder: &Path, version: &str) {
    fs::create_dir_all(folder.join("incoming")).unwrap();
    let bytes = [format!("Plugin-Version: {version}\n").into_bytes(), noise(1 << 20, 3)].concat();
    fs::write(folder.join(format!("incoming/example-{version}.hpi")), bytes).unwrap();
}

fn version(user: &User) -> String {
    let bytes = fs::read(user.folder.join("example.hpi")).unwrap();
    String::from_utf8_lossy(&bytes[16..19]).into_owned()
}

#[test]
fn an_update_centre_and_its_plugins() {
    let Some(mut scenario) = Scenario::begin_over_tls("jenkins", &["curl", "python3", "sha256sum"]) else {
        return;
    };
    plugin(scenario.maintainer(), "1.0");
    let client = Client { row: "curl", install: "use", update: "use", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1.0", "1.1"], |_| {}, |folder| plugin(folder, "1.1"));
}
