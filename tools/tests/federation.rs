//! What several directories are worth to somebody who verifies: `odi get` and `odi status`, the real binaries, between directories
//! that vouch, die, and keep newer heads back; ordinary clients when only one directory is left. Each scenario prints how long its detection took.

#![allow(clippy::unwrap_used, reason = "a test may panic on what it did not expect")]

#[path = "support/maintainer.rs"]
mod maintainer;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use maintainer::Maintainer;
use odi_directoryd::Server;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_fixtures::{ManualClock, free_port};
use odi_manifest::{Clock, SigningKey, SystemClock, Timestamp};
use odi_tools::demo::Origin;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::header::LOCATION;
use serde_json::Value;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
const HOUR: u64 = 3600;

/// A directory with a key of its own and a clock that the test turns.
struct Directory {
    url: String,
    config: Config,
    clock: Arc<dyn Clock>,
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
        clock: Arc<dyn Clock>,
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
        Self { url, config, clock, server: None }
    }

    async fn start(&mut self) {
        self.server = Some(Server::bind(self.config.clone(), Arc::clone(&self.clock)).await.unwrap());
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
    let clocks = [0; 2].map(|_| Arc::new(ManualClock::at(Timestamp(now.0 - 49 * HOUR))));
    let ports = [free_port(), free_port()];
    let [mut first, mut second] = [(21, 0), (22, 1)].map(|(seed, at): (u8, usize)| {
        let [own, other] = if at == 0 { ports } else { [ports[1], ports[0]] };
        Directory::new(m.path(), seed, own, &id, Some(&origin_url), &[other], clocks[at].clone())
    });
    first.start().await;
    second.start().await;
    until(0, "", &["status", &first.url]).await;
    until(0, "", &["status", &second.url]).await;

    // Then one of them dies, and the other one goes on for two days.
    second.stop().await;
    clocks[0].set(now);
    let (url, out, state) = (format!("{}demo/a", first.url), m.path().join("out"), m.path().join("state"));
    let (out, state) = (out.to_str().unwrap(), state.to_str().unwrap());
    let words = "1 of 2 witnesses vouch for it, and 2 must";
    let (took, _) = until(5, words, &["status", &first.url]).await;
    odi_fixtures::tell!(
        "a witness that is silent for 48 hours: shown as stale {} ms after that time",
        took.as_millis()
    );
    let words = "1 of its witnesses have confirmed it lately, and 2 must";
    until(5, words, &get(&url, &id, state, out)).await;
    assert!(!Path::new(out).exists());

    // It comes back, vouches again, and all is well.
    clocks[1].set(now);
    second.start().await;
    let (took, _) = until(0, "", &get(&url, &id, state, out)).await;
    odi_fixtures::tell!("the witness is back: `odi get` is content {} ms later", took.as_millis());
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
    let (clock, ports) = (Arc::new(SystemClock), [free_port(), free_port()]);
    // One is given the first head and hears of no other; the other one follows the origin and compares.
    let mut frozen = Directory::new(m.path(), 21, ports[0], &id, None, &[], clock.clone());
    frozen.start().await;
    tokio::task::block_in_place(|| m.ok(&["push", "TREE", &frozen.url]));
    let mut honest = Directory::new(m.path(), 22, ports[1], &id, Some(&origin.url()), &[ports[0]], clock);
    honest.start().await;
    until(0, "", &["status", &frozen.url, &honest.url]).await;

    m.write("a", "two");
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let words = format!("{} is behind: it shows 1, and {} shows 2", frozen.url, honest.url);
    let (took, all) = until(4, &words, &["status", &frozen.url, &honest.url]).await;
    assert!(all.contains("BEHIND in demo since "), "the honest one says so itself: {all}");
    odi_fixtures::tell!(
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

/// The machine's clock, moved ahead by a test so that leases end.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }
}

/// An ordinary client: follows one redirect, and says whence the bytes came.
struct Ordinary(Client);

impl Ordinary {
    async fn json(&self, url: &str) -> Value {
        let reply = self.0.send(Ask::get(&Url::parse(url).unwrap())).await;
        let Ok(reply) = reply else { return Value::Null };
        serde_json::from_slice(&reply.body.collect().await.unwrap_or_default()).unwrap_or_default()
    }

    async fn get(&self, url: &str) -> (Vec<u8>, String) {
        let asked = self.0.send(Ask::get(&Url::parse(url).unwrap())).await.unwrap();
        let Some(location) = asked.headers.get(LOCATION).map(|to| to.to_str().unwrap().to_owned()) else {
            return (asked.body.collect().await.unwrap_or_default().to_vec(), url.to_owned());
        };
        let sent = self.0.send(Ask::get(&Url::parse(&location).unwrap())).await.unwrap();
        (sent.body.collect().await.unwrap_or_default().to_vec(), location)
    }

    /// Waits until a path has these bytes and they come from one of these places; how long that took.
    async fn until(&self, url: &str, bytes: &[u8], from: &[String]) -> Duration {
        let (begun, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
        loop {
            looks.tick().await;
            let (got, place) = self.get(url).await;
            if got == bytes && from.iter().any(|base| place.starts_with(base)) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "{url} has {} bytes from {place}", got.len());
        }
    }
}

/// A relay whose operator names these directories, and where it is.
fn relay_naming(
    folder: &Path,
    number: u8,
    directories: &[&Directory],
) -> (odi_relayd::config::Config, String) {
    let port = free_port();
    let (data, base) = (folder.join(format!("relay-{number}")), format!("http://127.0.0.1:{port}"));
    let mut text = format!(
        "data_dir = {data:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"{base}\"]\ndisk = \"20 GB\"\n"
    );
    for directory in directories {
        write!(text, "[[directory]]\nurl = \"{}\"\ncatalogs = [\"*\"]\n", directory.url).unwrap();
    }
    (odi_relayd::config::Config::parse(&text, PrivateAddresses::Allowed).unwrap(), base)
}

/// Waits until a status says so; how long that took.
async fn until_says(client: &Ordinary, base: &str, what: &str, says: impl Fn(&Value) -> bool) -> Duration {
    let (begun, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
    loop {
        looks.tick().await;
        let status = client.json(&format!("{}/odi/v1/status", base.trim_end_matches('/'))).await;
        if says(&status) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "{base} never was {what}: {status:#}");
    }
}

fn large(seed: &str) -> String {
    seed.repeat(300_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_directories_dead_but_one_downloads_and_updates_go_on_and_it_assigns() {
    let m = Maintainer::new();
    m.write("big", &large("1"));
    let origin = Origin::start(m.tree()).await.unwrap();
    let (origin_url, clock) = (origin.url(), Arc::new(Ahead::default()));
    // Relays learn from the head where the origin is.
    let init = ["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    m.ok(&[&init[..], &["--origin", &origin_url]].concat());
    let id = m.json(&["publish", "TREE", "--key", "REL"])["id"].as_str().unwrap().to_owned();
    let ports = [free_port(), free_port()];
    let [mut first, mut second] = [(21, 0), (22, 1)].map(|(seed, at): (u8, usize)| {
        let [own, other] = if at == 0 { ports } else { [ports[1], ports[0]] };
        Directory::new(m.path(), seed, own, &id, Some(&origin_url), &[other], clock.clone())
    });
    first.start().await;
    second.start().await;
    let (mut relays, mut bases) = (Vec::new(), Vec::new());
    for number in 1..=2 {
        let (config, base) = relay_naming(m.path(), number, &[&first, &second]);
        relays.push(odi_relayd::Server::bind(config, clock.clone()).await.unwrap());
        bases.push(base);
    }
    let client = Ordinary(
        Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }).unwrap(),
    );
    for directory in [&first, &second] {
        client.until(&format!("{}demo/big", directory.url), large("1").as_bytes(), &bases).await;
    }

    // The first directory, which assigns, dies; the next state comes all the same, through the relays.
    first.stop().await;
    m.write("big", &large("2"));
    tokio::task::block_in_place(|| m.ok(&["publish", "TREE", "--key", "REL"]));
    let url = format!("{}demo/big", second.url);
    let took = client.until(&url, large("2").as_bytes(), &bases).await;
    odi_fixtures::tell!(
        "one directory of two dead: the next state comes from relays {} ms after the publish",
        took.as_millis()
    );

    // When the lease there has ended, the other directory assigns: what is new is asked for by it.
    clock.0.store(61, Ordering::SeqCst);
    let assigns = |status: &Value| {
        status["directories"][1]["assigner"] == true && status["directories"][0]["assigner"] == false
    };
    let took = until_says(&client, &bases[0], "assigned by the other directory", assigns).await;
    odi_fixtures::tell!("the other directory assigns {} ms after the lease has ended", took.as_millis());
    m.write("more", &large("3"));
    tokio::task::block_in_place(|| m.ok(&["publish", "TREE", "--key", "REL"]));
    client.until(&format!("{}demo/more", second.url), large("3").as_bytes(), &bases).await;
    for relay in relays {
        relay.drain(Duration::from_secs(5)).await;
    }
    second.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_names_one_directory_is_known_to_the_other_which_assigns_when_that_one_dies() {
    let m = Maintainer::new();
    m.write("big", &large("1"));
    let origin = Origin::start(m.tree()).await.unwrap();
    let (origin_url, clock) = (origin.url(), Arc::new(Ahead::default()));
    let init = ["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    m.ok(&[&init[..], &["--origin", &origin_url]].concat());
    let id = m.json(&["publish", "TREE", "--key", "REL"])["id"].as_str().unwrap().to_owned();
    let ports = [free_port(), free_port()];
    let [mut first, mut second] = [(21, 0), (22, 1)].map(|(seed, at): (u8, usize)| {
        let [own, other] = if at == 0 { ports } else { [ports[1], ports[0]] };
        Directory::new(m.path(), seed, own, &id, Some(&origin_url), &[other], clock.clone())
    });
    first.start().await;
    second.start().await;
    let client = Ordinary(
        Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }).unwrap(),
    );
    let met = |status: &Value| status["peers"][0]["id"].is_string();
    until_says(&client, &first.url, "acquainted with the other", met).await;
    let (config, base) = relay_naming(m.path(), 1, &[&first]);
    let relay = odi_relayd::Server::bind(config.clone(), clock.clone()).await.unwrap();
    let bases = [base.clone()];
    let took = client.until(&format!("{}demo/big", second.url), large("1").as_bytes(), &bases).await;
    odi_fixtures::tell!("a directory that nobody named sends clients after {} ms", took.as_millis());
    let link = |status: &Value| {
        let links = &status["directories"];
        links[0]["assigner"] == true && links[1]["assigner"] == false && links[1]["introduced"] == true
    };
    until_says(&client, &base, "assigned by the one that it names", link).await;
    let words = said(&odi(&["status", &base]).await);
    assert!(words.contains("introduced by another)"), "{words}");

    // The one that it names dies, and it starts anew; what is new is asked for by the other.
    first.stop().await;
    relay.drain(Duration::from_secs(5)).await;
    clock.0.store(61, Ordering::SeqCst);
    let relay = odi_relayd::Server::bind(config, clock.clone()).await.unwrap();
    let assigns = |status: &Value| status["directories"][1]["assigner"] == true;
    until_says(&client, &base, "assigned by the other directory", assigns).await;
    m.write("more", &large("3"));
    tokio::task::block_in_place(|| m.ok(&["publish", "TREE", "--key", "REL"]));
    client.until(&format!("{}demo/more", second.url), large("3").as_bytes(), &bases).await;
    relay.drain(Duration::from_secs(5)).await;
    second.stop().await;
    origin.stop().await;
}
