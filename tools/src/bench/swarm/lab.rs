//! One round: what is started, what is published when, how long it takes, and whether every byte is right afterwards.

mod looks;
mod places;
mod programs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::RelayStatus;
use odi_wire::off_worker::off_worker;
use tokio::time::Instant;
use url::Url;

use super::gate::Mischief;
use super::namespaces::{Link, Namespaces};
use super::{content, say};
use places::{Places, url};
use programs::Daemon;

use crate::demo::{DemoCatalog, download_all, paths};

const NAME: &str = "swarm";
const LOOK: Duration = Duration::from_millis(200);
/// Artifacts that are downloaded from each relay afterwards.
const SAMPLED: usize = 24;

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
        let catalog = off_worker(move || DemoCatalog::begin(begin_tree, NAME, &begin_origin)).await?;
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
        off_worker(move || content::write(&tree, bytes)).await?;
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
            bad += off_worker(move || damaged(&store)).await?;
        }
        Ok(bad)
    }
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
