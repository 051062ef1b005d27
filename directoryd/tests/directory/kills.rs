//! `kill -9` over the real `odi-directoryd` while heads arrive: nothing that it showed is ever taken back, and what it
//! serves is right. `ODI_KILLS` says how often; a few times by default.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use odi_manifest::{Head, Unverified};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::StatusCode;
use tempfile::TempDir;
use url::Url;

use crate::publisher::Publisher;

const KILLS: u64 = 4;
/// A round lasts no longer before its kill.
const ROUND_MILLIS: u64 = 700;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// The program, its folder and its URL.
struct Daemon {
    folder: TempDir,
    url: Url,
    client: Client,
    child: Option<Child>,
}

impl Daemon {
    fn new(publisher: &Publisher, origin: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "data_dir = {:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\n\
             [[catalog]]\nname = \"world\"\nid = \"{}\"\norigin = \"{origin}\"\npoll = \"1d\"\n",
            folder.path().join("data"),
            publisher.id
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        Self { folder, url, client: Client::new(policy).unwrap(), child: None }
    }

    /// Starts it and waits until it answers.
    async fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"))
            .arg("--config")
            .arg(self.folder.path().join("config.toml"))
            .arg("--allow-private-addresses")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        self.until(async || self.get("odi/v1/status").await.is_some()).await;
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

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let reply = self.client.send(Ask::get(&self.url.join(path).unwrap()).following(3)).await.ok()?;
        let is_ok = reply.status == StatusCode::OK;
        let body = reply.body.collect().await.ok()?;
        is_ok.then(|| body.to_vec())
    }

    /// The number of the newest head that it shows.
    async fn shown(&self, publisher: &Publisher) -> Option<u64> {
        let head = self.get(&format!("odi/v1/catalogs/{}/head", publisher.id)).await?;
        Some(Unverified::<Head>::decode(&head).unwrap().claims().seq)
    }

    async fn trigger(&self, publisher: &Publisher) {
        let url = self.url.join(&format!("odi/v1/catalogs/{}/trigger", publisher.id)).unwrap();
        // It may be dead already.
        let _ = self.client.send(Ask::post(&url, "application/cbor", Vec::new())).await;
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

fn publish(publisher: &mut Publisher, number: u64) {
    let text = format!("state {number}");
    publisher.publish(&[("a", text.as_bytes()), ("b", b"always")]);
}

#[tokio::test]
async fn killed_at_any_point_it_goes_back_on_nothing() {
    let kills = std::env::var("ODI_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut publisher = Publisher::new();
    let mut published = 1;
    publish(&mut publisher, published);
    let origin = publisher.serve().await;
    let mut daemon = Daemon::new(&publisher, &origin.url());
    let mut shown = 0;
    for round in 0..kills {
        daemon.start().await;
        if shown > 0 {
            let again = daemon.shown(&publisher).await;
            assert!(again.is_some_and(|seq| seq >= shown), "round {round}: {again:?} after {shown}");
            let body = String::from_utf8(daemon.get("world/b").await.unwrap()).unwrap();
            assert_eq!(body, "always", "round {round}");
        }
        let draw = blake3::hash(&round.to_le_bytes()).as_bytes()[0];
        let until_kill = Duration::from_millis(u64::from(draw) * ROUND_MILLIS / 256);
        let working = async {
            loop {
                published += 1;
                publish(&mut publisher, published);
                daemon.trigger(&publisher).await;
                shown = shown.max(daemon.shown(&publisher).await.unwrap_or(0));
            }
        };
        // The kill comes wherever the work is by then.
        let _ = tokio::time::timeout(until_kill, working).await;
        daemon.kill();
    }
    daemon.start().await;
    daemon.trigger(&publisher).await;
    daemon.until(async || daemon.shown(&publisher).await == Some(published)).await;
    let newest = format!("state {published}");
    daemon.until(async || daemon.get("world/a").await.as_deref() == Some(newest.as_bytes())).await;
}
