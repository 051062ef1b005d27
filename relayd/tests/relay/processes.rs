//! The real `odi-relayd` as a process: `kill -9` at any point while it fills, and SIGTERM while somebody downloads.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use odi_fixtures::{DaemonProcess, kills};
use odi_manifest::{HeadId, PublicKey};
use odi_wire::message::{RelayStatus, from_json};

use crate::lab::{Lab, noise};

/// A round lasts no longer before its kill.
const ROUND_MILLIS: u64 = 1500;
const PATIENCE: Duration = Duration::from_secs(60);
/// Within this an announcement would come of a new head.
const AFTERWARDS: Duration = Duration::from_millis(1500);
/// More than the buffers of two sockets take.
const LONG: usize = 24 << 20;

fn daemon_of(lab: &Lab) -> DaemonProcess {
    let settings = format!("disk = \"1 GB\"\n[[directory]]\nurl = \"{}\"\n", lab.directory.url);
    DaemonProcess::new(env!("CARGO_BIN_EXE_odi-relayd"), &settings)
}

async fn status(daemon: &DaemonProcess) -> Option<RelayStatus> {
    from_json(&daemon.get("odi/v1/status").await?, "a status").ok()
}

/// The numbers of the newest head that it serves, and of the newest that it holds whole.
async fn shown(daemon: &DaemonProcess) -> Option<(u64, u64)> {
    let status = status(daemon).await?;
    let catalog = status.catalogs.first()?;
    Some((catalog.served.as_ref()?.seq, catalog.full.map_or(0, |pin| pin.seq())))
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
    fn asked_for_acknowledged(&self, lab: &Lab, daemon_key: Option<PublicKey>) -> BTreeMap<String, usize> {
        let inventory = daemon_key.and_then(|key| lab.directory.inventory(&key));
        let full = inventory.and_then(|inventory| inventory.catalog(&lab.publisher.id())?.full);
        let held = self.heads.iter().find(|(head, _)| Some(*head) == full).map(|(_, paths)| paths.as_slice());
        let asked = |path: &String| (path.clone(), lab.origin.seen(|seen| seen == path).len());
        held.unwrap_or_default().iter().map(asked).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_while_it_fills_it_loses_nothing_that_it_announced_and_serves_right_bytes() {
    let mut lab = Lab::start(&[("first", b"first")]).await;
    let mut daemon = daemon_of(&lab);
    let mut published = Published::default();
    let (mut highest, mut key) = (0, None);
    let mut acknowledged = BTreeMap::new();
    for round in 0..kills() {
        published.publish(&mut lab, round);
        daemon.start().await;
        daemon.until(async || shown(&daemon).await.is_some()).await;
        let draw = blake3::hash(&round.to_le_bytes()).as_bytes()[0];
        let until_kill = Duration::from_millis(u64::from(draw) * ROUND_MILLIS / 256);
        let watching = async {
            for path in published.files.keys().map(String::as_str).chain(["changing"]).cycle() {
                if let Some((served, _)) = shown(&daemon).await {
                    assert!(served >= highest, "round {round}: {served} after {highest}");
                    highest = served;
                }
                if let Some(status) = status(&daemon).await {
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
    daemon.until(async || shown(&daemon).await == Some((newest, newest))).await;
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
    let mut lab = Lab::start(&[("long", &long)]).await;
    let mut daemon = daemon_of(&lab);
    daemon.start().await;
    daemon.until(async || shown(&daemon).await == Some((1, 1))).await;
    let key = status(&daemon).await.unwrap().id;
    lab.directory.until_announced_full(&key, &lab.publisher).await;

    let mut download = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
    download.write_all(b"GET /sample/long HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").unwrap();
    let mut got = vec![0; 100_000];
    download.read_exact(&mut got).unwrap();
    let mut child = daemon.take_child();
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
    lab.directory.until(|| lab.directory.left().contains(&key).then_some(())).await;
    assert!(child.try_wait().unwrap().is_none(), "it waits for the download");

    // It fills on, and would announce a new head at once; that would bring its lease back.
    lab.publish(&[("news", Some(b"of after the leave"))]);
    let generation = || lab.directory.inventory(&key).unwrap().generation;
    let last = generation();
    lab.directory.until(|| (!lab.origin.seen(|path| path == "news").is_empty()).then_some(())).await;
    let announced = lab.directory.until(|| (generation() != last).then_some(()));
    assert!(
        tokio::time::timeout(AFTERWARDS, announced).await.is_err(),
        "it announced itself after its leave"
    );

    let ended = tokio::task::spawn_blocking(move || {
        download.read_to_end(&mut got).unwrap();
        (got, child.wait().unwrap())
    });
    let (got, ended) = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
    let body = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(got.starts_with(b"HTTP/1.1 200") && got[body..] == long, "the download ends right");
    assert!(ended.success(), "{ended}");
    assert!(TcpStream::connect(("127.0.0.1", daemon.port())).is_err(), "nobody new is let in");
}
