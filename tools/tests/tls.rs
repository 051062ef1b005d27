//! Both daemons over TLS: a relay and a directory under a laboratory's authority, and certificates that a directory
//! orders and renews from `pebble`, a real ACME server. The clients are curl and the daemons themselves.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tls/pebble.rs"]
mod pebble;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use odi_fixtures::{TestAuthority, free_port};
use odi_manifest::SystemClock;
use odi_tools::demo::{DemoCatalog, Origin};
use odi_wire::config::PrivateAddresses;
use tokio::time::Instant;
use url::Url;

use pebble::Pebble;

const PATIENCE: Duration = Duration::from_secs(120);
const LARGE: usize = 900_000;

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "20"]).args(arguments);
    run(command).await
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Asks again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        look.tick().await;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What both daemons are told in the laboratory, on a port of its own.
fn settings(folder: &Path, data: &str, port: u16) -> String {
    let (data, root) = (folder.join(data), folder.join("root.pem"));
    format!(
        "data_dir = {data:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"https://127.0.0.1:{port}\"]\n\
         extra_roots = [{root:?}]\n"
    )
}

fn tls(folder: &Path) -> String {
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")
}

async fn directory(text: &str) -> odi_directoryd::Server {
    let config = odi_directoryd::Config::parse(text, PrivateAddresses::Allowed).unwrap();
    odi_directoryd::Server::bind(config, Arc::new(SystemClock)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_and_a_directory_over_https() {
    if !has("curl") {
        return skip::skip("curl is not installed");
    }
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    TestAuthority::new().issue_into(folder, &["127.0.0.1"]).unwrap();
    let tree = folder.join("tree");
    fs::create_dir_all(&tree).unwrap();
    let content: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
    fs::write(tree.join("large.bin"), &content).unwrap();
    let origin = Origin::start(tree.clone()).await.unwrap();
    let catalog = DemoCatalog::begin(tree, "demo", &Url::parse(&origin.url()).unwrap()).unwrap();
    let (directory_port, relay_port) = (free_port(), free_port());
    let directory = directory(&format!(
        "{}{}[[catalog]]\nname = \"demo\"\nid = \"{}\"\norigin = \"{}\"\npoll = \"1s\"\n",
        settings(folder, "directory", directory_port),
        tls(folder),
        catalog.id,
        origin.url()
    ))
    .await;
    let config = format!(
        "{}disk = \"1 GB\"\n{}[[directory]]\nurl = \"https://127.0.0.1:{directory_port}\"\ncatalogs = [\"*\"]\n",
        settings(folder, "relay", relay_port),
        tls(folder)
    );
    let config = odi_relayd::config::Config::parse(&config, PrivateAddresses::Allowed).unwrap();
    let relay = odi_relayd::Server::bind(config, Arc::new(SystemClock)).await.unwrap();

    let (root, out) = (folder.join("root.pem"), folder.join("out"));
    let (root, out) = (root.to_str().unwrap(), out.to_str().unwrap());
    let url = format!("https://127.0.0.1:{directory_port}/demo/large.bin");
    let from_relay = format!("https://127.0.0.1:{relay_port}/");
    let get = async |version: &str| {
        let written = "%{http_version} %{url_effective}";
        let got = curl(&["--cacert", root, version, "--location", &url, "-o", out, "-w", written]).await;
        text(&got.stdout)
    };
    until("the directory sends clients to the relay", async || get("--http2").await.contains(&from_relay))
        .await;
    for (version, spoken) in [("--http2", "2 "), ("--http1.1", "1.1 ")] {
        let written = get(version).await;
        assert!(written.starts_with(spoken) && written.contains(&from_relay), "{written}");
        assert_eq!(fs::read(out).unwrap(), content, "{version}");
    }
    let unknown = curl(&["--location", &url]).await;
    assert_eq!(unknown.status.code(), Some(60), "nobody else believes this authority");
    relay.drain(Duration::from_secs(5)).await;
    directory.drain(Duration::from_secs(5)).await.unwrap();
    origin.stop().await;
}

/// Orders, shows, renews and keeps a certificate, with the given proof.
async fn ordered_and_renewed(challenge: &str) {
    if !has("curl") || !Pebble::is_installed() {
        return skip::skip("pebble, pebble-challtestsrv or curl is not installed");
    }
    const NAME: &str = "everest.odi.test";
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    let (tls_port, http_port) = (free_port(), free_port());
    let pebble = Pebble::start(folder, tls_port, http_port);
    let authority_root = folder.join("root.pem");
    let issued_root = folder.join("issued-root.pem");
    until("pebble answers", async || {
        let (root, out) = (authority_root.to_str().unwrap(), issued_root.to_str().unwrap());
        curl(&["--cacert", root, &pebble.root_url(), "-o", out]).await.status.success()
    })
    .await;
    let data = folder.join("directory");
    let config = format!(
        "data_dir = {data:?}\nlisten = [\"127.0.0.1:{tls_port}\"]\nlisten_plain = [\"127.0.0.1:{http_port}\"]\n\
         public_urls = [\"https://{NAME}:{tls_port}\"]\n[tls]\n\
         acme = {{ contact = \"ops@odi.test\", directory = \"{}\", ca = {authority_root:?}, \
         challenge = \"{challenge}\" }}\n",
        pebble.directory_url()
    );
    let server = directory(&config).await;
    let fetched = async || {
        let (root, at) = (issued_root.to_str().unwrap(), format!("{NAME}:{tls_port}:127.0.0.1"));
        let url = format!("https://{NAME}:{tls_port}/.well-known/odi");
        curl(&["--cacert", root, "--resolve", &at, &url]).await.status.success()
    };
    until("curl believes the first certificate", fetched).await;
    let (account, certificate) = (data.join("acme/account.json"), data.join("acme/certificate.pem"));
    let (first_account, first) = (fs::read(&account).unwrap(), fs::read(&certificate).unwrap());
    for file in [&account, &certificate] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    until("it is renewed", async || fs::read(&certificate).unwrap() != first).await;
    until("curl believes the second", fetched).await;
    assert_eq!(fs::read(&account).unwrap(), first_account, "one account for all orders");
    // A restart in between would not have ordered at once again; now that the certificate is in use, one may.
    let attempts = || fs::read_to_string(data.join("acme/attempts.json")).unwrap();
    until("the order is known to have served", async || attempts().contains("\"in_vain\":0")).await;
    let second = fs::read(&certificate).unwrap();
    server.drain(Duration::from_secs(5)).await.unwrap();
    // Without its authority, a restart has what it kept.
    drop(pebble);
    let server = directory(&config).await;
    assert!(fetched().await || fs::read(&certificate).unwrap() == second);
    server.drain(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pebble_issues_and_renews_by_tls_alpn_01() {
    ordered_and_renewed("tls-alpn-01").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pebble_issues_and_renews_by_http_01() {
    ordered_and_renewed("http-01").await;
}
