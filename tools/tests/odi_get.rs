//! `odi get` and `odi verify`, the real binary, against a real network behind a front that lies.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::CatalogId;
use odi_tools::demo::{DemoCatalog, Listed, Network, Origin};
use odi_wire::client::{Ask, Client};
use odi_wire::http::{HeaderValue, StatusCode, header};
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(120);
const LARGE: usize = 900_000;

/// Passes requests on to a directory, except where it lies.
struct Front {
    directory: Url,
    client: Client,
    /// Artifacts are redirected there, unless the caller avoids it.
    liar: Url,
    /// Answered in place of the newest head.
    head: Mutex<Option<Vec<u8>>>,
}

impl Service for Front {
    async fn call(&self, request: Request) -> Response {
        let target = request.uri.path_and_query().unwrap().as_str().to_owned();
        let avoided = target.contains(&format!("avoid={}", self.liar.authority().replace(':', "%3A")));
        if (target.starts_with("/demo/") || target.starts_with("/@")) && !avoided {
            let location = self.liar.join(target.trim_start_matches('/')).unwrap();
            return Response::redirect(StatusCode::FOUND, location.as_str()).unwrap();
        }
        if let Some(head) =
            self.head.lock().unwrap().clone().filter(|_| request.uri.path().ends_with("/head"))
        {
            return Response::ok("application/cbor", head);
        }
        let reply = self.client.send(Ask::get(&self.directory.join(&target).unwrap())).await.unwrap();
        let mut response = Response::new(reply.status);
        if let Some(location) = reply.headers.get(header::LOCATION) {
            response = response.with_header(header::LOCATION, location.clone());
        }
        response.with_body(reply.body.collect().await.unwrap())
    }
}

/// Serves the right bytes with one wrong in the third chunk, or the last byte where there is none.
struct Liar(PathBuf);

impl Service for Liar {
    async fn call(&self, request: Request) -> Response {
        let path = request.uri.path().trim_start_matches('/').split_once('/').unwrap().1.to_owned();
        let mut bytes = fs::read(self.0.join(path)).unwrap();
        let at = (bytes.len() - 1).min(600_000);
        bytes[at] ^= 1;
        Response::new(StatusCode::OK)
            .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .with_body(Bytes::from(bytes))
    }
}

struct World {
    network: Network,
    origin: Origin,
    front: Arc<Front>,
    running: Vec<Running>,
    catalog: DemoCatalog,
    work: tempfile::TempDir,
}

async fn serve<S: Service>(service: Arc<S>) -> (Url, Running) {
    let server = Server::bind(&[([127, 0, 0, 1], 0).into()], Limits::default()).await.unwrap();
    let url = Url::parse(&format!("http://{}/", server.local_addrs()[0])).unwrap();
    (url, server.spawn(service))
}

impl World {
    async fn start() -> (Self, Url) {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join("tree");
        fs::create_dir_all(&tree).unwrap();
        fs::write(
            tree.join("large.bin"),
            (0..LARGE).map(|n| u8::try_from(n * n % 251).unwrap()).collect::<Vec<_>>(),
        )
        .unwrap();
        fs::write(tree.join("small.txt"), vec![b'x'; 100_000]).unwrap();
        let origin = Origin::start(tree.clone()).await.unwrap();
        let origin_url = Url::parse(&origin.url()).unwrap();
        let catalog = DemoCatalog::begin(tree.clone(), "demo", &origin_url).unwrap();
        let listed = [Listed { name: "demo".to_owned(), id: catalog.id, origin: origin_url }];
        let network = Network::start(work.path(), &listed, 1, 1).await.unwrap();
        network.ready(PATIENCE, |_| {}).await.unwrap();
        let (liar, liar_running) = serve(Arc::new(Liar(tree))).await;
        let directory = network.directory_urls().next().unwrap().clone();
        let client = network.client().clone();
        let front = Arc::new(Front { directory, client, liar, head: Mutex::default() });
        let (url, front_running) = serve(Arc::clone(&front)).await;
        (Self { network, origin, front, running: vec![liar_running, front_running], catalog, work }, url)
    }

    async fn stop(self) {
        for running in self.running {
            running.drain(Duration::from_secs(1)).await;
        }
        self.network.stop().await.unwrap();
        self.origin.stop().await;
    }
}

