//! docs/clients/oci.md: skopeo copies an image from what is no registry but a catalog called `v2`.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a layer of 1 MiB.
const FATAL: u64 = 300_000;

/// An image of one layer, of which the version is part.
fn image(folder: &Path, version: &str) {
    let (layout, data) = (folder.join("incoming"), tempfile::tempdir().unwrap());
    let file = data.path().join("data");
    fs::write(&file, noise(1 << 20, version.bytes().last().unwrap().into())).unwrap();
    let _ = fs::remove_dir_all(&layout);
    let umoci = |arguments: &[&str]| {
        let output = Command::new("umoci").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    umoci(&["init", "--layout", "incoming"]);
    umoci(&["new", "--image", "incoming:latest"]);
    umoci(&["insert", "--image", "incoming:latest", file.to_str().unwrap(), "/data"]);
    umoci(&["config", "--image", "incoming:latest", "--config.label", &format!("version={version}")]);
}

/// The label of the image that somebody copied.
fn version(user: &User) -> String {
    let mut look = Command::new("skopeo");
    look.args(["inspect", "--format", "{{index .Labels \"version\"}}", "oci:mine:latest"])
        .current_dir(&user.folder);
    String::from_utf8(look.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn skopeo_copies_an_image() {
    let Some(mut scenario) = Scenario::begin_over_tls_as("oci", "v2", &["skopeo", "umoci", "python3"]) else {
        return;
    };
    image(scenario.maintainer(), "1");
    let client = Client { row: "skopeo", install: "use", update: "use", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1", "2"], |_| {}, |folder| image(folder, "2"));
}
