//! A takedown at one relay, end to end: it refuses, says so to its directory, and the directory sends everybody to others.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::free_port;
use odi_manifest::{BlobId, SystemClock};
use odi_tools::demo::{DemoCatalog, Origin};
use odi_wire::client::{Ask, Client, ClientPolicy, Reply};
use odi_wire::config::PrivateAddresses;
use odi_wire::denylist::Denylist;
use odi_wire::http::StatusCode;
use odi_wire::http::header::LOCATION;
use tokio::time::Instant;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(120);
/// More than directories carry themselves.
const LARGE: usize = 900_000;

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        look.tick().await;
    }
}

fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; LARGE];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

struct Relay {
    server: odi_relayd::Server,
    url: String,
}

impl Relay {
    async fn start(folder: &Path, directory: &str) -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let text = format!(
            "data_dir = {folder:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"{url}\"]\ndisk = \"1 GB\"\n\
             [[directory]]\nurl = \"{directory}\"\ncatalogs = [\"*\"]\n"
        );
        let config = odi_relayd::config::Config::parse(&text, PrivateAddresses::Allowed).unwrap();
        Self { server: odi_relayd::Server::bind(config, Arc::new(SystemClock)).await.unwrap(), url }
    }

    /// As a SIGHUP does after the operator has edited the file.
    fn deny(&self, lines: &str) {
        let mut config = self.server.relay().config.clone();
        config.terms.denied = Arc::new(Denylist::parse(lines).unwrap());
        assert!(self.server.relay().reload(&config).is_empty());
    }
}

/// Somebody with an ordinary client and one directory.
struct Visitor {
    client: Client,
    directory: String,
}

impl Visitor {
    async fn get(&self, url: &str) -> Reply {
        self.client.send(Ask::get(&url.parse().unwrap())).await.unwrap()
    }

    /// Where the directory sends for a path. Asked by HEAD: whoever repeats a GET at once is sent to the next relay.
    async fn sent(&self, path: &str) -> Option<String> {
        let url = format!("{}/demo/{path}", self.directory);
        let reply = self.client.send(Ask::head(&url.parse().unwrap())).await.unwrap();
        Some(reply.headers.get(LOCATION)?.to_str().unwrap().to_owned())
    }

    async fn sent_to(&self, path: &str, relay: &Relay) -> bool {
        self.sent(path).await.is_some_and(|url| url.starts_with(&format!("{}/@", relay.url)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_operator_denies_is_451_there_and_comes_from_others() {
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    let (bad, good) = (noise(1), noise(2));
    std::fs::write(tree.join("bad.bin"), &bad).unwrap();
    std::fs::write(tree.join("good.bin"), &good).unwrap();
    let origin = Origin::start(tree.clone()).await.unwrap();
    let catalog = DemoCatalog::begin(tree, "demo", &Url::parse(&origin.url()).unwrap()).unwrap();
    let directory = format!("http://127.0.0.1:{}", free_port());
    let text = format!(
        "data_dir = {:?}\nlisten = [\"{}\"]\npublic_urls = [\"{directory}\"]\n\
         [[catalog]]\nname = \"demo\"\nid = \"{}\"\norigin = \"{}\"\npoll = \"1s\"\n",
        work.path().join("directory"),
        directory.trim_start_matches("http://"),
        catalog.id,
        origin.url()
    );
    let config = odi_directoryd::Config::parse(&text, PrivateAddresses::Allowed).unwrap();
    let server = odi_directoryd::Server::bind(config, Arc::new(SystemClock)).await.unwrap();
    let relays = [
        Relay::start(&work.path().join("one"), &directory).await,
        Relay::start(&work.path().join("two"), &directory).await,
    ];
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let visitor = Visitor { client: Client::new(policy).unwrap(), directory };

    // Each of them is sent to in the other's stead, so both hold it and are trusted.
    let [one, two] = &relays;
    for (relay, other) in [(one, two), (two, one)] {
        let avoiding = format!("bad.bin?avoid={}", other.url.trim_start_matches("http://"));
        until("both are sent to", async || visitor.sent_to(&avoiding, relay).await).await;
    }
    let pinned = visitor.sent("bad.bin").await.unwrap();
    let (denying, other) = if pinned.starts_with(&one.url) { (one, two) } else { (two, one) };
    assert_eq!(visitor.get(&pinned).await.body.collect().await.unwrap(), bad);

    denying.deny(&format!("blake3:{}\n", BlobId::of(&bad)));
    let refused = visitor.get(&pinned).await.status;
    assert_eq!(refused, StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
    until("the directory routes around it", async || visitor.sent_to("bad.bin", other).await).await;
    let elsewhere = visitor.sent("bad.bin").await.unwrap();
    assert_eq!(visitor.get(&elsewhere).await.body.collect().await.unwrap(), bad);
    // Nothing else leaves it: whoever avoids the other is sent there as before.
    let good = format!("good.bin?avoid={}", other.url.trim_start_matches("http://"));
    assert!(visitor.sent_to(&good, denying).await, "{:?}", visitor.sent(&good).await);
    // Not even who avoids the other is sent to the one that denies.
    let avoiding = format!("bad.bin?avoid={}", other.url.trim_start_matches("http://"));
    assert!(!visitor.sent_to(&avoiding, denying).await);

    for relay in relays {
        relay.server.drain(Duration::from_secs(5)).await;
    }
    server.drain(Duration::from_secs(5)).await.unwrap();
    origin.stop().await;
}
