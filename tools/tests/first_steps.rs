//! docs/first-steps.md does what it says: its commands, run as they stand but for the ports, in one shell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/first-steps.md");
const PORTS: [&str; 3] = ["8000", "8400", "8500"];

/// The blocks that a reader pastes.
fn script() -> String {
    let mut script = String::from("set -eu\n");
    let mut pasted = false;
    for line in PAGE.lines() {
        match line {
            "```sh" => pasted = true,
            "```" => pasted = false,
            line if pasted => script.extend([line, "\n"]),
            _ => {}
        }
    }
    script
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|ended| ended.status.success())
}

/// The folder of the programs. The daemons are other packages': what lies there may be old, or nothing.
fn programs() -> &'static Path {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "odi-directoryd", "--package", "odi-relayd", "--bins"]);
    assert!(build.status().unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_odi")).parent().unwrap()
}

fn free_ports() -> Vec<String> {
    let held: Vec<TcpListener> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|held| held.local_addr().unwrap().port().to_string()).collect()
}

#[test]
fn the_first_steps_lead_from_a_folder_to_curl() {
    if !["python3", "curl", "bash"].into_iter().all(has) {
        return skip::skip("python3, curl or bash is not installed");
    }
    let free = free_ports();
    let script = PORTS.iter().zip(&free).fold(script(), |script, (page, free)| script.replace(page, free));
    let home = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    let ended = Command::new("bash")
        .args(["-c", &format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}")])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CACHE_HOME")
        .env("PATH", path)
        .output()
        .unwrap();
    let log = |name: &str| fs::read_to_string(home.path().join("first-steps").join(name)).unwrap_or_default();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let logs = format!("{out}\n{err}\n{}\n{}", log("directory.log"), log("relay.log"));
    assert!(ended.status.success(), "{logs}");
    let relay = format!("location: http://127.0.0.1:{}/", free.last().unwrap());
    assert!(out.to_lowercase().contains(&relay), "curl was not sent to the relay:\n{logs}");
    assert!(out.contains("\nHello.\n"), "odi get did not give the file:\n{logs}");
    assert!(out.contains(": taken (head 2)"), "the directory did not take the new head:\n{logs}");
}
