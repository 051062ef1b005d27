//! The demo from start to end.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use super::network::{Listed, Network, Progress};
use super::{DemoCatalog, Origin, download_all, paths, shadow, write_sample_tree};

const NAME: &str = "demo";
const DIRECTORIES: usize = 2;
const RELAYS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(300);

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// A tree to publish instead of the sample. Nothing is written into it.
    pub tree: Option<PathBuf>,
    /// Download everything once and end, instead of running until interrupted.
    pub once: bool,
}

/// Runs the demo.
///
/// # Errors
/// A part that does not start, relays that do not get ready, or a download that comes wrong or not at all.
pub async fn run(options: &DemoOptions) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("odi-demo-").tempdir().context("make a temporary folder")?;
    let tree = folder.path().join("origin");
    match &options.tree {
        Some(from) => shadow(from, &tree)?,
        None => write_sample_tree(&tree).context("write the sample tree")?,
    }
    say("1. a web server for the tree, the origin")?;
    let origin = Origin::start(tree.clone()).await?;
    let origin_url = Url::parse(&origin.url())?;

    say("2. a maintainer signs it: odi-sign init, odi-sign publish")?;
    let signing = origin_url.clone();
    let catalog = tokio::task::spawn_blocking(move || DemoCatalog::begin(tree, NAME, &signing)).await??;
    let artifacts = paths(&catalog.tree)?;
    say(&format!("   {} artifacts under {}", artifacts.len(), catalog.id))?;

    say(&format!("3. {DIRECTORIES} directories and {RELAYS} relays"))?;
    let listed = [Listed { name: NAME.to_owned(), id: catalog.id, origin: origin_url }];
    let mut network = Network::start(folder.path(), &listed, DIRECTORIES, RELAYS).await?;
    let bar = progress_bar();
    network.ready(PATIENCE, |progress| show(&bar, progress)).await.context("wait for the relays")?;
    bar.finish_and_clear();

    let end = if options.once {
        once(&network, &catalog, &artifacts).await
    } else {
        invite(&network, &catalog, &artifacts)?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("wait for an interrupt"),
            failed = network.failed() => Err(failed),
        }
    };
    let stopped = network.stop().await;
    origin.stop().await;
    end.and(stopped)
}

/// Downloads everything through each directory.
async fn once(network: &Network, catalog: &DemoCatalog, artifacts: &[String]) -> anyhow::Result<()> {
    say("4. an ordinary client gets every artifact through each directory")?;
    let mut failures = 0;
    for directory in network.directory_urls() {
        let base = directory.join(&format!("{}/", catalog.name))?;
        let downloads = download_all(network.client(), &base, &catalog.tree, artifacts).await;
        let (right, all, bytes) = (downloads.right, artifacts.len(), downloads.bytes);
        let seconds = downloads.took.as_secs_f64();
        say(&format!("   {base}: {right} of {all} artifacts right, {bytes} bytes, {seconds:.2} s"))?;
        for (server, count) in &downloads.servers {
            let relay = network.relay_urls().any(|url| url.authority() == server);
            say(&format!("     {count:4} from {} {server}", if relay { "relay" } else { "directory" }))?;
        }
        for failure in &downloads.failures {
            say(&format!("     FAILED {failure}"))?;
        }
        failures += downloads.failures.len();
    }
    if failures > 0 {
        bail!("{failures} downloads failed");
    }
    say("every download had the SHA-256 that it should have")
}

fn invite(network: &Network, catalog: &DemoCatalog, artifacts: &[String]) -> anyhow::Result<()> {
    say("\nReady. From another shell:\n")?;
    let directory = network.directory_urls().next().context("there is a directory")?;
    let name = &catalog.name;
    if let Some(path) =
        artifacts.iter().rev().find(|path| path.ends_with(".gz")).or_else(|| artifacts.first())
    {
        let path = odi_wire::route::encode_path(path);
        say(&format!("  curl -LO {directory}{name}/{path}"))?;
        say(&format!("  curl -sI {directory}{name}/{path}     # where it sends you"))?;
    }
    say(&format!("  curl -H 'Accept: application/json' {directory}{name}/"))?;
    say(&format!("\nIn a browser: {directory}{name}/\n"))?;
    for url in network.directory_urls() {
        say(&format!("  odi status {url}     # a directory"))?;
    }
    for url in network.relay_urls() {
        say(&format!("  odi status {url}     # a relay"))?;
    }
    say("\nTo check bytes against the maintainer's key, whoever sends them:\n")?;
    if let Some(path) = artifacts.first() {
        let (path, id) = (odi_wire::route::encode_path(path), catalog.id);
        say(&format!("  odi get {directory}{name}/{path} --catalog {id} --allow-private-addresses"))?;
    }
    say("\nCtrl-C ends it all; nothing is left behind.")
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("   {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress { ready, relays, missing_bytes } = progress;
    bar.set_message(format!("{ready} of {relays} relays ready, {missing_bytes} bytes to fetch"));
    bar.tick();
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("write to standard output")
}
