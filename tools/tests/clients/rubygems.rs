//! docs/clients/rubygems.md: gem, from a static index.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};

/// Within a gem of 1 MiB.
const FATAL: u64 = 300_000;

fn gem(folder: &Path, version: &str) {
    let work = tempfile::tempdir().unwrap();
    let spec = format!(
        "Gem::Specification.new do |s|\n  s.name = 'odi_hello'\n  s.version = '{version}'\n  s.summary = 'A greeting'\n  \
         s.authors = ['Example']\n  s.files = ['lib/data.bin']\nend\n"
    );
    fs::write(work.path().join("odi_hello.gemspec"), spec).unwrap();
    fs::create_dir(work.path().join("lib")).unwrap();
    fs::write(work.path().join("lib/data.bin"), noise(1 << 20, 4)).unwrap();
    fs::create_dir_all(folder.join("incoming")).unwrap();
    let mut build = Command::new("gem");
    build.args(["build", "--quiet", "odi_hello.gemspec", "--output"]).current_dir(work.path());
    let output = build.arg(folder.join(format!("incoming/odi_hello-{version}.gem"))).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The newest that somebody has.
fn version(user: &User) -> String {
    let gems = fs::read_dir(user.folder.join("gems/gems")).unwrap().flatten();
    let names = gems.map(|entry| entry.file_name().into_string().unwrap());
    names.map(|name| name.trim_start_matches("odi_hello-").to_owned()).max().expect("a gem")
}

#[test]
fn gem_installs() {
    let Some(mut scenario) = Scenario::begin("rubygems", &["gem"]) else { return };
    // The broken file is kept.
    scenario.mend_with("mend");
    play(scenario, "gem, http");
}

#[test]
fn gem_installs_over_https() {
    let Some(scenario) = Scenario::begin_over_tls("rubygems", &["gem"]) else { return };
    play(scenario, "gem, https");
}

fn play(mut scenario: Scenario, row: &'static str) {
    gem(scenario.maintainer(), "1.0");
    scenario.swap("PACKAGE", "odi_hello");
    // gem asks whether the index has changed since it wrote its own copy: had both the same second, it would hear that it has not.
    let index = "gem generate_index --quiet --directory rubygems";
    scenario.swap(index, &format!("{index}; touch -d '1 minute ago' rubygems/*specs*"));
    let client = Client { row, install: "use", update: "use", fatal: FATAL, version: &version };
    scenario.play(&[client], ["1.0", "1.1"], |_| {}, |folder| gem(folder, "1.1"));
}
