//! A laboratory: one origin, one directory, and relays on loopback with folders of their own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{Clock, PublicKey, SystemClock};
use odi_relayd::config::{Config, PrivateAddresses};
use odi_relayd::server::Server;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::{HeaderMap, StatusCode};
use odi_wire::message::{RelayStatus, from_json};
use tempfile::TempDir;

use crate::directory::FakeDirectory;
use crate::publisher::Publisher;
use crate::web::Web;

/// How long anything may take to come true: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a relay's status.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Lab {
    pub(crate) origin: Web,
    pub(crate) directory: FakeDirectory,
    pub(crate) publisher: Publisher,
    pub(crate) client: Client,
}

impl Lab {
    /// A catalog `sample` with these files, offered by the directory, its bytes at the origin.
    pub(crate) async fn start(files: &[(&str, &[u8])]) -> Self {
        let origin = Web::start(Default::default());
        let mut publisher = Publisher::new("sample", SystemClock.now(), vec![origin.url()]);
        let changes: Vec<_> = files.iter().map(|(path, bytes)| (*path, Some(*bytes))).collect();
        publisher.publish(&changes);
        origin.put(publisher.files.clone());
        let directory = FakeDirectory::start(40).await;
        directory.offer("sample", &publisher);
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        Self { origin, directory, publisher, client: Client::new(policy).unwrap() }
    }

    /// Publishes another state at origin and directory.
    pub(crate) fn publish(&mut self, changes: &[(&str, Option<&[u8]>)]) {
        self.publisher.publish(changes);
        self.origin.put(self.publisher.files.clone());
        self.directory.offer("sample", &self.publisher);
    }

    pub(crate) async fn relay(&self) -> Relay {
        Relay::start(&[&self.directory], tempfile::tempdir().unwrap(), "1 GB").await
    }

    pub(crate) async fn get(&self, url: &str) -> Got {
        self.ask(Ask::get(&url.parse().unwrap())).await
    }

    pub(crate) async fn ask(&self, ask: Ask) -> Got {
        let reply = self.client.send(ask).await.unwrap();
        let (status, headers) = (reply.status, reply.headers);
        Got { status, headers, body: reply.body.collect().await.ok().map(|body| body.to_vec()) }
    }
}

/// An answer; no body if it broke off.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

impl Got {
    /// Whether the body came whole and is this one. (A failed comparison of megabytes should not print them.)
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.body.as_deref() == Some(bytes)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A relay at work, and what it takes to start it again.
pub(crate) struct Relay {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) client: Client,
    config: String,
}

impl Relay {
    pub(crate) async fn start(directories: &[&FakeDirectory], folder: TempDir, disk: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::on(directories, folder, port, disk, "").await
    }

    /// Starts a relay whose configuration has these lines too.
    pub(crate) async fn with(directories: &[&FakeDirectory], lines: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::on(directories, tempfile::tempdir().unwrap(), port, "1 GB", lines).await
    }

    /// Starts a relay in the folder and at the URL of one that ended.
    pub(crate) async fn again(directories: &[&FakeDirectory], folder: TempDir, url: &str) -> Self {
        Self::on(directories, folder, url.rsplit(':').next().unwrap().parse().unwrap(), "1 GB", "").await
    }

    async fn on(directories: &[&FakeDirectory], folder: TempDir, port: u16, disk: &str, lines: &str) -> Self {
        let config = Self::settings(directories, &folder, port, disk, lines);
        Self::run(config, folder, port).await
    }

    fn settings(
        directories: &[&FakeDirectory],
        folder: &TempDir,
        port: u16,
        disk: &str,
        lines: &str,
    ) -> String {
        let mut config = format!(
            "data_dir = {:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\ndisk = \"{disk}\"\n{lines}",
            folder.path()
        );
        for directory in directories {
            config.push_str(&format!("[[directory]]\nurl = \"{}\"\n", directory.url));
        }
        config
    }

    /// A relay that wants only these names.
    pub(crate) async fn wanting(directories: &[&FakeDirectory], pattern: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = Self::settings(directories, &folder, port, "1 GB", "");
        config = config.replace("[[directory]]", &format!("[[directory]]\ncatalogs = [\"{pattern}\"]"));
        Self::run(config, folder, port).await
    }

    async fn run(config: String, folder: TempDir, port: u16) -> Self {
        let parsed = Config::parse(&config, PrivateAddresses::Allowed).unwrap();
        let server = Server::bind(parsed, Arc::new(SystemClock)).await.unwrap();
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Client::new(policy).unwrap();
        Self { server, folder, url: format!("http://127.0.0.1:{port}"), client, config }
    }

    /// Ends it politely and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|_| {}).await
    }

    /// The same, with something done to its data folder while it is down.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { server, folder, url, config, .. } = self;
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        server.drain(Duration::from_secs(1)).await;
        meanwhile(folder.path());
        Self::run(config, folder, port).await
    }

    /// Kills it, as far as one process can: nothing is said, flushed or counted; and starts it again.
    pub(crate) async fn crash(self) -> Self {
        let Self { server, folder, url, config, .. } = self;
        let former = url.rsplit(':').next().unwrap();
        // The former listener dies with its task, which may take a while.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        drop(server);
        Self::run(config.replace(&format!(":{former}"), &format!(":{port}")), folder, port).await
    }

    /// What it was started with.
    pub(crate) fn config(&self) -> Config {
        Config::parse(&self.config, PrivateAddresses::Allowed).unwrap()
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.server.relay().identity.public_key()
    }

    pub(crate) async fn status(&self) -> RelayStatus {
        let url = format!("{}/odi/v1/status", self.url);
        let reply = self.client.send(Ask::get(&url.parse().unwrap())).await.unwrap();
        from_json(&reply.body.collect().await.unwrap(), "a status").unwrap()
    }

    /// Waits until the relay says so of itself.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&RelayStatus) -> bool) -> RelayStatus {
        let mut last = None;
        let mut looks = tokio::time::interval(LOOK);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                looks.tick().await;
                let status = self.status().await;
                if holds(&status) {
                    return status;
                }
                last = Some(status);
            }
        })
        .await;
        waited.unwrap_or_else(|_| panic!("it never was {what}: {last:#?}"))
    }

    /// Waits until it holds all of the head at `seq`.
    pub(crate) async fn until_full(&self, seq: u64) -> RelayStatus {
        let full = |status: &RelayStatus| {
            status.catalogs.iter().any(|catalog| catalog.full.is_some_and(|pin| pin.seq() == seq))
        };
        self.until("full", full).await
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        Path::new(self.folder.path()).to_owned()
    }
}

/// Bytes that do not repeat, so that no two chunks are alike.
pub(crate) fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}
