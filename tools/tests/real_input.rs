//! Real packages, real web servers, real curl: every file through a directory has the right SHA-256, and stays right
//! while a second version is published in place.
//!
//! Needs `ODI_REAL_PACKAGES`, a folder that `fixtures/fetch-real-packages` filled, and nginx, python3 and curl. Without
//! them it says so and passes, unless `ODI_SKIP=fail`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/skip.rs"]
mod skip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs};

use odi_fixtures::free_port;
use odi_manifest::Sha256;
use odi_tools::demo::{DemoCatalog, Listed, Network, paths};
use skip::skip;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(240);
const DOWNLOADERS: usize = 3;

/// The folder of real packages, if everything that is needed is here.
fn real_packages(tools: &[&str]) -> Option<PathBuf> {
    let found = env::var_os("ODI_REAL_PACKAGES")
        .map(PathBuf::from)
        .ok_or_else(|| "ODI_REAL_PACKAGES is not set".to_owned());
    let have = |tool: &&str| {
        Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let missing = tools.iter().find(|tool| !have(tool)).map(|tool| format!("{tool} is not installed"));
    let reason = match (found, missing) {
        (Ok(folder), None) => return Some(folder),
        (_, Some(reason)) | (Err(reason), None) => reason,
    };
    skip(&reason);
    None
}

/// Somebody else's web server over a folder; killed when dropped.
struct WebServer {
    child: Child,
    url: Url,
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WebServer {
    fn nginx(work: &Path, tree: &Path) -> Self {
        let port = free_port();
        let config = work.join("nginx.conf");
        let (work, tree) = (work.display(), tree.display());
        let text = format!(
            "daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {work}/t1; proxy_temp_path {work}/t2;\n\
             fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;\n\
             server {{ listen 127.0.0.1:{port}; root {tree}; }} }}\n"
        );
        fs::write(&config, text).unwrap();
        Self::start(Command::new("nginx").arg("-c").arg(&config), port)
    }

    /// Knows no ranges: it answers 200 and everything.
    fn python(tree: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("python3");
        command
            .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"])
            .arg(tree);
        Self::start(&mut command, port)
    }

    fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, url: Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap() };
        let tries = 2_000;
        let up = (0..tries).any(|_| {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() || {
                std::thread::park_timeout(Duration::from_millis(10));
                false
            }
        });
        assert!(up, "the web server did not come up");
        server
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for path in paths(from).unwrap() {
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(path), target).unwrap();
    }
}

fn sums(tree: &Path) -> BTreeMap<String, Sha256> {
    paths(tree)
        .unwrap()
        .into_iter()
        .map(|path| (path.clone(), Sha256::of(&fs::read(tree.join(&path)).unwrap())))
        .collect()
}

/// `curl -L`: the status, and the SHA-256 of what it wrote.
fn curl(url: &str, into: &Path) -> (String, Sha256) {
    let _ = fs::remove_file(into);
    let output = Command::new("curl")
        .args(["-sSL", "--max-time", "120", "-w", "%{http_code} %{exitcode}", "-o"])
        .arg(into)
        .arg(url)
        .output()
        .unwrap();
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    (status, Sha256::of(&fs::read(into).unwrap_or_default()))
}

fn url_of(base: &Url, path: &str) -> String {
    base.join(&odi_wire::route::encode_path(path)).unwrap().into()
}

/// The next version, in place: a fifth of the files grows, by rename or in the very inode; a few vanish, a few are new.
fn change(tree: &Path) {
    for (number, path) in paths(tree).unwrap().iter().enumerate() {
        let file = tree.join(path);
        match number % 9 {
            3 => {
                let mut inode = fs::OpenOptions::new().append(true).open(&file).unwrap();
                std::io::Write::write_all(&mut inode, b" second version").unwrap();
            }
            0 => {
                let mut bytes = fs::read(&file).unwrap();
                bytes.extend_from_slice(b" second version");
                let staged = file.with_extension("new");
                fs::write(&staged, bytes).unwrap();
                fs::rename(staged, file).unwrap();
            }
            6 if number % 2 == 0 => fs::remove_file(file).unwrap(),
            7 if number % 2 == 0 => fs::write(file.with_extension("added"), format!("new {number}")).unwrap(),
            _ => {}
        }
    }
}

