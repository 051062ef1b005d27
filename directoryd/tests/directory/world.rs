//! A directory on loopback, its clock, and somebody who asks it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odi_directoryd::config::{Config, PrivateAddresses};
use odi_directoryd::{Reloaded, Server};
use odi_fixtures::ManualClock;
use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy, Reply};
use odi_wire::http::StatusCode;
use odi_wire::identity_key;
use odi_wire::layout::LayoutPath;
use odi_wire::message::CBOR;
use tempfile::TempDir;
use url::Url;
use zeroize::Zeroizing;

/// What a directory calls itself; nobody has to be there.
pub(crate) const PUBLIC_URL: &str = "http://127.0.0.1:9999";

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp(1_790_000_000);

/// The longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory, its clock and its folder.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: Option<Server>,
    config: Config,
    pub(crate) url: Url,
    pub(crate) client: Client,
    folder: TempDir,
}

impl World {
    /// A directory of one catalog, `world`.
    pub(crate) async fn start(catalog: &CatalogId, origin: Option<&str>) -> Self {
        Self::start_with(catalog, origin, "").await
    }

    /// The same with further settings.
    pub(crate) async fn start_with(catalog: &CatalogId, origin: Option<&str>, settings: &str) -> Self {
        Self::start_at(0, TempDir::new().unwrap(), catalog, origin, settings).await
    }

    /// The same with a key from a seed, which a catalog may name as a witness beforehand, at a port that peers may be told of.
    pub(crate) async fn start_as(
        (seed, port): (u8, u16),
        catalog: &CatalogId,
        origin: Option<&str>,
        settings: &str,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        identity_key::kept_or_made(&data, &Zeroizing::new([seed; 32])).unwrap();
        Self::start_at(port, folder, catalog, origin, settings).await
    }

    async fn start_at(
        port: u16,
        folder: TempDir,
        catalog: &CatalogId,
        origin: Option<&str>,
        settings: &str,
    ) -> Self {
        let origin = origin.map(|origin| format!("origin = \"{origin}\"")).unwrap_or_default();
        let text = format!(
            "data_dir = \"{}\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"{PUBLIC_URL}\"]\n\
             proxies = [\"127.0.0.0/8\"]\nadmin = \"127.0.0.1:0\"\n{settings}\n\
             [[catalog]]\nname = \"world\"\nid = \"{catalog}\"\n{origin}\npoll = \"1d\"\n",
            folder.path().join("data").display()
        );
        let config = Config::parse(&text, PrivateAddresses::Allowed).unwrap();
        let clock = Arc::new(ManualClock::at(START.plus(Duration::from_secs(1000))));
        let directory = Server::bind(config.clone(), clock.clone()).await.unwrap();
        let url = url_of(directory.local_addrs()[0]);
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Client::new(policy).unwrap();
        Self { clock, directory: Some(directory), config, url, client, folder }
    }

    /// Ends the directory in order and starts it again on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.go_on().await;
    }

    pub(crate) async fn stop(&mut self) {
        self.directory.take().unwrap().drain(Duration::from_secs(5)).await.unwrap();
    }

    pub(crate) fn store_folder(&self) -> PathBuf {
        self.data_dir().join("data/store")
    }

    /// The store of a directory that was stopped.
    pub(crate) fn store(&self) -> Store {
        let folder = self.store_folder();
        Store::open(Arc::new(RealDisk), &folder, StoreOptions::default()).unwrap()
    }

    pub(crate) async fn go_on(&mut self) {
        let directory = Server::bind(self.config.clone(), self.clock.clone()).await.unwrap();
        self.url = url_of(directory.local_addrs()[0]);
        self.directory = Some(directory);
    }

    /// As a SIGHUP does after the operator has edited the file.
    pub(crate) async fn reload(&self, edit: impl FnOnce(&mut Config)) -> Reloaded {
        let mut config = self.config.clone();
        edit(&mut config);
        self.directory.as_ref().unwrap().reload(config).await
    }

    pub(crate) fn id(&self) -> PublicKey {
        self.directory.as_ref().unwrap().id()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client.send(Ask::get(&self.at(path))).await.unwrap()
    }

    pub(crate) async fn body(&self, path: &str) -> Vec<u8> {
        self.get(path).await.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.body(path).await).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Reply {
        self.client.send(Ask::post(&self.at(path), CBOR, body)).await.unwrap()
    }

    /// Asks the directory to look at the origin and waits until it has adopted `seq`.
    pub(crate) async fn pull(&self, catalog: &CatalogId, seq: u64) {
        self.post(&format!("/odi/v1/catalogs/{catalog}/trigger"), Vec::new()).await;
        self.until(async || self.adopted().await == Some(seq)).await;
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            while !holds().await {
                looks.tick().await;
            }
        });
        waited.await.expect("what must happen has not happened");
    }

    pub(crate) async fn adopted(&self) -> Option<u64> {
        self.json("/odi/v1/status").await["catalogs"][0]["adopted"]["seq"].as_u64()
    }

    pub(crate) async fn served(&self) -> Option<u64> {
        self.json("/odi/v1/status").await["catalogs"][0]["served"]["seq"].as_u64()
    }

    pub(crate) async fn carried_bytes(&self) -> u64 {
        self.json("/odi/v1/status").await["carried_bytes"].as_u64().unwrap()
    }

    /// The status of an item of the catalog's layout.
    pub(crate) async fn item(&self, catalog: &CatalogId, item: LayoutPath) -> StatusCode {
        self.get(&format!("/odi/v1/catalogs/{catalog}/{item}")).await.status
    }

    pub(crate) async fn until_served(&self, seq: u64) {
        self.until(async || self.served().await == Some(seq)).await;
    }

    /// Where the directory sends a GET; the status and the `Location`.
    pub(crate) async fn sent(&self, path: &str) -> (StatusCode, String) {
        let reply = self.get(path).await;
        let location = reply.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        (reply.status, location.unwrap_or_default())
    }
}

fn url_of(addr: SocketAddr) -> Url {
    format!("http://{addr}/").parse().unwrap()
}
