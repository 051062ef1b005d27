//! A flash crowd, end to end: what many networks want at once is soon given by more relays than were asked to hold it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::free_port;
use odi_manifest::SystemClock;
use odi_tools::demo::{DemoCatalog, Origin};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::config::PrivateAddresses;
use odi_wire::http::header::LOCATION;
use odi_wire::http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(300);
const FILES: u8 = 100;
const FILE_BYTES: usize = 1 << 20;
/// Each has room for the self-test, most of the part of the catalog that directories expect to fit, and one wanted file beside that. What does
/// not fit the relays say, and others are asked to hold it.
const RELAYS: usize = 5;
const DISK: &str = "100 MB";
const CROWD: u8 = 80;
/// What is placed anew would be there by then.
const QUIET: Duration = Duration::from_secs(5);
/// What docs/directory.md promises.
const PROMISED: Duration = Duration::from_secs(60);

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        look.tick().await;
    }
}

fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

async fn directory(folder: &Path, catalog: &str, origin: &str) -> (odi_directoryd::Server, Url) {
    let at = format!("127.0.0.1:{}", free_port());
    let text = format!(
        "data_dir = {folder:?}\nlisten = [\"{at}\"]\npublic_urls = [\"http://{at}\"]\ncopies = 1\nproxies = [\"127.0.0.0/8\"]\n\
         [[catalog]]\nname = \"files\"\nid = \"{catalog}\"\norigin = \"{origin}\"\npoll = \"1s\"\n"
    );
    let config = odi_directoryd::config::Config::parse(&text, PrivateAddresses::Allowed).unwrap();
    let server = odi_directoryd::Server::bind(config, Arc::new(SystemClock)).await.unwrap();
    (server, format!("http://{at}/").parse().unwrap())
}

async fn relay(folder: &Path, directory: &Url) -> odi_relayd::Server {
    let at = format!("127.0.0.1:{}", free_port());
    let text = format!(
        "data_dir = {folder:?}\nlisten = [\"{at}\"]\npublic_urls = [\"http://{at}\"]\ndisk = \"{DISK}\"\n\
         [[directory]]\nurl = \"{}\"\ncatalogs = [\"*\"]\n",
        directory.as_str().trim_end_matches('/')
    );
    let config = odi_relayd::config::Config::parse(&text, PrivateAddresses::Allowed).unwrap();
    odi_relayd::Server::bind(config, Arc::new(SystemClock)).await.unwrap()
}

struct Crowd {
    client: Client,
    directory: Url,
}

impl Crowd {
    /// The URLs of relays that have a file, by the directory's word.
    async fn holders(&self, file: u8) -> BTreeSet<String> {
        let list = self.directory.join(&format!("files/{file}?mirrorlist&json")).unwrap();
        let reply = self.client.send(Ask::get(&list)).await.unwrap();

        let listed = reply.body.collect().await.unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap_or_default();
        let listed = listed.as_array().into_iter().flatten().filter(|place| place["relay"].is_string());
        listed.map(|place| place["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether all relays are ready and have all that they were asked to hold.
    async fn is_full(&self) -> bool {
        let page = self.directory.join("odi/catalogs/files?json").unwrap();
        let page = self.client.send(Ask::get(&page)).await.unwrap().body.collect().await.unwrap();
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let ready =
            page["holders"].as_array().into_iter().flatten().filter(|relay| relay["state"] == "ready");
        ready.count() == RELAYS && page["heads"][0]["full"] == RELAYS
    }

    /// The rarest file once every file has a holder and nothing happens to it any more: nobody wants it yet, so nobody else gets it.
    async fn settled(&self) -> (u8, BTreeSet<String>) {
        let mut known = self.rarest().await;
        let mut since = Instant::now();
        until("the relays have settled", async || {
            let now = self.rarest().await;
            if now != known || now.1.is_empty() || !self.is_full().await {
                (known, since) = (now, Instant::now());
            }
            since.elapsed() > QUIET
        })
        .await;
        known
    }

    /// A file that fewest relays have, and which ones.
    async fn rarest(&self) -> (u8, BTreeSet<String>) {
        let mut rarest: Option<(u8, BTreeSet<String>)> = None;
        for file in 0..FILES {
            let holders = self.holders(file).await;
            let is_rarer = rarest.as_ref().is_none_or(|(_, least)| holders.len() < least.len());
            if is_rarer {
                rarest = Some((file, holders));
            }
        }
        rarest.unwrap_or_default()
    }

    /// Where a client of that network is sent for a file.
    async fn sent(&self, network: u8, file: u8) -> Option<String> {
        let from = HeaderValue::from_str(&format!("198.51.{network}.7")).unwrap();
        let ask = Ask::get(&self.directory.join(&format!("files/{file}")).unwrap());
        let reply = self.client.send(ask.header("x-forwarded-for", from)).await.unwrap();
        reply.headers.get(LOCATION).map(|to| to.to_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crowd_wants_is_given_by_further_relays_within_a_minute() {
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for file in 0..FILES {
        std::fs::write(tree.join(file.to_string()), noise(file)).unwrap();
    }
    let origin = Origin::start(tree.clone()).await.unwrap();
    let at: Url = origin.url().parse().unwrap();
    let signing = tokio::task::spawn_blocking(move || DemoCatalog::begin(tree, "files", &at).unwrap());
    let id = signing.await.unwrap().id.to_string();
    let (directory, url) = directory(&work.path().join("directory"), &id, &origin.url()).await;
    let mut relays = Vec::new();
    for number in 0..RELAYS {
        relays.push(relay(&work.path().join(format!("relay-{number}")), &url).await);
    }
    let client =
        Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }).unwrap();
    let crowd = Crowd { client, directory: url };
    let (file, before) = crowd.settled().await;
    assert!((1..RELAYS).contains(&before.len()), "{before:?}");

    let begun = Instant::now();
    for network in 0..CROWD {
        crowd.sent(network, file).await;
    }
    until("further relays have it", async || crowd.holders(file).await.len() > before.len()).await;
    let took = begun.elapsed();
    let after = crowd.holders(file).await;
    odi_fixtures::tell!(
        "what {CROWD} networks want at once: {} of {RELAYS} relays had it, and {} ms after the first of them {}",
        before.len(),
        took.as_millis(),
        after.len()
    );
    assert!(took < PROMISED, "{took:?}");
    assert!(after.is_superset(&before), "{before:?} {after:?}");

    // Others who come now get the right bytes, also from those.
    let mut from = BTreeSet::new();
    for network in CROWD..=u8::MAX {
        let place: Url = crowd.sent(network, file).await.unwrap().parse().unwrap();
        from.insert(place.authority().to_owned());
        if from.len() > before.len() {
            let reply = crowd.client.send(Ask::get(&place)).await.unwrap();
            assert_eq!(reply.status, StatusCode::OK);
            assert!(reply.body.collect().await.unwrap() == noise(file), "wrong bytes from {place}");
            break;
        }
    }
    assert!(from.len() > before.len(), "still nobody is sent to a further one: {from:?}");

    for relay in relays {
        relay.drain(Duration::from_secs(5)).await;
    }
    directory.drain(Duration::from_secs(5)).await.unwrap();
    origin.stop().await;
}