async fn scenario(packages: PathBuf, start: impl FnOnce(&Path, &Path) -> WebServer) {
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    copy_tree(&packages, &tree);
    let origin = start(work.path(), &tree);
    let (at, url) = (tree.clone(), origin.url.clone());
    let catalog =
        tokio::task::spawn_blocking(move || DemoCatalog::begin(at, "real", &url).unwrap()).await.unwrap();
    let listed = [Listed { name: "real".to_owned(), id: catalog.id, origin: origin.url.clone() }];
    let network = Network::start(work.path(), &listed, 1, 2).await.unwrap();
    network.ready(PATIENCE, |_| {}).await.unwrap();
    let base = network.directory_urls().next().unwrap().join("real/").unwrap();

    let first = Arc::new(sums(&tree));
    assert!(first.len() >= 200, "only {} real files", first.len());
    let (wanted, from, into) = (Arc::clone(&first), base.clone(), work.path().join("first"));
    tokio::task::spawn_blocking(move || all_right(&wanted, &from, &into)).await.unwrap();

    while_publishing(&network, catalog, &first, &base, work.path()).await;
    network.stop().await.unwrap();
}

fn all_right(wanted: &BTreeMap<String, Sha256>, base: &Url, into: &Path) {
    for (path, sum) in wanted {
        let (status, got) = curl(&url_of(base, path), into);
        assert_eq!((status.as_str(), got), ("200 0", *sum), "{path}");
    }
}

/// Downloads go on while the second version is published; each answers the first or the second version, whole.
async fn while_publishing(
    network: &Network,
    catalog: DemoCatalog,
    first: &Arc<BTreeMap<String, Sha256>>,
    base: &Url,
    work: &Path,
) {
    let stop = Arc::new(AtomicBool::new(false));
    let downloaders: Vec<_> = (0..DOWNLOADERS)
        .map(|number| {
            let (stop, first, base) = (Arc::clone(&stop), Arc::clone(first), base.clone());
            let into = work.join(format!("during-{number}"));
            tokio::task::spawn_blocking(move || {
                let mut seen: Vec<(String, String, Sha256)> = Vec::new();
                for path in first.keys().cycle().skip(number * 70) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (status, sum) = curl(&url_of(&base, path), &into);
                    seen.push((path.clone(), status, sum));
                }
                seen
            })
        })
        .collect();

    let tree = catalog.tree.clone();
    let (second, catalog) = tokio::task::spawn_blocking(move || {
        change(&tree);
        catalog.publish().unwrap();
        (sums(&tree), catalog)
    })
    .await
    .unwrap();
    until_served(network, base, &second, work).await;
    network.ready(PATIENCE, |_| {}).await.unwrap();
    stop.store(true, Ordering::Relaxed);

    let mut downloads = 0;
    for downloader in downloaders {
        for (path, status, sum) in downloader.await.unwrap() {
            assert_eq!(status, "200 0", "{path} while publishing");
            assert!(sum == first[&path] || second.get(&path) == Some(&sum), "{path} is neither version");
            downloads += 1;
        }
    }
    assert!(downloads > 0);
    let (wanted, from, into) = (second, base.clone(), work.join("second"));
    tokio::task::spawn_blocking(move || all_right(&wanted, &from, &into)).await.unwrap();
    drop(catalog);
}

