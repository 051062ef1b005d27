//! The admin listener, and what a relay writes down about its callers: nothing.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use odi_wire::admin::drain_request;
use odi_wire::client::Ask;
use odi_wire::http::HeaderValue;
use tracing_subscriber::fmt::MakeWriter;

use crate::lab::{Lab, Relay, noise};
use crate::web::Behaviour;

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_measures_and_tells_ready_from_living() {
    let lab = Lab::start(&[("a", b"four")]).await;
    lab.origin.behave(Behaviour::Refuse);
    let lines = "admin = \"127.0.0.1:0\"\nbandwidth = \"80 Mbit/s\"\n";
    let relay = Relay::with(&[&lab.directory], lines).await;
    let admin = format!("http://{}", relay.server.admin_addr().unwrap());
    assert_eq!(lab.get(&format!("{admin}/healthz")).await.status, 200);
    let waiting = lab.get(&format!("{admin}/readyz")).await;
    assert_eq!(waiting.status, 503, "{waiting:?}");
    lab.origin.behave(Behaviour::Proper);
    relay.until("ready", |status| status.ready).await;
    assert_eq!(lab.get(&format!("{admin}/readyz")).await.status, 200);

    lab.get(&format!("{}/sample/a", relay.url)).await;
    lab.get(&format!("{}/sample/none", relay.url)).await;
    let page = String::from_utf8(lab.get(&format!("{admin}/metrics")).await.body.unwrap()).unwrap();
    for line in [
        "odi_relay_ready 1",
        "odi_relay_missing_blobs{catalog=\"sample\"} 0",
        "odi_relay_catalog_seq{catalog=\"sample\"} 1",
        "odi_relay_rate_limit_bytes 10000000",
        "odi_relay_disk_budget_bytes 1000000000",
        "odi_relay_responses_total{class=\"4xx\"} 1",
    ] {
        assert!(page.lines().any(|seen| seen == line), "{line} in\n{page}");
    }
    assert!(!page.contains("odi_relay_transfer_budget_bytes"), "an absent limit has no number");
    for path in ["/sample/a", "/odi/v1/status", "/drain"] {
        assert_ne!(lab.get(&format!("{admin}{path}")).await.status, 200, "{path}");
    }
    assert_eq!(lab.get(&format!("{}/metrics", relay.url)).await.status, 404, "not in public");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operator_can_ask_a_relay_to_leave() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = Relay::with(&[&lab.directory], "admin = \"127.0.0.1:0\"\n").await;
    let admin = format!("http://{}/", relay.server.admin_addr().unwrap()).parse().unwrap();
    let ask = drain_request(&admin);
    // What a web page could make a browser send.
    let forged = Ask::post(ask.url(), "text/plain", "drain");
    assert_eq!(lab.ask(forged).await.status, 403);
    assert!(!relay.server.leaving().is_cancelled());
    assert_eq!(lab.ask(ask).await.status, 202);
    relay.server.leaving().cancelled().await;
    assert_eq!(lab.get(&format!("{admin}readyz")).await.status, 503);
}

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn files_with(folder: &Path, needle: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return files_with(&path, needle);
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            found.then_some(path).into_iter().collect()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_address_is_logged_or_written() {
    // An address that stands nowhere else: a proxy on this machine names it.
    const CLIENT: &str = "203.0.113.77";
    let logged = Logged::default();
    let filter = "odi_relayd=trace,odi_wire=trace,odi_store=trace";
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(logged.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let large = noise(60, 600_000);
    let lab = Lab::start(&[("a", b"a"), ("large", &large)]).await;
    let lines = "admin = \"127.0.0.1:0\"\nproxies = [\"127.0.0.1/32\"]\nbandwidth = \"80 Mbit/s\"\n";
    let relay = Relay::with(&[&lab.directory], lines).await;
    relay.until_full(1).await;
    let too_long = format!("sample/{}", "x".repeat(7000));
    for path in ["sample/a", "sample/large", "sample/none", "sample@1/a", "odi/v1/status", "%ff", &too_long] {
        let url = format!("{}/{path}", relay.url).parse().unwrap();
        let ask = Ask::get(&url).header("x-forwarded-for", HeaderValue::from_static(CLIENT));
        lab.ask(ask).await;
    }
    // A challenge that nobody can have signed: the refusal is worth a line, the caller is not.
    let url = format!("{}{}", relay.url, odi_wire::route::CHALLENGE).parse().unwrap();
    let ask =
        Ask::post(&url, "application/cbor", "x").header("x-forwarded-for", HeaderValue::from_static(CLIENT));
    assert!(lab.ask(ask).await.status.is_client_error());
    let admin = format!("http://{}/metrics", relay.server.admin_addr().unwrap());
    let page = String::from_utf8(lab.get(&admin).await.body.unwrap()).unwrap();
    let data_dir = relay.data_dir();
    relay.server.drain(std::time::Duration::from_secs(1)).await;
    let logs = String::from_utf8_lossy(&logged.0.lock().unwrap()).into_owned();
    assert!(logs.contains("following"), "the log was heard");
    assert!(!logs.contains(CLIENT), "{logs}");
    assert!(!page.contains(CLIENT));
    assert_eq!(files_with(&data_dir, CLIENT), Vec::<std::path::PathBuf>::new());
    assert!(!files_with(&data_dir, "month").is_empty(), "files were looked at");
}
