//! What several directories are worth to somebody who verifies: `odi get` and `odi status`, the real binaries, between directories
//! that vouch, die, and keep newer heads back. Each scenario prints how long its detection took.

#![allow(clippy::unwrap_used, reason = "a test may panic on what it did not expect")]

#[path = "support/maintainer.rs"]
mod maintainer;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maintainer::Maintainer;
use odi_directoryd::Server;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_fixtures::{ManualClock, free_port};
use odi_manifest::{Clock, SigningKey, SystemClock, Timestamp};
use odi_tools::demo::Origin;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: u64 = 3600;

/// A directory with a key of its own and a clock that the test turns.
struct Directory {
    url: String,
    config: Config,
    clock: Arc<ManualClock>,
    server: Option<Server>,
}

impl Directory {
    /// One of the catalog `demo`; it knows these peers, and an origin if there is one.
    fn new(
        folder: &Path,
        seed: u8,
        port: u16,
        id: &str,
        origin: Option<&str>,
        peers: &[u16],
        now: Timestamp,
    ) -> Self {
        let data = folder.join(format!("directory-{seed}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("identity.key"), format!("{seed:02x}").repeat(32)).unwrap();
        let mut text = format!(
            "data_dir = {data:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\n\
             [[catalog]]\nname = \"demo\"\nid = \"{id}\"\npoll = \"1s\"\n"
        );
        if let Some(origin) = origin {
            writeln!(text, "origin = \"{origin}\"").unwrap();
        }
        for peer in peers {
            writeln!(text, "[[peer]]\nurl = \"http://127.0.0.1:{peer}\"").unwrap();
        }
        let config = Config::parse(&text, PrivateAddresses::Allowed).unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        Self { url, config, clock: Arc::new(ManualClock::at(now)), server: None }
    }

    async fn start(&mut self) {
        self.server = Some(Server::bind(self.config.clone(), self.clock.clone()).await.unwrap());
    }

    async fn stop(&mut self) {
        self.server.take().unwrap().drain(Duration::from_secs(5)).await.unwrap();
    }
}

async fn odi(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi"));
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs a command until it ends with a code and says these words; how long that took, and all that it said.
async fn until(code: i32, words: &str, arguments: &[&str]) -> (Duration, String) {
    let begun = Instant::now();
    loop {
        let output = odi(arguments).await;
        if output.status.code() == Some(code) && said(&output).contains(words) {
            return (begun.elapsed(), said(&output));
        }
        assert!(begun.elapsed() < PATIENCE, "{arguments:?} ends with {}: {}", output.status, said(&output));
    }
}

fn get<'a>(url: &'a str, id: &'a str, state: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["get", url, "--catalog", id, "--state", state, "-o", out, "--allow-private-addresses"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_satisfies_odi_get_and_48_hours_after_one_of_two_died_it_says_stale() {
    let m = Maintainer::new();
    m.write("a", "one");
    let origin = Origin::start(m.tree()).await.unwrap();
    let keys = [21, 22].map(|seed| SigningKey::from_seed(&[seed; 32]).public_key().to_string());
    let (origin_url, quorum) = (origin.url(), "2");
    let mut init = vec!["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    init.extend([
        "--origin",
        &origin_url,
        "--witness",
        &keys[0],
        "--witness",
        &keys[1],
        "--witness-quorum",
        quorum,
    ]);
    let id = m.json(&init)["id"].as_str().unwrap().to_owned();
    m.ok(&["publish", "TREE", "--key", "REL"]);

    // As of 49 hours ago, both vouch.
    let now = SystemClock.now();
    let then = Timestamp(now.0 - 49 * HOUR);
    let ports = [free_port(), free_port()];
    let [mut first, mut second] = [(21, 0), (22, 1)].map(|(seed, at): (u8, usize)| {
        let [own, other] = if at == 0 { ports } else { [ports[1], ports[0]] };
        Directory::new(m.path(), seed, own, &id, Some(&origin_url), &[other], then)
    });
    first.start().await;
    second.start().await;
    until(0, "", &["status", &first.url]).await;
    until(0, "", &["status", &second.url]).await;

    // Then one of them dies, and the other one goes on for two days.
    second.stop().await;
    first.clock.set(now);
    let (url, out, state) = (format!("{}demo/a", first.url), m.path().join("out"), m.path().join("state"));
    let (out, state) = (out.to_str().unwrap(), state.to_str().unwrap());
    let words = "1 of 2 witnesses vouch for it, and 2 must";
    let (took, _) = until(5, words, &["status", &first.url]).await;
    println!("a witness that is silent for 48 hours: shown as stale {} ms after that time", took.as_millis());
    let words = "1 of its witnesses have confirmed it lately, and 2 must";
    until(5, words, &get(&url, &id, state, out)).await;
    assert!(!Path::new(out).exists());

    // It comes back, vouches again, and all is well.
    second.clock.set(now);
    second.start().await;
    let (took, _) = until(0, "", &get(&url, &id, state, out)).await;
    println!("the witness is back: `odi get` is content {} ms later", took.as_millis());
    assert_eq!(fs::read(out).unwrap(), b"one");
    let (_, words) = until(0, "", &["status", &first.url, &second.url]).await;
    assert!(words.contains("fresh: 2 of 2 witnesses"), "{words}");
    first.stop().await;
    second.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knows_two_directories_gets_the_newest_and_sees_which_one_keeps_it_back() {
    let m = Maintainer::with_tree(&[("a", "one")]);
    let id = m.json(&["publish", "TREE", "--key", "REL"])["id"].as_str().unwrap().to_owned();
    let origin = Origin::start(m.tree()).await.unwrap();
    let (now, ports) = (SystemClock.now(), [free_port(), free_port()]);
    // One is given the first head and hears of no other; the other one follows the origin and compares.
    let mut frozen = Directory::new(m.path(), 21, ports[0], &id, None, &[], now);
    frozen.start().await;
    tokio::task::block_in_place(|| m.ok(&["push", "TREE", &frozen.url]));
    let mut honest = Directory::new(m.path(), 22, ports[1], &id, Some(&origin.url()), &[ports[0]], now);
    honest.start().await;
    until(0, "", &["status", &frozen.url, &honest.url]).await;

    m.write("a", "two");
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let words = format!("{} is behind: it shows 1, and {} shows 2", frozen.url, honest.url);
    let (took, all) = until(4, &words, &["status", &frozen.url, &honest.url]).await;
    assert!(all.contains("BEHIND in demo since "), "the honest one says so itself: {all}");
    println!(
        "a directory that withholds heads: `odi status` names it {} ms after the publish",
        took.as_millis()
    );

    let url = format!("{}demo/a", frozen.url);
    let (out, state) = (m.path().join("out"), m.path().join("state"));
    let (out, state) = (out.to_str().unwrap(), state.to_str().unwrap());
    let mut both = get(&url, &id, state, out);
    both.extend(["--directory", &honest.url]);
    let (_, words) = until(0, "", &both).await;
    assert_eq!(fs::read(out).unwrap(), b"two", "{words}");
    // And it is not led back by the one that is behind.
    let alone = odi(&get(&url, &id, state, out)).await;
    assert_eq!(alone.status.code(), Some(4), "{}", said(&alone));
    frozen.stop().await;
    honest.stop().await;
    origin.stop().await;
}
