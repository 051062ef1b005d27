//! docs/clients/pypi.md: pip and uv, from pages in HTML and in JSON.

use std::fs;
use std::process::Command;

use crate::scenario::{Client, Scenario, User, copy_packages};

const VERSIONS: [&str; 2] = ["2024.1", "2024.2"];
/// Within a wheel of 500 kB.
const FATAL: u64 = 60_000;

fn version(user: &User) -> String {
    let code = fs::read_to_string(user.folder.join("site/pytz/__init__.py")).unwrap();
    let version = code.lines().find_map(|line| line.strip_prefix("VERSION = '")).unwrap();
    version.split('\'').next().unwrap().to_owned()
}

#[test]
fn pip_and_uv_install_and_upgrade() {
    let Some(mut scenario) = Scenario::begin_over_tls("pypi", &["pip", "uv", "python3"]) else { return };
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
        client("uv", "use uv", "upgrade uv"),
    ];
    scenario.swap("SOME-PACKAGE", "pytz");
    let requirements = |user: &User| fs::write(user.folder.join("requirements.txt"), &pinned).unwrap();
    scenario.play(&clients, VERSIONS, requirements, |_| fs::rename(&aside, &next).unwrap());
    scenario.revive();
    let strict = scenario.user(0);
    fs::write(strict.folder.join("requirements.txt"), pinned.replace("2024.*", VERSIONS[1])).unwrap();
    scenario.must(&strict, "use uv with hashes");
    assert_eq!(version(&strict), VERSIONS[1]);
}
