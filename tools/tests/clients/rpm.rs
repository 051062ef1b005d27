//! docs/clients/rpm.md: dnf in its three ways to find mirrors, and zypper.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a package of 1 MiB.
const FATAL: u64 = 300_000;

/// Builds a package with its ecosystem's own tool.
fn package(folder: &Path, version: &str) {
    let work = tempfile::tempdir().unwrap();
    let top = work.path().display();
    fs::create_dir_all(folder.join("incoming")).unwrap();
    fs::write(work.path().join("data"), noise(1 << 20, 5)).unwrap();
    let spec = format!(
        "Name: odi-hello\nVersion: {version}\nRelease: 1\nSummary: A greeting\nLicense: MIT\nBuildArch: noarch\n\
         %description\nA greeting.\n%install\nmkdir -p %{{buildroot}}/usr/share/odi-hello\n\
         cp {top}/data %{{buildroot}}/usr/share/odi-hello/\n%files\n/usr/share/odi-hello\n"
    );
    let file = work.path().join("odi-hello.spec");
    fs::write(&file, spec).unwrap();
    let mut build = Command::new("rpmbuild");
    build.args(["--quiet", "-bb", "--define", &format!("_topdir {top}")]).arg(file).env("HOME", work.path());
    build.arg("--define").arg(format!("_rpmdir {}", folder.join("incoming").display()));
    let built = build.args(["--define", "_build_name_fmt %%{NAME}-%%{VERSION}.rpm"]).output().unwrap();
    assert!(built.status.success(), "{built:?}");
}

/// What a root of one's own has.
fn version(user: &User) -> String {
    let root = user.folder.join("root");
    let mut ask = Command::new("rpm");
    // Debian has the data base of packages in the home of whoever asks.
    ask.env("HOME", &user.folder).arg("--root").arg(root).args(["-q", "--qf", "%{VERSION}", "odi-hello"]);
    String::from_utf8(ask.output().unwrap().stdout).unwrap()
}

/// zypper is told of authorities by a folder of them, each under its hash.
fn authorities(home: &Path) {
    let folder = home.join("authorities");
    fs::create_dir(&folder).unwrap();
    fs::copy(home.join("../root.pem"), folder.join("root.pem")).unwrap();
    let rehash = Command::new("openssl").arg("rehash").arg(&folder).output().unwrap();
    assert!(rehash.status.success(), "{rehash:?}");
}

#[test]
fn dnf_and_zypper_install_and_upgrade() {
    let tools = ["dnf", "zypper", "openssl", "rpm", "rpmbuild", "rpmsign", "createrepo_c", "gpg"];
    let Some(mut scenario) = Scenario::begin_over_tls("rpm", &tools) else { return };
    package(scenario.maintainer(), "1.0");
    scenario.swap("PACKAGE", "odi-hello");
    scenario.swap("/etc/yum.repos.d", "{here}/etc/yum.repos.d");
    scenario.swap(
        "sudo dnf",
        "dnf --installroot={here}/root --releasever=1 --setopt=reposdir=/etc/yum.repos.d \
         --setopt=cachedir={here}/cache --setopt=logdir={here}/log --setopt=sslcacert={here}/../root.pem",
    );
    scenario.swap("/rpm/ example", "/rpm/?ssl_capath={here}/authorities example");
    scenario.swap("sudo zypper", "zypper --root {here}/root");
    scenario.swap("sudo rpm", "rpm --root {here}/root");
    let root = |user: &User| {
        fs::create_dir_all(user.folder.join("etc/yum.repos.d")).unwrap();
        fs::create_dir_all(user.folder.join("root")).unwrap();
        fs::create_dir_all(user.folder.join("log")).unwrap();
        authorities(&user.folder);
    };
    let client = |row, install, update| Client { row, install, update, fatal: FATAL, version: &version };
    let clients = [
        client("dnf, `baseurl`", "use baseurl", "upgrade dnf"),
        client("dnf, `mirrorlist`", "use mirrorlist", "upgrade dnf"),
        client("dnf, `metalink`", "use metalink", "upgrade dnf"),
        client("zypper", "use zypper", "upgrade zypper"),
    ];
    scenario.play(&clients, ["1.0", "1.1"], root, |folder| package(folder, "1.1"));
}
