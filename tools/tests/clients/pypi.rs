//! docs/clients/pypi.md: pip and uv, from pages in HTML and in JSON.

use std::fs;
use std::process::Command;

use crate::scenario::{Client, Scenario, User, copy_packages};

const VERSIONS: [&str; 2] = ["2024.1", "2024.2"];
/// Within a wheel of 500 kB.
const FATAL: u64 = 60_000;

/// The version that somebody has, by what lies beside it.
fn version(user: &User) -> String {
    let found = fs::read_dir(user.folder.join("site")).unwrap().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        Some(name.strip_prefix("pytz-")?.strip_suffix(".dist-info")?.to_owned())
    });
    found.expect("pytz is there")
}

#[test]
fn pip_and_uv_install_and_upgrade() {
    let Some(mut scenario) = Scenario::begin("pypi", &["pip", "uv", "python3"]) else { return };
    let incoming = scenario.maintainer().join("incoming");
    let Some([wheel, next]) =
        copy_packages("clients", VERSIONS.map(|version| format!("pytz-{version}")), &incoming)
    else {
        return;
    };
    // The second is for later.
    let aside = next.with_extension("later");
    fs::rename(&next, &aside).unwrap();
    let sums = [&wheel, &aside].map(|wheel| {
        let printed = Command::new("sha256sum").arg(wheel).output().unwrap();
        String::from_utf8(printed.stdout).unwrap()[..64].to_owned()
    });
    let [former, newest] = &sums;
    let pinned = format!("pytz==2024.* --hash=sha256:{former} --hash=sha256:{newest}\n");
    let client = |row, install, update| Client { row, install, update, fatal: FATAL, version: &version };
    let clients = [
        client("pip, HTML index", "use pip", "upgrade pip"),
        client("pip, JSON index, `--require-hashes`", "use pip with hashes", "upgrade pip"),
        client("uv, `--require-hashes`", "use uv with hashes", "upgrade uv"),
    ];
    scenario.swap("SOME-PACKAGE", "pytz");
    let requirements = |user: &User| fs::write(user.folder.join("requirements.txt"), &pinned).unwrap();
    scenario.play(&clients, VERSIONS, requirements, |_| fs::rename(&aside, &next).unwrap());
}