/// Waits until an artifact that only the second version has is served.
async fn until_served(network: &Network, base: &Url, second: &BTreeMap<String, Sha256>, work: &Path) {
    let added = second.keys().find(|path| path.ends_with(".added")).unwrap();
    let (url, into) = (url_of(base, added), work.join("added"));
    let began = tokio::time::Instant::now();
    loop {
        let (url, into) = (url.clone(), into.clone());
        let (status, _) = tokio::task::spawn_blocking(move || curl(&url, &into)).await.unwrap();
        if status == "200 0" {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the second version is not served: {status}");
        let _ = network.ready(Duration::from_millis(200), |_| {}).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_the_origin() {
    if let Some(packages) = real_packages(&["curl", "nginx"]) {
        scenario(packages, WebServer::nginx).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_without_ranges_as_the_origin() {
    if let Some(packages) = real_packages(&["curl", "python3"]) {
        scenario(packages, |_, tree| WebServer::python(tree)).await;
    }
}

/// Starts a directory with the first version and no relay, publishes the second, and takes away what was kept of the
/// first: of what was replaced nobody has the bytes then.
async fn replaced_and_lost(work: &Path, packages: &Path) -> (WebServer, Network, Replaced) {
    let tree = work.join("tree");
    copy_tree(packages, &tree);
    let first = sums(&tree);
    let origin = WebServer::nginx(work, &tree);
    let (at, url) = (tree.clone(), origin.url.clone());
    let catalog =
        tokio::task::spawn_blocking(move || DemoCatalog::begin(at, "real", &url).unwrap()).await.unwrap();
    let listed = [Listed { name: "real".to_owned(), id: catalog.id, origin: origin.url.clone() }];
    let network = Network::start(work, &listed, 1, 0).await.unwrap();
    let base = network.directory_urls().next().unwrap().clone();
    // The smallest file is the quickest proof that the first state is known.
    let (any, sum) = first.iter().min_by_key(|(path, _)| tree.join(path).metadata().unwrap().len()).unwrap();
    until_right(&url_of(&base.join("real/").unwrap(), any), *sum, work).await;
    let second = tokio::task::spawn_blocking(move || {
        change(&tree);
        catalog.publish().unwrap();
        let second = sums(&tree);
        let kept = tree.join(".odi/blobs");
        if kept.exists() {
            fs::remove_dir_all(kept).unwrap();
        }
        second
    })
    .await
    .unwrap();
    until_served(&network, &base.join("real/").unwrap(), &second, work).await;
    (origin, network, Replaced { first, second })
}

struct Replaced {
    first: BTreeMap<String, Sha256>,
    second: BTreeMap<String, Sha256>,
}

async fn until_right(url: &str, sum: Sha256, work: &Path) {
    let began = tokio::time::Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    loop {
        looks.tick().await;
        let (url, into) = (url.to_owned(), work.join("right"));
        let got = tokio::task::spawn_blocking(move || curl(&url, &into)).await.unwrap();
        if got == ("200 0".to_owned(), sum) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_holds_any_more_is_refused_before_the_first_byte() {
    let Some(packages) = real_packages(&["curl", "nginx"]) else { return };
    let work = tempfile::tempdir().unwrap();
    let (origin, network, Replaced { first, second }) = replaced_and_lost(work.path(), &packages).await;
    let base = network.directory_urls().next().unwrap().clone();
    let into = work.path().join("asked");
    let asked = tokio::task::spawn_blocking(move || {
        let (former, newest) = (base.join("real@1/").unwrap(), base.join("real/").unwrap());
        let replaced = first.iter().filter_map(|(path, sum)| {
            let now = second.get(path).filter(|now| *now != sum)?;
            Some((path, *sum, *now))
        });
        let mut refused = 0;
        for (path, then, now) in replaced.take(12) {
            let (status, got) = curl(&url_of(&former, path), &into);
            assert_eq!(status, "503 0", "{path} of the first state");
            assert!(got != then && got != now, "{path}: a refusal has a text of its own");
            let (status, got) = curl(&url_of(&newest, path), &into);
            assert_eq!((status.as_str(), got), ("200 0", now), "{path} of the second state");
            refused += 1;
        }
        let unchanged = first.iter().filter(|(path, sum)| second.get(*path) == Some(*sum));
        for (path, sum) in unchanged.take(5) {
            let (status, got) = curl(&url_of(&former, path), &into);
            assert_eq!((status.as_str(), got), ("200 0", *sum), "{path}, which both states have");
        }
        refused
    });
    assert!(asked.await.unwrap() > 0);
    network.stop().await.unwrap();
    drop(origin);
}
