//! Directories and relays on loopback, in this process, from the configuration texts that an operator would write.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use odi_manifest::{CatalogId, Clock, SystemClock};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::{DirectoryCatalog, DirectoryStatus, FreshnessState, RelayStatus};
use tokio::time::Instant;
use url::Url;

use super::ports;

const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const STATUS_BYTES_MAX: u64 = 8 << 20;

/// A catalog that the directories are told of.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name there.
    pub name: String,
    /// Its id.
    pub id: CatalogId,
    /// Where it is published.
    pub origin: Url,
}

/// What a relay's operator wants, and says.
#[derive(Clone, Copy, Debug)]
pub struct Volunteer<'a> {
    /// The catalogs, by names with `*`.
    pub wants: &'a [&'a str],
    /// Where the relay is, in degrees.
    pub coordinates: Option<(f64, f64)>,
}

/// A running network. [`stop`](Network::stop) ends it in order.
pub struct Network {
    directories: Vec<(Url, odi_directoryd::Server)>,
    relays: Vec<(Url, odi_relayd::Server)>,
    client: Client,
}

/// How far the relays are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Relays that hold everything and are known to be ready.
    pub ready: usize,
    /// All relays.
    pub relays: usize,
    /// Bytes that the relays still have to fetch.
    pub missing_bytes: u64,
}

impl Network {
    /// Starts so many directories, and so many relays that want everything, with their data under `folder`.
    ///
    /// # Errors
    /// A daemon that does not start.
    pub async fn start(
        folder: &Path,
        catalogs: &[Listed],
        directories: usize,
        relays: usize,
    ) -> anyhow::Result<Self> {
        let anybody = Volunteer { wants: &["*"], coordinates: None };
        Self::start_with(folder, catalogs, directories, &vec![anybody; relays]).await
    }

