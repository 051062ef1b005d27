//! The real `odi-relayd` as a process: `kill -9` at any point while it fills, and SIGTERM while somebody downloads.
//! `ODI_KILLS` says how often it is killed; a few times by default.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use odi_manifest::HeadId;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::{RelayStatus, from_json};
use tempfile::TempDir;

use crate::lab::{Lab, noise};

const KILLS: u64 = 4;
/// A round lasts no longer before its kill.
const ROUND_MILLIS: u64 = 1500;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// More than the buffers of two sockets take.
const LONG: usize = 24 << 20;

/// The program, its folder and its URL.
struct Daemon {
    folder: TempDir,
    port: u16,
    client: Client,
    child: Option<Child>,
}

impl Daemon {
    fn new(lab: &Lab) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "data_dir = {:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\n\
             disk = \"1 GB\"\n[[directory]]\nurl = \"{}\"\n",
            folder.path().join("data"),
            lab.directory.url
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        Self { folder, port, client: Client::new(policy).unwrap(), child: None }
    }

    /// Starts it and waits until it answers.
    async fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_odi-relayd"))
            .arg("--config")
            .arg(self.folder.path().join("config.toml"))
            .arg("--allow-private-addresses")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        self.until(async || self.status().await.is_some()).await;
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut looks = tokio::time::interval(LOOK);
            while !holds().await {
                looks.tick().await;
            }
        });
        waited.await.expect("what must happen has not happened");
    }

    /// The body of a whole answer 200.
    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let url = format!("http://127.0.0.1:{}/{path}", self.port).parse().unwrap();
        let reply = self.client.send(Ask::get(&url)).await.ok()?;
        let is_ok = reply.status.as_u16() == 200;
        let body = reply.body.collect().await.ok()?;
        is_ok.then(|| body.to_vec())
    }

    async fn status(&self) -> Option<RelayStatus> {
        from_json(&self.get("odi/v1/status").await?, "a status").ok()
    }

    /// The numbers of the newest head that it serves, and of the newest that it holds whole.
    async fn shown(&self) -> Option<(u64, u64)> {
        let status = self.status().await?;
        let catalog = status.catalogs.first()?;
        Some((catalog.served.as_ref()?.seq, catalog.full.map_or(0, |pin| pin.seq())))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What has been published: each head adds files, and replaces one.
#[derive(Default)]
struct Published {
    files: BTreeMap<String, Vec<u8>>,
    changing: Vec<Vec<u8>>,
    /// What the relay must hold, if it announced that it holds all of this head.
    heads: Vec<(HeadId, Vec<String>)>,
}

impl Published {
    fn publish(&mut self, lab: &mut Lab, round: u64) {
        let seed = u8::try_from(round % 80).unwrap() * 3;
        let changing = noise(seed, 700_000);
        let news = [
            (format!("large-{round}"), noise(seed + 1, 1_500_000)),
            (format!("small-{round}"), noise(seed + 2, 20_000)),
        ];
        let mut changes: Vec<_> =
            news.iter().map(|(path, bytes)| (path.as_str(), Some(bytes.as_slice()))).collect();
        changes.push(("changing", Some(&changing)));
        lab.publish(&changes);
        self.changing.push(changing);
        self.files.extend(news);
        self.heads.push((lab.publisher.head().id(), self.files.keys().cloned().collect()));
    }

    /// Whether these bytes are what a path has, or had.
    fn is_right(&self, path: &str, bytes: &[u8]) -> bool {
        match path {
            "changing" => self.changing.iter().any(|version| version == bytes),
            _ => self.files[path] == bytes,
        }
    }

    /// How often the origin was asked for each file of the newest head that the directory heard to be held whole.
    fn asked_for_acknowledged(
        &self,
        lab: &Lab,
        daemon_key: Option<odi_manifest::PublicKey>,
    ) -> BTreeMap<String, usize> {
        let inventory = daemon_key.and_then(|key| lab.directory.inventory(&key));
        let full = inventory.and_then(|inventory| inventory.catalog(&lab.publisher.id())?.full);
        let held = self.heads.iter().find(|(head, _)| Some(*head) == full).map(|(_, paths)| paths.as_slice());
        let asked = |path: &String| (path.clone(), lab.origin.seen(|seen| seen == path).len());
        held.unwrap_or_default().iter().map(asked).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_while_it_fills_it_loses_nothing_that_it_announced_and_serves_right_bytes() {
    let kills = std::env::var("ODI_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut lab = Lab::start(&[("first", b"first")]).await;
    let mut daemon = Daemon::new(&lab);
    let mut published = Published::default();
    let (mut shown, mut key) = (0, None);
    let mut acknowledged = BTreeMap::new();
    for round in 0..kills {
        published.publish(&mut lab, round);
        daemon.start().await;
        daemon.until(async || daemon.shown().await.is_some()).await;
        let draw = blake3::hash(&round.to_le_bytes()).as_bytes()[0];
        let until_kill = Duration::from_millis(u64::from(draw) * ROUND_MILLIS / 256);
        let watching = async {
            for path in published.files.keys().map(String::as_str).chain(["changing"]).cycle() {
                if let Some((served, _)) = daemon.shown().await {
                    assert!(served >= shown, "round {round}: {served} after {shown}");
                    shown = served;
                }
                if let Some(status) = daemon.status().await {
                    key = Some(status.id);
                }
                if let Some(body) = daemon.get(&format!("sample/{path}")).await {
                    assert!(published.is_right(path, &body), "round {round}: {path} is wrong");
                }
            }
        };
        // The kill comes wherever the work is by then.
        let _ = tokio::time::timeout(until_kill, watching).await;
        daemon.kill();
        for (path, asked) in &acknowledged {
            assert_eq!(lab.origin.seen(|seen| seen == path).len(), *asked, "round {round}: {path} was lost");
        }
        acknowledged = published.asked_for_acknowledged(&lab, key);
    }
    daemon.start().await;
    let newest = lab.publisher.head().seq;
    daemon.until(async || daemon.shown().await == Some((newest, newest))).await;
    for (path, bytes) in &published.files {
        assert!(daemon.get(&format!("sample/{path}")).await.as_ref() == Some(bytes), "{path} at the end");
    }
    assert!(daemon.get("sample/changing").await.as_ref() == published.changing.last());
    for (path, asked) in &acknowledged {
        assert_eq!(lab.origin.seen(|seen| seen == path).len(), *asked, "{path} was lost by the last kill");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_leaves_the_directory_finishes_the_open_download_and_ends() {
    let long = noise(77, LONG);
    let lab = Lab::start(&[("long", &long)]).await;
    let mut daemon = Daemon::new(&lab);
    daemon.start().await;
    daemon.until(async || daemon.shown().await == Some((1, 1))).await;
    let key = daemon.status().await.unwrap().id;
    lab.directory.until_announced_full(&key, &lab.publisher).await;

    let mut download = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    download.write_all(b"GET /sample/long HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").unwrap();
    let mut got = vec![0; 100_000];
    download.read_exact(&mut got).unwrap();
    let mut child = daemon.child.take().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
    lab.directory.until(|| lab.directory.left().contains(&key).then_some(())).await;
    assert!(child.try_wait().unwrap().is_none(), "it waits for the download");

    let ended = tokio::task::spawn_blocking(move || {
        download.read_to_end(&mut got).unwrap();
        (got, child.wait().unwrap())
    });
    let (got, ended) = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
    let body = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(got.starts_with(b"HTTP/1.1 200") && got[body..] == long, "the download ends right");
    assert!(ended.success(), "{ended}");
    assert!(TcpStream::connect(("127.0.0.1", daemon.port)).is_err(), "nobody new is let in");
}
