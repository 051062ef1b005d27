//! docs/clients/debian.md: apt, from a directory and from a list of mirrors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scenario::{Client, Scenario, User, real_packages};
use crate::skip::skip;

const TOOLS: [&str; 5] = ["apt-get", "apt-ftparchive", "curl", "dpkg-deb", "gpg"];
/// Bytes that a relay gives before it dies: more than it has sent of the first package, less than all.
const FATAL: u64 = 40_000;

/// A root of one's own for apt and dpkg, as `APT_CONFIG` says.
fn root(user: &User) {
    let here = user.folder.display();
    for folder in
        ["etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/preferences.d", "root/var/lib/dpkg/updates"]
    {
        fs::create_dir_all(user.folder.join(folder)).unwrap();
    }
    for folder in
        ["root/var/lib/dpkg/info", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "log"]
    {
        fs::create_dir_all(user.folder.join(folder)).unwrap();
    }
    for file in ["status", "available"] {
        fs::write(user.folder.join("root/var/lib/dpkg").join(file), "").unwrap();
    }
    let config = format!(
        "Dir::Etc \"{here}/etc/apt\";\nDir::State \"{here}/var/lib/apt\";\nDir::Cache \"{here}/var/cache/apt\";\n\
         Dir::Log \"{here}/log\";\nDir::State::status \"{here}/root/var/lib/dpkg/status\";\nAPT::Sandbox::User \"root\";\n\
         DPkg::Options {{ \"--root={here}/root\"; \"--log={here}/log/dpkg.log\"; \"--force-not-root\"; \
         \"--force-script-chrootless\"; }};\n"
    );
    fs::write(user.folder.join("apt.conf"), config).unwrap();
}

fn field(package: &Path, name: &str) -> String {
    let printed = Command::new("dpkg-deb").arg("-f").arg(package).arg(name).output().unwrap();
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}

/// Real packages that need no others and that nobody has to configure, of more than what a directory gives itself.
fn packages(folder: &Path, count: usize) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder.join("pool")).unwrap().map(|file| file.unwrap().path()).collect();
    all.sort();
    let needs_nothing = |package: &PathBuf| {
        let size = package.metadata().unwrap().len();
        let fields = ["Depends", "Pre-Depends", "Conflicts", "Breaks"];
        let control = Command::new("dpkg-deb").arg("-I").arg(package).output().unwrap();
        let scripts = String::from_utf8_lossy(&control.stdout).contains("#!");
        size > 70_000 && fields.iter().all(|name| field(package, name).is_empty()) && !scripts
    };
    all.into_iter().filter(needs_nothing).take(count).collect()
}

/// Which version of a package somebody has.
fn installed(user: &User, package: &str) -> String {
    let admin = format!("--admindir={}", user.folder.join("root/var/lib/dpkg").display());
    let printed =
        Command::new("dpkg-query").args([&admin, "-W", "-f", "${Version}", package]).output().unwrap();
    String::from_utf8(printed.stdout).unwrap()
}

#[test]
fn apt_installs_and_upgrades() {
    let Some(scenario) = Scenario::begin("debian", &TOOLS) else { return };
    play(scenario, ["apt, http", "apt, `mirror+http`"]);
}

#[test]
fn apt_installs_and_upgrades_over_https() {
    let Some(scenario) = Scenario::begin_over_tls_to_addresses("debian", &TOOLS) else { return };
    play(scenario, ["apt, https", "apt, `mirror+https`"]);
}

/// The page, with a source that is a directory, and with one that is a list.
fn play(mut scenario: Scenario, rows: [&'static str; 2]) {
    let Some(folder) = real_packages() else { return skip("ODI_REAL_PACKAGES is not set") };
    let packages = packages(&folder, 3);
    let [first, ..] = packages.as_slice() else { panic!("no package without needs in {}", folder.display()) };
    let incoming = scenario.maintainer().join("incoming");
    fs::create_dir(&incoming).unwrap();
    for package in &packages {
        fs::copy(package, incoming.join(package.file_name().unwrap())).unwrap();
    }
    let (name, version) = (field(first, "Package"), field(first, "Version"));
    let names: Vec<String> = packages.iter().map(|package| field(package, "Package")).collect();
    scenario.swap("PACKAGE", &names.join(" "));
    scenario.swap("/etc/apt", "{here}/etc/apt");
    let version_of = |user: &User| installed(user, &name);
    let client =
        |row, install| Client { row, install, update: "upgrade", fatal: FATAL, version: &version_of };
    let [plain, list] = rows;
    let clients = [client(plain, "use"), client(list, "use a list")];
    let next = format!("{version}+new");
    scenario.play(&clients, [&version, &next], root, |_| rebuilt(first, &incoming, &next));
}

/// The next version of a package, in the place of the former one.
fn rebuilt(package: &Path, into: &Path, version: &str) {
    let work = tempfile::tempdir().unwrap();
    let open = work.path().join("open");
    assert!(Command::new("dpkg-deb").arg("-R").args([package, &open]).status().unwrap().success());
    let control = fs::read_to_string(open.join("DEBIAN/control")).unwrap();
    let control = control.lines().map(|line| match line.strip_prefix("Version: ") {
        Some(_) => format!("Version: {version}\n"),
        None => format!("{line}\n"),
    });
    fs::write(open.join("DEBIAN/control"), control.collect::<String>()).unwrap();
    let built = Command::new("dpkg-deb").arg("-b").args([&open, into]).output().unwrap();
    assert!(built.status.success(), "{built:?}");
}
