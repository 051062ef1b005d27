//! docs/clients/images.md: a large image by curl, which goes on where it broke off, and the next one by zsync.

use std::fs;
use std::path::Path;

use crate::scenario::{Client, Scenario, User};

/// Images have a gigabyte and more; this is what every run can bear, and nothing in it depends on the size.
const SIZE: usize = 48 << 20;
const FATAL: u64 = 2 << 20;

/// The second differs from the first in one byte of every 8 MiB, and at its end.
fn image(folder: &Path, version: usize) {
    let mut bytes = vec![0; if version == 2 { SIZE + (4 << 20) } else { SIZE }];
    blake3::Hasher::new().update(b"image").finalize_xof().fill(&mut bytes);
    if version == 2 {
        bytes.iter_mut().step_by(8 << 20).for_each(|byte| *byte ^= 1);
    }
    fs::create_dir_all(folder.join("incoming")).unwrap();
    fs::write(folder.join(format!("incoming/system-{version}.iso")), bytes).unwrap();
}

/// The newest that somebody has.
fn version(user: &User) -> String {
    let has = |version: &&str| user.folder.join(format!("system-{version}.iso")).exists();
    ["2", "1"].into_iter().find(has).expect("an image").to_owned()
}

#[test]
fn curl_and_zsync_fetch_images() {
    let Some(mut scenario) = Scenario::begin("images", &["curl", "zsync", "zsyncmake", "sha256sum"]) else {
        return;
    };
    image(scenario.maintainer(), 1);
    let client = |row, install| Client { row, install, update: install, fatal: FATAL, version: &version };
    let clients = [client("`curl -C -`", "use curl"), client("zsync", "use zsync")];
    scenario.play(&clients, ["1", "2"], |_| {}, |folder| image(folder, 2));
}
