//! docs/first-steps.md and the five minutes of docs/relay.md do what they say: their commands, run as they stand but for
//! the ports, in one shell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/programs.rs"]
mod programs;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::free_port;
use programs::PROGRAMS;

/// A page, and the ports that its commands name.
struct Page {
    text: &'static str,
    ports: &'static [&'static str],
}

const FIRST_STEPS: Page =
    Page { text: include_str!("../../docs/first-steps.md"), ports: &["8000", "8400", "8500"] };
const RELAY_GUIDE: Page =
    Page { text: include_str!("../../docs/relay.md"), ports: &["8000", "8401", "8402", "8500"] };

/// What came of a page's commands.
struct Ended {
    out: String,
    /// All that was said, by the daemons too.
    said: String,
    success: bool,
    /// The ports that stood in for the page's.
    ports: Vec<String>,
}

impl Page {
    /// The blocks that a reader pastes.
    fn script(&self) -> String {
        let mut script = String::from("set -eu\n");
        let mut pasted = false;
        for line in self.text.lines() {
            match line {
                "```sh" => pasted = true,
                "```" => pasted = false,
                line if pasted => script.extend([line, "\n"]),
                _ => {}
            }
        }
        script
    }

    /// Runs them; `None` if something is missing that the page takes for granted.
    fn run(&self) -> Option<Ended> {
        if !["python3", "curl", "bash"].into_iter().all(has) {
            skip::skip("python3, curl or bash is not installed");
            return None;
        }
        let ports: Vec<String> = self.ports.iter().map(|_| free_port().to_string()).collect();
        let swaps = self.ports.iter().zip(&ports);
        let script = swaps.fold(self.script(), |script, (page, free)| script.replace(page, free));
        let home = tempfile::tempdir().unwrap();
        let path = format!("{}:{}", PROGRAMS.display(), std::env::var("PATH").unwrap());
        let ended = Command::new("bash")
            .args(["-c", &format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}")])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CACHE_HOME")
            .env("PATH", path)
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let said = format!("{out}\n{err}\n{}", logs(home.path()));
        Some(Ended { said, success: ended.status.success(), ports, out: out.into_owned() })
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|ended| ended.status.success())
}

/// What the daemons wrote, one folder below.
fn logs(home: &Path) -> String {
    let folders = fs::read_dir(home).unwrap().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let logs = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|ext| ext == "log"));
    logs.map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
}

#[test]
fn the_first_steps_lead_from_a_folder_to_curl() {
    let Some(Ended { out, said, success, ports }) = FIRST_STEPS.run() else { return };
    assert!(success, "{said}");
    let relay = format!("location: http://127.0.0.1:{}/", ports.last().unwrap());
    assert!(out.to_lowercase().contains(&relay), "curl was not sent to the relay:\n{said}");
    assert!(out.contains("\nHello.\n"), "odi get did not give the file:\n{said}");
    assert!(out.contains(": taken (head 2)"), "the directory did not take the new head:\n{said}");
}

/// How long that took is said and not judged: builds and other tests run beside it.
#[test]
fn the_relay_guide_leads_from_nothing_to_a_verified_byte() {
    let Some(Ended { out, said, success, ports }) = RELAY_GUIDE.run() else { return };
    assert!(success, "{said}");
    let relay = format!("as signed at sequence 1, from 127.0.0.1:{}", ports.last().unwrap());
    assert!(out.contains(&relay), "odi get did not verify what the relay sent:\n{said}");
    let time = out.lines().find(|line| line.starts_with("first verified byte after "));
    odi_fixtures::tell!("the relay guide: {}", time.expect("the guide ends with the time"));
}
