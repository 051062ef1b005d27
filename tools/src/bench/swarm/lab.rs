//! The programs of one round: where they run, how they are configured, and how far they are.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::{DirectoryStatus, RelayStatus};
use tokio::time::Instant;
use url::Url;

use super::gate::{COUNT, Mischief};
use super::namespaces::{Link, Namespaces};
use super::{content, say};
use crate::demo::{DemoCatalog, download_all, paths};

const NAME: &str = "swarm";
const LOOK: Duration = Duration::from_millis(200);
const STATUS_BYTES_MAX: u64 = 8 << 20;
/// Artifacts that are downloaded from each relay afterwards.
const SAMPLED: usize = 24;
const MISCHIEFS: [Mischief; 4] = [Mischief::Flip, Mischief::Truncate, Mischief::Stall, Mischief::Length];

/// What a round begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) relays: usize,
    pub(super) hostile: usize,
    pub(super) content: u64,
    pub(super) origin_bits: u64,
    pub(super) link_bits: u64,
    pub(super) user_space: bool,
    pub(super) patience: Duration,
}

/// How a round ended.
#[derive(Debug, Default)]
pub(super) struct Finish {
    /// Seconds that each honest relay took.
    pub(super) times: Vec<f64>,
    /// Seconds until each of them followed the new head, which is when it begins to fill.
    pub(super) heard: Vec<f64>,
    pub(super) content: u64,
    pub(super) origin_bytes: u64,
    /// Bytes that honest relays received and threw away.
    pub(super) wasted: u64,
}

/// A process that ends with the bench.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct RelayPlace {
    url: Url,
    data: PathBuf,
    mischief: Option<Mischief>,
}

/// One round's programs.
pub(super) struct Lab {
    start: Start,
    folder: PathBuf,
    origin: Url,
    directory: Url,
    catalog: DemoCatalog,
    relays: Vec<RelayPlace>,
    client: Client,
    // Before the namespaces, which go after what runs in them.
    daemons: Vec<Daemon>,
    namespaces: Option<Namespaces>,
}

