//! docs/clients/images.md: a large image by curl, which goes on where it broke off, and the next one by zsync.

use std::fs;
use std::path::Path;

use crate::report::Recovery;
use crate::scenario::{Client, Scenario, User};

/// What the whole story can bear: it has many downloads.
const SIZE: usize = 48 << 20;
const FATAL: u64 = 2 << 20;
/// What images have.
const LARGE: usize = 1_000_000_000;

/// The second differs from the first in one byte of every 8 MiB, and at its end.
fn image(folder: &Path, version: usize, size: usize) {
    let mut bytes = vec![0; if version == 2 { size + (4 << 20) } else { size }];
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
    image(scenario.maintainer(), 1, SIZE);
    let client = |row, install| Client { row, install, update: install, fatal: FATAL, version: &version };
    let clients = [client("`curl -C -`", "use curl"), client("zsync", "use zsync")];
    scenario.play(&clients, ["1", "2"], |_| {}, |folder| image(folder, 2, SIZE));
}

#[test]
fn curl_goes_on_with_a_gigabyte_whose_relay_died_in_the_middle() {
    let Some(mut scenario) = Scenario::begin("images", &["curl", "zsyncmake", "sha256sum"]) else { return };
    image(scenario.maintainer(), 1, LARGE);
    scenario.publish();
    scenario.until_relays_give("system-1.iso");
    let user = scenario.user(0);
    let recovery = scenario.with_a_death(&user, "use curl", LARGE as u64 / 2);
    assert_eq!(recovery, Recovery::ByItself);
    let got = user.folder.join("system-1.iso").metadata().unwrap().len();
    assert_eq!(got, LARGE as u64, "and the page's own loop has checked its SHA-256");
    // Nothing of the first half came twice.
    let (again, piece) = (scenario.bytes_told(), 16 << 20);
    assert!(again < LARGE as u64 + piece, "{again} bytes came for {LARGE}");
}
