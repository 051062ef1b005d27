//! The demo from start to end.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use odi_manifest::CatalogId;
use odi_wire::daemon::StopSignals;
use odi_wire::route::encode_path_plainly;
use url::Url;

use super::download_all;
use super::downloads::Downloads;
use super::network::{Listed, Network, Progress};
use super::seed::{self, DIRECTORIES, Published, RELAYS};

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
    let mut stop = StopSignals::listen().context("listen for SIGTERM and SIGINT")?;
    let folder = tempfile::Builder::new().prefix("odi-demo-").tempdir().context("make a temporary folder")?;
    let witnesses = seed::witnesses(folder.path())?;
    say("1. maintainers with a tree, a key and a web server: odi-sign init, odi-sign publish")?;
    let published = seed::publish(folder.path(), options.tree.as_deref(), &witnesses).await?;
    for Published { catalog, artifacts, .. } in &published {
        let count = artifacts.len();
        let plural = if count == 1 { "" } else { "s" };
        say(&format!("   {:8} {count:3} artifact{plural} under {}", catalog.name, catalog.id))?;
    }

    say(&format!("2. {DIRECTORIES} directories that follow each other and vouch for what they see"))?;
    say(&format!("3. {} relays", RELAYS.len()))?;
    for (number, volunteer) in (1..).zip(RELAYS) {
        say(&format!("   relay-{number} wants {}", volunteer.wants.join(", ")))?;
    }
    let listed: Vec<Listed> = published.iter().map(Published::listed).collect();
    let mut network = Network::start_with(folder.path(), &listed, DIRECTORIES, &RELAYS).await?;
    let end = tokio::select! {
        end = show_it(&mut network, &published, options) => end,
        () = stop.received() => if options.once { Err(anyhow!("interrupted")) } else { Ok(()) },
    };
    let stopped = network.stop().await;
    for one in published {
        one.stop().await;
    }
    end.and(stopped)
}

/// Everything from the start of the network on; without `once` it ends only when something fails.
async fn show_it(
    network: &mut Network,
    published: &[Published],
    options: &DemoOptions,
) -> anyhow::Result<()> {
    let bar = progress_bar();
    network.ready(PATIENCE, |progress| show(&bar, progress)).await.context("wait for the relays")?;
    bar.finish_and_clear();
    if options.once {
        return once(network, published).await;
    }
    let bases: Bases = Bases {
        directories: network.directory_urls().cloned().collect(),
        relays: network.relay_urls().cloned().collect(),
    };
    let Published { catalog, artifacts, .. } = published.first().context("something is published")?;
    let largest = largest(&catalog.tree, artifacts)?;
    let others: Vec<&str> = published.iter().skip(1).map(|other| other.catalog.name.as_str()).collect();
    for line in invitation(&bases, &catalog.name, &others, &catalog.id, largest) {
        say(&line)?;
    }
    Err(network.failed().await)
}

/// Downloads everything through each directory.
async fn once(network: &Network, published: &[Published]) -> anyhow::Result<()> {
    say("4. an ordinary client gets every artifact through each directory")?;
    let mut failures = 0;
    for directory in network.directory_urls() {
        for Published { catalog, artifacts, .. } in published {
            let base = directory.join(&format!("{}/", catalog.name))?;
            let downloads = download_all(network.client(), &base, &catalog.tree, artifacts).await;
            tell(network, &base, artifacts.len(), &downloads)?;
            failures += downloads.failures.len();
        }
    }
    if failures > 0 {
        bail!("{failures} downloads failed");
    }
    say("every download had the SHA-256 that it should have")
}

fn tell(network: &Network, base: &Url, all: usize, downloads: &Downloads) -> anyhow::Result<()> {
    let (right, bytes, seconds) = (downloads.right, downloads.bytes, downloads.took.as_secs_f64());
    say(&format!("   {base}: {right} of {all} artifacts right, {bytes} bytes, {seconds:.2} s"))?;
    for (server, count) in &downloads.servers {
        let relay = network.relay_urls().position(|url| url.authority() == server);
        let server_name =
            relay.map_or_else(|| "directory".to_owned(), |position| format!("relay-{}", position + 1));
        say(&format!("     {count:4} from {server_name} {server}"))?;
    }
    for failure in &downloads.failures {
        say(&format!("     FAILED {failure}"))?;
    }
    Ok(())
}

/// Where the daemons are.
struct Bases {
    directories: Vec<Url>,
    relays: Vec<Url>,
}

/// The artifact that shows most: large ones come from a relay.
fn largest<'a>(tree: &Path, artifacts: &'a [String]) -> anyhow::Result<&'a str> {
    let size = |path: &&String| fs::metadata(tree.join(path)).map_or(0, |metadata| metadata.len());
    artifacts.iter().max_by_key(size).map(String::as_str).context("there is an artifact")
}

/// What to try, ready to be pasted into a shell: whatever a file is called, its URL is one quoted word.
fn invitation(bases: &Bases, name: &str, others: &[&str], id: &CatalogId, path: &str) -> Vec<String> {
    let directory = bases.directories.first().map_or("", Url::as_str);
    let url = format!("'{directory}{name}/{}'", encode_path_plainly(path));
    let mut lines = vec!["\nReady. From another shell:\n".to_owned()];
    lines.push(format!("  curl -LO {url}"));
    lines.push(format!("  curl -sI {url}     # where it sends you"));
    lines.push(format!("  curl -H 'Accept: application/json' '{directory}{name}/'"));
    let pages: String = others.iter().map(|other| format!(", {directory}{other}/")).collect();
    lines.push(format!("\nIn a browser: {directory} and {directory}{name}/{pages}\n"));
    lines.extend(bases.directories.iter().map(|url| format!("  odi status '{url}'     # a directory")));
    lines.extend(bases.relays.iter().map(|url| format!("  odi status '{url}'     # a relay")));
    lines.push("\nTo check bytes against the maintainer's key, whoever sends them:\n".to_owned());
    lines.push(format!("  odi get {url} --catalog {id} --allow-private-addresses"));
    lines.push("\nCtrl-C ends it all; nothing is left behind.".to_owned());
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_become_a_command() {
        let bases = Bases { directories: vec![Url::parse("http://127.0.0.1:1/").unwrap()], relays: vec![] };
        let evil = "a'$(touch owned)'b`id`;c";
        let lines = invitation(&bases, "demo", &["packages"], &CatalogId::of(b"x"), evil).join("\n");
        let url = "'http://127.0.0.1:1/demo/a%27%24%28touch%20owned%29%27b%60id%60%3Bc'";
        assert!(lines.contains(&format!("curl -LO {url}\n")), "{lines}");
        assert!(lines.contains(&format!("odi get {url} --catalog")), "{lines}");
        assert!(!lines.contains("touch owned"), "{lines}");
        assert!(lines.contains("http://127.0.0.1:1/demo/, http://127.0.0.1:1/packages/\n"), "{lines}");
    }
}