impl Lab {
    /// Starts the origin, with one small artifact, and the directory.
    pub(super) async fn build(folder: &Path, start: Start) -> Result<Self> {
        let namespaces = if start.user_space {
            None
        } else {
            Namespaces::new().inspect_err(|error| say(&format!("no namespaces here: {error:#}"))).ok()
        };
        let tree = folder.join("origin");
        std::fs::create_dir_all(&tree)?;
        std::fs::write(tree.join("README.txt"), "A swarm has to begin with something.\n")?;
        let mut places = Places { namespaces, next_port: 21_000 };
        let origin_link = Link { up: start.origin_bits, down: start.link_bits };
        let (origin_at, origin_ns) = places.place(origin_link)?;
        let origin = url(origin_at)?;
        let (begin_tree, begin_origin) = (tree.clone(), origin.clone());
        let catalog =
            tokio::task::spawn_blocking(move || DemoCatalog::begin(begin_tree, NAME, &begin_origin))
                .await??;
        let client = Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() })?;
        let directory_at = places.outside()?;
        let mut lab = Self {
            start,
            folder: folder.to_owned(),
            origin,
            directory: url(directory_at)?,
            catalog,
            relays: Vec::new(),
            client,
            daemons: Vec::new(),
            namespaces: None,
        };
        let rate = places.shaped_by_gate(start.origin_bits);
        lab.namespaces = places.namespaces.take();
        lab.gate(origin_at, origin_ns, &tree.display().to_string(), rate, None)?;
        lab.start_directory(directory_at)?;
        lab.place_relays(places.next_port)?;
        lab.until("the directory follows", |lab| Box::pin(lab.directory_follows(1))).await?;
        Ok(lab)
    }

    /// How links are shaped here.
    pub(super) const fn shaping(&self) -> &'static str {
        match self.namespaces {
            Some(_) => "network namespaces, tc tbf",
            None => "a shaper in user space: what is sent, not what is received",
        }
    }

    /// All relays wait together; then the content is published.
    pub(super) async fn fill_news(&mut self) -> Result<Finish> {
        self.start_relays()?;
        self.until("the relays have joined", |lab| Box::pin(lab.all_hold(1))).await?;
        let before = self.origin_bytes().await?;
        self.publish_content().await?;
        let began = Instant::now();
        self.trigger().await?;
        self.watch(began, before).await
    }

    /// The content is there; then all relays start.
    pub(super) async fn fill_cold(&mut self) -> Result<Finish> {
        self.publish_content().await?;
        self.trigger().await?;
        self.until("the directory follows", |lab| Box::pin(lab.directory_follows(2))).await?;
        let before = self.origin_bytes().await?;
        let began = Instant::now();
        self.start_relays()?;
        self.watch(began, before).await
    }

    async fn publish_content(&self) -> Result<()> {
        let (tree, bytes) = (self.catalog.tree.clone(), self.start.content);
        tokio::task::spawn_blocking(move || content::write(&tree, bytes)).await??;
        tokio::task::block_in_place(|| self.catalog.publish())
    }

    async fn trigger(&self) -> Result<()> {
        let url = self.directory.join(&format!("odi/v1/catalogs/{}/trigger", self.catalog.id))?;
        self.client.send(Ask::post(&url, "application/cbor", Vec::new())).await?;
        Ok(())
    }

    /// Until every honest relay holds the second state.
    async fn watch(&self, began: Instant, origin_before: u64) -> Result<Finish> {
        let mut times = vec![None; self.relays.len()];
        let mut heard = vec![None; self.relays.len()];
        let mut told = Instant::now();
        let honest = self.relays.iter().filter(|relay| relay.mischief.is_none()).count();
        while self.honest_times(&times).count() < honest {
            if began.elapsed() > self.start.patience {
                bail!(
                    "after {} s {} of {honest} are whole",
                    began.elapsed().as_secs(),
                    self.honest_times(&times).count()
                );
            }
            for ((relay, time), heard) in
                self.relays.iter().zip(&mut times).zip(&mut heard).filter(|((_, time), _)| time.is_none())
            {
                let (serves, holds) = self.reached(relay, 2).await;
                let now = began.elapsed().as_secs_f64();
                *heard = heard.or(Some(now).filter(|_| serves));
                *time = Some(now).filter(|_| holds);
            }
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                let origin = self.origin_bytes().await.unwrap_or(0).saturating_sub(origin_before);
                let whole = self.honest_times(&times).count();
                say(&format!(
                    "  {:3.0} s: {whole} whole, origin sent {} MB",
                    began.elapsed().as_secs_f64(),
                    origin / 1_000_000
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        let mut finish = Finish {
            times: self.honest_times(&times).collect(),
            heard: self.honest_times(&heard).collect(),
            content: self.start.content,
            origin_bytes: self.origin_bytes().await? - origin_before,
            wasted: 0,
        };
        for relay in self.relays.iter().filter(|relay| relay.mischief.is_none()) {
            let status = self.status::<RelayStatus>(&relay.url).await?;
            finish.wasted += status.sources.iter().map(|source| source.wasted).sum::<u64>();
        }
        Ok(finish)
    }

    fn honest_times<'t>(&'t self, times: &'t [Option<f64>]) -> impl Iterator<Item = f64> + 't {
        self.relays
            .iter()
            .zip(times)
            .filter(|(relay, _)| relay.mischief.is_none())
            .filter_map(|(_, time)| *time)
    }

    /// Downloads some of everything from each honest relay, ends them all, and reads back every byte that they stored.
    /// Returns how many artifacts or records were wrong.
    pub(super) async fn check(&mut self) -> Result<usize> {
        let mut bad = 0;
        let mut all = paths(&self.catalog.tree)?;
        let step = (all.len() / SAMPLED).max(1);
        all = all.into_iter().step_by(step).collect();
        for relay in self.relays.iter().filter(|relay| relay.mischief.is_none()) {
            let base = relay.url.join(&format!("{NAME}/"))?;
            let small = all.iter().filter(|path| !path.starts_with("images/")).cloned().collect::<Vec<_>>();
            let downloads = download_all(&self.client, &base, &self.catalog.tree, &small).await;
            for failure in &downloads.failures {
                say(&format!("  FAILED {}: {failure}", relay.url));
            }
            bad += downloads.failures.len();
        }
        self.daemons.clear();
        for relay in self.relays.iter().filter(|relay| relay.mischief.is_none()) {
            let store = relay.data.join("store");
            bad += tokio::task::spawn_blocking(move || damaged(&store)).await??;
        }
        Ok(bad)
    }

    fn place_relays(&mut self, first_port: u16) -> Result<()> {
        let link = Link { up: self.start.link_bits, down: self.start.link_bits };
        let mut places = Places { namespaces: self.namespaces.take(), next_port: first_port };
        for number in 0..self.start.relays {
            let (at, _) = places.place(link)?;
            // Liars are spread over the list: one in four.
            let liar = number % 4 == 3 && number / 4 < self.start.hostile;
            let mischief = MISCHIEFS.get(number / 4 % MISCHIEFS.len()).copied().filter(|_| liar);
            let data = self.folder.join(format!("relay-{number}"));
            self.relays.push(RelayPlace { url: url(at)?, data, mischief });
        }
        self.namespaces = places.namespaces;
        Ok(())
    }

    fn start_relays(&mut self) -> Result<()> {
        for number in 0..self.relays.len() {
            let Some(place) = self.relays.get(number) else { break };
            let (public, mischief, data) = (place.url.clone(), place.mischief, place.data.clone());
            let rate = self.namespaces.is_none().then_some(self.start.link_bits);
            let at = address(&public)?;
            let gated = mischief.is_some() || rate.is_some();
            let listen = if gated { SocketAddr::new(at.ip(), at.port() + 1000) } else { at };
            // Namespace 0 is the origin's.
            let namespace = self.namespaces.as_ref().map(|_| number + 1);
            if gated {
                self.gate(at, namespace, &format!("http://{listen}/"), rate, mischief)?;
            }
            let config = format!(
                "data_dir = {data:?}\nlisten = [\"{listen}\"]\npublic_urls = [\"http://{at}\"]\ndisk = \"20 GB\"\nbandwidth = \"{} Mbit/s\"\n[[directory]]\nurl = \"{}\"\ncatalogs = [\"*\"]\n",
                self.start.link_bits / 1_000_000,
                self.directory.as_str().trim_end_matches('/'),
            );
            self.daemon("odi-relayd", &format!("relay-{number}"), namespace, &config)?;
        }
        Ok(())
    }

    fn start_directory(&mut self, at: SocketAddr) -> Result<()> {
        let config = format!(
            "data_dir = {:?}\nlisten = [\"{at}\"]\npublic_urls = [\"http://{at}\"]\ncarry = \"0 B\"\n[[catalog]]\nname = \"{NAME}\"\nid = \"{}\"\norigin = \"{}\"\npoll = \"5m\"\n",
            self.folder.join("directory"),
            self.catalog.id,
            self.origin,
        );
        self.daemon("odi-directoryd", "directory", None, &config)
    }

    fn gate(
        &mut self,
        at: SocketAddr,
        namespace: Option<usize>,
        behind: &str,
        rate: Option<u64>,
        mischief: Option<Mischief>,
    ) -> Result<()> {
        let mut command = self.command(namespace, &std::env::current_exe()?);
        command.args(["bench", "swarm", "--gate", &at.to_string(), "--behind", behind]);
        if let Some(rate) = rate {
            command.args(["--gate-rate", &rate.to_string()]);
        }
        if let Some(mischief) = mischief {
            command.args(["--mischief", &format!("{mischief:?}").to_lowercase()]);
        }
        self.spawn(command, &format!("gate-{}", at.port()))?;
        if namespace.is_none() {
            wait_for_port(at)?;
        }
        Ok(())
    }

    fn daemon(&mut self, program: &str, name: &str, namespace: Option<usize>, config: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.toml"));
        std::fs::write(&file, config)?;
        let program = std::env::current_exe()?.with_file_name(program);
        let mut command = self.command(namespace, &program);
        command.arg("--config").arg(file).arg("--allow-private-addresses");
        self.spawn(command, name)
    }

    fn command(&self, namespace: Option<usize>, program: &Path) -> Command {
        match (&self.namespaces, namespace) {
            (Some(namespaces), Some(number)) => namespaces.command(number, program),
            _ => Command::new(program),
        }
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Result<()> {
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.daemons.push(Daemon(child.with_context(|| format!("start {name}"))?));
        Ok(())
    }

    async fn until<F>(&self, what: &str, holds: F) -> Result<()>
    where
        F: for<'l> Fn(&'l Self) -> std::pin::Pin<Box<dyn Future<Output = bool> + 'l>>,
    {
        let deadline = Instant::now() + self.start.patience;
        while !holds(self).await {
            if Instant::now() > deadline {
                bail!("it never came true that {what}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn directory_follows(&self, seq: u64) -> bool {
        let status = self.status::<DirectoryStatus>(&self.directory).await;
        status.is_ok_and(|status| {
            status.catalogs.iter().any(|catalog| catalog.adopted.as_ref().is_some_and(|head| head.seq >= seq))
        })
    }

    async fn all_hold(&self, seq: u64) -> bool {
        for relay in &self.relays {
            if !self.reached(relay, seq).await.1 {
                return false;
            }
        }
        true
    }

    /// Whether a relay follows a state, and whether it holds all of it.
    async fn reached(&self, relay: &RelayPlace, seq: u64) -> (bool, bool) {
        let Ok(status) = self.status::<RelayStatus>(&relay.url).await else { return (false, false) };
        let ours = status.catalogs.iter().find(|catalog| catalog.name == NAME);
        let serves = ours.and_then(|catalog| catalog.served.as_ref()).is_some_and(|head| head.seq >= seq);
        let holds = ours.and_then(|catalog| catalog.full).is_some_and(|pin| pin.seq() >= seq);
        (serves, holds)
    }

    async fn origin_bytes(&self) -> Result<u64> {
        let url = self.origin.join(COUNT)?;
        let reply = self.client.send(Ask::get(&url)).await?;
        Ok(std::str::from_utf8(&reply.body.collect().await?)?.parse()?)
    }

    async fn status<T: serde::de::DeserializeOwned>(&self, base: &Url) -> Result<T> {
        let url = base.join("odi/v1/status")?;
        let reply = self.client.send(Ask::get(&url).reply_bytes_max(STATUS_BYTES_MAX)).await?;
        Ok(serde_json::from_slice(&reply.body.collect().await?)?)
    }
}

/// Where the next server goes.
struct Places {
    namespaces: Option<Namespaces>,
    next_port: u16,
}

impl Places {
    /// An address behind a link of its own.
    fn place(&mut self, link: Link) -> Result<(SocketAddr, Option<usize>)> {
        if let Some(namespaces) = &mut self.namespaces {
            let (number, address) = namespaces.add(link)?;
            return Ok((SocketAddr::from((address, 8500)), Some(number)));
        }
        self.next_port += 1;
        Ok((SocketAddr::from((Ipv4Addr::LOCALHOST, self.next_port)), None))
    }

    /// An address without limits.
    fn outside(&mut self) -> Result<SocketAddr> {
        if let Some(namespaces) = &self.namespaces {
            return Ok(SocketAddr::from((namespaces.outside(), 8400)));
        }
        Ok(self.place(Link { up: 0, down: 0 })?.0)
    }

    /// The rate that a gate has to keep, where nothing else does.
    fn shaped_by_gate(&self, bits: u64) -> Option<u64> {
        self.namespaces.is_none().then_some(bits)
    }
}

fn url(at: SocketAddr) -> Result<Url> {
    Ok(Url::parse(&format!("http://{at}/"))?)
}

fn address(url: &Url) -> Result<SocketAddr> {
    Ok(format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(80)).parse()?)
}

fn wait_for_port(at: SocketAddr) -> Result<()> {
    for _ in 0..100 {
        if TcpStream::connect(at).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nothing listens at {at}")
}

/// Reads back everything in a store; how many records are damaged.
fn damaged(folder: &Path) -> Result<usize> {
    let store =
        Store::open(Arc::new(RealDisk), folder, StoreOptions::default()).context("open a relay's store")?;
    let mut bad = 0;
    loop {
        let report = store.scrub(1 << 30)?;
        bad += report.bad;
        if report.wrapped {
            return Ok(usize::try_from(bad)?);
        }
    }
}
