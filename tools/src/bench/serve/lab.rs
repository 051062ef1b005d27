//! A maintainer, an origin and a directory in this process, and relays in processes of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use odi_wire::client::Ask;
use odi_wire::message::RelayStatus;
use odi_wire::off_worker::off_worker;
use odi_wire::route::pinned_path;
use tokio::time::Instant;
use url::Url;

use super::sites::Sites;
use super::tls::Certificate;
use crate::bench::process::Pinned;
use crate::demo::{DemoCatalog, Listed, Network, Origin};

const NAME: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(600);
const STATUS_BYTES_MAX: u64 = 8 << 20;

/// What a relay needs around it.
pub(super) struct Lab {
    work: PathBuf,
    origin: Origin,
    network: Network,
}

/// A relay that holds everything.
pub(super) struct Relay {
    pub(super) process: Pinned,
    pub(super) sites: Sites,
    pin: odi_manifest::Pin,
}

impl Lab {
    /// Publishes the tree and starts a directory.
    pub(super) async fn start(work: &Path, tree: &Path) -> Result<Self> {
        let origin = Origin::start(tree.to_owned()).await?;
        let origin_url = Url::parse(&origin.url())?;
        let (signed, at) = (tree.to_owned(), origin_url.clone());
        let signing = off_worker(move || DemoCatalog::begin(signed, NAME, &at));
        let catalog = signing.await.context("publish the tree")?;
        let listed = [Listed { name: NAME.to_owned(), id: catalog.id, origin: origin_url }];
        let network = Network::start(work, &listed, 1, 0).await?;
        Ok(Self { work: work.to_owned(), origin, network })
    }

    /// Starts a relay on one core and waits until it holds everything.
    pub(super) async fn relay(
        &self,
        program: &Path,
        certificate: &Certificate,
        ram_cache: u64,
        cpu: usize,
    ) -> Result<Relay> {
        let sites = Sites::free()?;
        let folder = self.work.join("relay");
        std::fs::create_dir(&folder).context("make a folder for the relay")?;
        let directory = self.network.directory_urls().next().context("there is a directory")?;
        let (data, config) = (folder.join("data"), folder.join("relayd.toml"));
        let Sites { plain, plain_addr, tls_addr, .. } = &sites;
        let Certificate { chain, key } = certificate;
        let text = format!(
            "data_dir = {data:?}\nlisten = [\"{tls_addr}\"]\nlisten_plain = [\"{plain_addr}\"]\n\
             public_urls = [\"{plain}\"]\ndisk = \"20 GB\"\nram_cache = \"{ram_cache} B\"\n\
             [tls]\ncertificate = {chain:?}\nkey = {key:?}\n\
             [[directory]]\nurl = \"{directory}\"\ncatalogs = [\"{NAME}\"]\n"
        );
        std::fs::write(&config, text).context("write the relay's configuration")?;
        let log = std::fs::File::create(folder.join("log")).context("make the relay's log")?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).arg("--allow-private-addresses");
        let process = Pinned::start(command.stdout(Stdio::null()).stderr(log), cpu)?;
        let pin = self.filled(plain).await.with_context(|| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            format!("wait for the relay, which said:\n{log}")
        })?;
        Ok(Relay { process, sites, pin })
    }

    async fn filled(&self, base: &str) -> Result<odi_manifest::Pin> {
        let url = Url::parse(&format!("{base}/odi/v1/status"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if Instant::now() > deadline {
                bail!("it is not ready after {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            let ask = Ask::get(&url).reply_bytes_max(STATUS_BYTES_MAX);
            let Ok(reply) = self.network.client().send(ask).await else { continue };
            let status: RelayStatus = serde_json::from_slice(&reply.body.collect().await?)?;
            let ours = status.catalogs.iter().find(|catalog| catalog.name == NAME);
            let full = ours.and_then(|catalog| catalog.full);
            if let Some(pin) = full.filter(|_| status.ready) {
                return Ok(pin);
            }
        }
    }

    /// Stops it all.
    pub(super) async fn stop(self) -> Result<()> {
        let stopped = self.network.stop().await;
        self.origin.stop().await;
        stopped
    }
}

impl Relay {
    /// The paths that a directory redirects to.
    pub(super) fn paths(&self, files: &[String]) -> Vec<String> {
        files.iter().map(|file| pinned_path(&self.pin, file)).collect()
    }
}
