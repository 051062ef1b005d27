//! A directory's self-test against the real `odi-relayd`: over https, at an IPv4 and at an IPv6 URL, each tried for itself.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/cutting_proxy.rs"]
#[allow(dead_code, reason = "what another test asks of it")]
mod cutting_proxy;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/skip.rs"]
mod skip;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cutting_proxy::CuttingProxy;
use odi_fixtures::{TestAuthority, free_port};
use odi_manifest::SystemClock;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::config::PrivateAddresses;
use programs::PROGRAMS;
use serde_json::Value;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);
/// More than a challenge and its handshake, less than the self-test's largest file.
const ENOUGH_TO_JOIN: u64 = 1 << 20;

/// The program, which ends with the test.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn relay(folder: &Path, name: &str, listen: [String; 2], urls: [String; 2], directory: &str) -> Relay {
    let (file, data) = (folder.join(format!("{name}.toml")), folder.join(name));
    let text = format!(
        "data_dir = {data:?}\nlisten = {listen:?}\npublic_urls = {urls:?}\ndisk = \"1 GB\"\n\
         [tls]\ncertificate = {:?}\nkey = {:?}\n[[directory]]\nurl = \"{directory}\"\ncatalogs = [\"*\"]\n",
        folder.join("server.pem"),
        folder.join("server.key")
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(PROGRAMS.join("odi-relayd"));
    command.args(["--allow-private-addresses", "--config"]).arg(file);
    Relay(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// What the directory says of the relay with this URL, once it is so.
async fn until(directory: &str, url: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let client = Client::new(policy).unwrap();
    let list = format!("{directory}/odi/v1/relays").parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        look.tick().await;
        let body = client.send(Ask::get(&list)).await.unwrap().body.collect().await.unwrap();
        let relays: Vec<Value> = serde_json::from_slice(&body).unwrap();
        let named = |relay: &&Value| relay["urls"].as_array().unwrap().iter().any(|known| known == url);
        match relays.iter().find(named) {
            Some(relay) if is_so(relay) => return relay.clone(),
            _ => assert!(Instant::now() < deadline, "never came true at {url}: {relays:#?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_has_to_be_right_at_its_ipv4_and_at_its_ipv6_url() {
    let Ok(crooked) = TcpListener::bind("[::1]:0") else {
        return skip::skip("there is no IPv6 on this machine's loopback");
    };
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    TestAuthority::new().issue_into(folder, &["127.0.0.1", "::1"]).unwrap();
    let directory = format!("http://127.0.0.1:{}", free_port());
    let text = format!(
        "data_dir = {:?}\nlisten = [\"{}\"]\npublic_urls = [\"{directory}\"]\nextra_roots = [{:?}]\n",
        folder.join("directory"),
        directory.trim_start_matches("http://"),
        folder.join("root.pem")
    );
    let config = odi_directoryd::Config::parse(&text, PrivateAddresses::Allowed).unwrap();
    let server = odi_directoryd::Server::bind(config, Arc::new(SystemClock)).await.unwrap();

    let port = free_port();
    let listen = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    let urls = listen.clone().map(|addr| format!("https://{addr}"));
    let good = relay(folder, "good", listen, urls.clone(), &directory);
    let tested = |relay: &Value| relay["state"] == "probation" || relay["state"] == "ready";
    let well = until(&directory, &urls[1], |relay| tested(relay) && relay["reason"].is_null()).await;
    assert_eq!(well["urls"], serde_json::json!(urls));

    // The same, but what comes over IPv6 breaks off early.
    let (port, behind) = (free_port(), free_port());
    let at: SocketAddr = crooked.local_addr().unwrap();
    let proxy = CuttingProxy::start_on(crooked, ([127, 0, 0, 1], behind).into());
    proxy.cut(std::iter::repeat_n(ENOUGH_TO_JOIN, 10_000));
    let listen = [format!("127.0.0.1:{port}"), format!("127.0.0.1:{behind}")];
    let urls = [format!("https://127.0.0.1:{port}"), format!("https://{at}")];
    let half = relay(folder, "half", listen, urls.clone(), &directory);
    let guilty = format!("the self-test at {}", urls[1]);
    let says = |relay: &Value| relay["reason"].as_str().is_some_and(|reason| reason.contains(&guilty));
    let failed = until(&directory, &urls[1], says).await;
    assert_ne!(failed["state"], "ready", "{failed}");

    drop((good, half));
    server.drain(Duration::from_secs(5)).await.unwrap();
}
