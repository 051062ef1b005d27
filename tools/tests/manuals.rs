//! `odi manuals`: pages and completions of all four programs, which their readers take; and that everything which Debian packages
//! name is there.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/installed.rs"]
mod installed;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;
use std::process::Command;

use installed::is_installed;

fn written() -> tempfile::TempDir {
    let share = tempfile::tempdir().unwrap();
    let mut manuals = Command::new(env!("CARGO_BIN_EXE_odi"));
    assert!(manuals.arg("manuals").arg(share.path()).status().unwrap().success());
    share
}

fn text(share: &Path, file: &str) -> String {
    fs::read_to_string(share.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn every_program_and_command_has_a_page_with_its_options() {
    let share = written();
    for (page, says) in [
        ("man/man1/odi.1", "odi\\-get(1)"),
        ("man/man1/odi-get.1", "\\-\\-catalog"),
        ("man/man1/odi-sign.1", "Exit codes"),
        ("man/man1/odi-sign-import.1", "\\-\\-marker"),
        ("man/man1/odi-sign-trust-change.1", "\\-\\-add\\-release"),
        ("man/man8/odi-directoryd.8", "\\-\\-config"),
        ("man/man8/odi-directoryd-admin-quarantine.8", "quarantine"),
        ("man/man8/odi-relayd.8", "odi\\-relayd\\-drain(8)"),
        ("man/man8/odi-relayd-import.8", "mirror"),
    ] {
        let page = (page, text(share.path(), page));
        assert!(page.1.contains(says), "{says}: {page:?}");
        assert!(page.1.contains("Open Distribution Initiative"), "{page:?}");
    }
}

#[test]
fn every_program_has_completions_that_the_shell_takes() {
    let share = written();
    let bash = is_installed("bash");
    for (program, command) in [
        ("odi", "status"),
        ("odi-sign", "countersign"),
        ("odi-directoryd", "backup"),
        ("odi-relayd", "drain"),
    ] {
        for file in [
            format!("bash-completion/completions/{program}"),
            format!("zsh/site-functions/_{program}"),
            format!("fish/vendor_completions.d/{program}.fish"),
        ] {
            assert!(text(share.path(), &file).contains(command), "{file}");
            if bash && file.starts_with("bash") {
                let checked = Command::new("bash").arg("-n").arg(share.path().join(&file)).output().unwrap();
                assert!(checked.status.success(), "{file}: {checked:?}");
            }
        }
    }
}

#[test]
fn whatever_the_debian_packages_name_is_there() {
    let share = written();
    for (package, units) in [("relayd", true), ("directoryd", true), ("tools", false)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package);
        let manifest: toml::Table = text(&folder, "Cargo.toml").parse().unwrap();
        let deb = &manifest["package"]["metadata"]["deb"];
        let mut manuals = 0;
        for asset in deb["assets"].as_array().unwrap() {
            let source = asset[0].as_str().unwrap();
            if let Some(manual) = source.strip_prefix("../packaging/debian/manuals/") {
                manuals += 1;
                let (begin, end) = manual.split_once('*').unwrap_or((manual, ""));
                let (below, name) = begin.rsplit_once('/').unwrap();
                let mut files = fs::read_dir(share.path().join(below)).unwrap();
                let end = end.trim_end_matches(".gz");
                let is_meant = |file: &str| file.starts_with(name) && file.ends_with(end);
                assert!(files.any(|file| is_meant(file.unwrap().file_name().to_str().unwrap())), "{source}");
            } else if !source.starts_with("target/release/") {
                assert!(folder.join(source).exists(), "{package}: {source}");
            }
        }
        assert!(manuals >= 4, "{package}");
        if units {
            let systemd = folder.join(deb["systemd-units"]["unit-scripts"].as_str().unwrap());
            let user = format!("odi-{package}");
            assert!(text(&systemd, &format!("{user}.service")).contains(&format!("User={user}\n")));
            assert!(text(&systemd, &format!("{user}.sysusers")).contains(&format!("u     {user} ")));
        }
    }
}