async fn odi(work: &Path, id: CatalogId, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi"));
    command.args(arguments).arg("--catalog").arg(id.to_string()).arg("--allow-private-addresses");
    command.arg("--state").arg(work.join("state"));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_relay_costs_a_chunk_and_an_old_head_is_refused() {
    let (world, front) = World::start().await;
    let (work, id) = (world.work.path().to_path_buf(), world.catalog.id);
    let out = work.join("out");
    let out_text = out.to_str().unwrap().to_owned();
    for name in ["large.bin", "small.txt"] {
        let url = front.join(&format!("demo/{name}")).unwrap();
        let got = odi(&work, id, &["get", url.as_str(), "-o", &out_text]).await;
        assert!(got.status.success(), "{name}: {}", text(&got.stderr));
        assert_eq!(fs::read(&out).unwrap(), fs::read(world.catalog.tree.join(name)).unwrap(), "{name}");
        assert!(
            text(&got.stderr).contains(world.front.liar.authority()),
            "the liar is named: {}",
            text(&got.stderr)
        );
        let verified = odi(&work, id, &["verify", &out_text, url.as_str()]).await;
        assert!(verified.status.success(), "{name}: {}", text(&verified.stderr));
    }

    let other = front.join("demo/large.bin").unwrap();
    let verified = odi(&work, id, &["verify", &out_text, other.as_str()]).await;
    assert_eq!(verified.status.code(), Some(7), "{}", text(&verified.stderr));
    let absent = odi(&work, id, &["get", front.join("demo/absent").unwrap().as_str(), "-o", &out_text]).await;
    assert_eq!(absent.status.code(), Some(9), "{}", text(&absent.stderr));
    let foreign = odi(&work, CatalogId::of(b"another"), &["get", other.as_str(), "-o", &out_text]).await;
    let said = text(&foreign.stderr);
    assert!(said.contains(&format!("`demo` is {id}")), "{said}");
    assert_eq!(foreign.status.code(), Some(9), "{said}");

    other_urls(&world, &work, id).await;
    behind(&world, &work, id, &front).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_directory_of_two_stops_nobody() {
    let (world, _front) = World::start().await;
    let (work, id) = (world.work.path().to_path_buf(), world.catalog.id);
    let out = work.join("out");
    let alive = world.network.directory_urls().next().unwrap().clone();
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Url::parse(&format!("http://{}/demo/small.txt", listener.local_addr().unwrap())).unwrap()
    };
    let alone = odi(&work, id, &["get", dead.as_str(), "-o", out.to_str().unwrap()]).await;
    assert_eq!(alone.status.code(), Some(8), "{}", text(&alone.stderr));
    assert!(!out.exists());
    let arguments = ["get", dead.as_str(), "--directory", alive.as_str(), "-o", out.to_str().unwrap()];
    let both = odi(&work, id, &arguments).await;
    assert!(both.status.success(), "{}", text(&both.stderr));
    assert_eq!(fs::read(&out).unwrap(), vec![b'x'; 100_000]);
    world.stop().await;
}

/// What a URL can be beside `/demo/PATH`, and what standard output can be.
async fn other_urls(world: &World, work: &Path, id: CatalogId) {
    let (directory, relay) =
        (world.network.directory_urls().next().unwrap(), world.network.relay_urls().next().unwrap());
    let small = fs::read(world.catalog.tree.join("small.txt")).unwrap();
    let place = async |url: &str| odi(work, id, &["get", url, "-o", "-"]).await;
    let summaries =
        world.network.client().send(Ask::get(&directory.join("odi/v1/catalogs").unwrap())).await.unwrap();
    let summaries: serde_json::Value =
        serde_json::from_slice(&summaries.body.collect().await.unwrap()).unwrap();
    let pin = summaries[0]["pin"].as_str().unwrap().to_owned();
    for url in [format!("{directory}demo@1/small.txt"), format!("{directory}{pin}/small.txt")] {
        let got = place(&url).await;
        assert!(got.status.success(), "{url}: {}", text(&got.stderr));
        assert!(got.stdout == small, "{url}: standard output is the artifact and nothing else");
    }
    for (url, code, words) in [
        (format!("{directory}demo@7/small.txt"), 2, "names one state of the catalog, and the newest is"),
        (format!("{relay}demo/small.txt"), 2, "is a relay: give the artifact's URL at a directory"),
        (format!("{directory}other/small.txt"), 9, "has no catalog `other`; it serves this id as `demo`"),
        (format!("{directory}demo/small.txt/"), 2, "is not an artifact's URL at a directory"),
    ] {
        let got = place(&url).await;
        let said = text(&got.stderr);
        assert!(said.contains(words), "{url}: {said}");
        assert_eq!(got.status.code(), Some(code), "{url}: {said}");
        assert!(got.stdout.is_empty(), "{url}");
    }
}

/// The front shows head 1 to somebody who has seen head 2.
async fn behind(world: &World, work: &Path, id: CatalogId, front: &Url) {
    let old_head = fs::read(world.catalog.tree.join(".odi/head")).unwrap();
    fs::write(world.catalog.tree.join("new.txt"), "new").unwrap();
    world.catalog.publish().unwrap();
    let new_head = fs::read(world.catalog.tree.join(".odi/head")).unwrap();
    assert_ne!(old_head, new_head);
    let url = front.join("demo/small.txt").unwrap();
    let out = work.join("rollback");
    let arguments = ["get", url.as_str(), "-o", out.to_str().unwrap()];
    let began = std::time::Instant::now();
    loop {
        let got = odi(work, id, &arguments).await;
        assert!(got.status.success(), "{}", text(&got.stderr));
        if text(&got.stdout).contains("sequence 2") {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the directory never adopted head 2");
    }
    *world.front.head.lock().unwrap() = Some(old_head);
    fs::remove_file(&out).unwrap();
    let refused = odi(work, id, &arguments).await;
    let said = text(&refused.stderr);
    assert!(said.contains("is behind: its newest state is 1, and you have seen 2"), "{said}");
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(!out.exists(), "nothing is written of what is refused");

    // With one that is up to date, being behind is worth a word and no more, and a file that only head 2 has comes.
    let current = world.network.directory_urls().next().unwrap().as_str();
    let url = front.join("demo/new.txt").unwrap();
    let arguments = ["get", url.as_str(), "-o", out.to_str().unwrap(), "--directory", current];
    let got = odi(work, id, &arguments).await;
    assert!(got.status.success(), "{}", text(&got.stderr));
    assert!(text(&got.stderr).contains("is behind"), "{}", text(&got.stderr));
    assert_eq!(fs::read(&out).unwrap(), b"new");
}