    /// The same, with a relay for each of these.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        folder: &Path,
        catalogs: &[Listed],
        directories: usize,
        volunteers: &[Volunteer<'_>],
    ) -> anyhow::Result<Self> {
        let client = Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() })?;
        let addrs = ports::free(directories + volunteers.len()).context("find free ports")?;
        let (directory_addrs, relay_addrs) = addrs.split_at(directories);
        let mut network = Self { directories: Vec::new(), relays: Vec::new(), client };
        for (number, addr) in (1..).zip(directory_addrs) {
            let peers: Vec<SocketAddr> =
                directory_addrs.iter().filter(|peer| *peer != addr).copied().collect();
            let data = folder.join(format!("directory-{number}"));
            network.start_directory(&data, *addr, catalogs, &peers).await?;
        }
        for ((number, addr), volunteer) in (1..).zip(relay_addrs).zip(volunteers) {
            network.start_relay(&folder.join(format!("relay-{number}")), *addr, volunteer).await?;
        }
        Ok(network)
    }

    async fn start_directory(
        &mut self,
        data: &Path,
        addr: SocketAddr,
        catalogs: &[Listed],
        peers: &[SocketAddr],
    ) -> anyhow::Result<()> {
        let text = directory_config(data, addr, catalogs, peers);
        let config =
            odi_directoryd::config::Config::parse(&text, odi_directoryd::config::PrivateAddresses::Allowed)?;
        let server = odi_directoryd::Server::bind(config, clock()).await.context("start a directory")?;
        self.directories.push((base_url(addr)?, server));
        Ok(())
    }

    async fn start_relay(
        &mut self,
        data: &Path,
        addr: SocketAddr,
        volunteer: &Volunteer<'_>,
    ) -> anyhow::Result<()> {
        let directories: Vec<&Url> = self.directories.iter().map(|(url, _)| url).collect();
        let text = relay_config(data, addr, &directories, volunteer);
        let config = odi_relayd::config::Config::parse(&text, odi_relayd::config::PrivateAddresses::Allowed)?;
        let server = odi_relayd::Server::bind(config, clock()).await.context("start a relay")?;
        self.relays.push((base_url(addr)?, server));
        Ok(())
    }

    /// The directories' base URLs.
    pub fn directory_urls(&self) -> impl Iterator<Item = &Url> {
        self.directories.iter().map(|(url, _)| url)
    }

    /// The relays' base URLs.
    pub fn relay_urls(&self) -> impl Iterator<Item = &Url> {
        self.relays.iter().map(|(url, _)| url)
    }

    /// A client that may talk to loopback.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until every relay holds all it was assigned, every directory would send clients to it, and as many witnesses as
    /// each catalog wants have vouched for it.
    ///
    /// # Errors
    /// When that takes longer than `patience`; the error says how far they are.
    pub async fn ready(&self, patience: Duration, mut tell: impl FnMut(Progress)) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let progress = self.progress().await;
            tell(progress);
            if progress.ready == progress.relays && self.directories_count_on(progress.relays).await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let Progress { ready, relays, missing_bytes } = progress;
                bail!(
                    "after {} s {ready} of {relays} relays are ready, {missing_bytes} bytes to fetch",
                    patience.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn progress(&self) -> Progress {
        let mut progress = Progress { relays: self.relays.len(), ..Progress::default() };
        for (url, _) in &self.relays {
            if let Ok(status) = self.status::<RelayStatus>(url).await {
                progress.ready += usize::from(status.ready);
                progress.missing_bytes +=
                    status.catalogs.iter().map(|catalog| catalog.missing_bytes).sum::<u64>();
            }
        }
        progress
    }

    async fn directories_count_on(&self, relays: usize) -> bool {
        for (url, _) in &self.directories {
            let Ok(status) = self.status::<DirectoryStatus>(url).await else { return false };
            let counted = status.relays.ready + status.relays.probation;
            let is_stale = |catalog: &DirectoryCatalog| {
                catalog.freshness.as_ref().is_some_and(|freshness| freshness.state == FreshnessState::Stale)
            };
            if usize::try_from(counted).is_ok_and(|counted| counted < relays)
                || status.catalogs.iter().any(is_stale)
            {
                return false;
            }
        }
        true
    }

    async fn status<T: serde::de::DeserializeOwned>(&self, base: &Url) -> anyhow::Result<T> {
        let url = base.join("odi/v1/status")?;
        let reply = self.client.send(Ask::get(&url).reply_bytes_max(STATUS_BYTES_MAX)).await?;
        Ok(serde_json::from_slice(&reply.body.collect().await?)?)
    }

    /// Waits until a daemon fails.
    ///
    /// # Errors
    /// Always: what failed.
    pub async fn failed(&mut self) -> anyhow::Error {
        let directories = self.directories.iter_mut().map(|(url, server)| {
            Box::pin(
                async move { anyhow::Error::from(server.failed().await).context(format!("directory {url}")) },
            ) as std::pin::Pin<Box<dyn Future<Output = anyhow::Error> + Send + '_>>
        });
        let relays = self.relays.iter_mut().map(|(url, server)| {
            Box::pin(
                async move { anyhow::Error::from(server.failed().await).context(format!("relay {url}")) },
            ) as std::pin::Pin<Box<dyn Future<Output = anyhow::Error> + Send + '_>>
        });
        futures_util::future::select_all(directories.chain(relays)).await.0
    }

    /// Stops relays, then directories, as their operators would.
    ///
    /// # Errors
    /// A directory that did not end in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        for (_, relay) in self.relays {
            relay.drain(DRAIN_DEADLINE).await;
        }
        for (_, directory) in self.directories {
            directory.drain(DRAIN_DEADLINE).await.context("stop a directory")?;
        }
        Ok(())
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn base_url(addr: SocketAddr) -> anyhow::Result<Url> {
    Ok(Url::parse(&format!("http://{addr}/"))?)
}

fn directory_config(data: &Path, addr: SocketAddr, catalogs: &[Listed], peers: &[SocketAddr]) -> String {
    let mut text = format!(
        "data_dir = {data:?}\nlisten = [\"{addr}\"]\npublic_urls = [\"http://{addr}\"]\ncarry = \"1 GB\"\n"
    );
    for Listed { name, id, origin } in catalogs {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[catalog]]\nname = \"{name}\"\nid = \"{id}\"\norigin = \"{origin}\"\npoll = \"5s\"\n"
        );
    }
    for peer in peers {
        let _ = write!(text, "[[peer]]\nurl = \"http://{peer}\"\n");
    }
    text
}

fn relay_config(data: &Path, addr: SocketAddr, directories: &[&Url], volunteer: &Volunteer<'_>) -> String {
    let Volunteer { wants, coordinates } = volunteer;
    let mut text = format!(
        "data_dir = {data:?}\nlisten = [\"{addr}\"]\npublic_urls = [\"http://{addr}\"]\ndisk = \"20 GB\"\n"
    );
    if let Some((lat, lon)) = coordinates {
        let _ = write!(text, "[place]\ncoordinates = [{lat:?}, {lon:?}]\n");
    }
    for url in directories {
        let _ = write!(text, "[[directory]]\nurl = \"{url}\"\ncatalogs = {wants:?}\n");
    }
    text
}
