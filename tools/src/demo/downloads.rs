//! Every artifact through a directory, as an ordinary client: follow redirects, take the bytes, compare the SHA-256.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use odi_manifest::Sha256;
use odi_wire::client::{Ask, Client};
use odi_wire::off_worker::off_worker;
use odi_wire::route;
use sha2::Digest as _;
use tokio::time::Instant;
use url::Url;

const AT_ONCE: usize = 8;
const REDIRECTS_MAX: usize = 3;

/// What was downloaded, from whom, and what went wrong.
#[derive(Debug, Default)]
pub struct Downloads {
    /// How many artifacts came with the right SHA-256.
    pub right: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Artifacts by the server that sent them.
    pub servers: BTreeMap<String, usize>,
    /// One line for each artifact that did not come, or came wrong.
    pub failures: Vec<String>,
    /// How long all of it took.
    pub took: Duration,
}

/// The relative paths of all files of a tree, without `.odi/`, in order.
///
/// # Errors
/// An unreadable folder, or a name that is not UTF-8.
pub fn paths(tree: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = tree.join(&folder);
        for entry in std::fs::read_dir(&here).with_context(|| format!("read {}", here.display()))? {
            let entry = entry?;
            let relative = folder.join(entry.file_name());
            if !entry.path().is_dir() {
                found.push(relative.to_str().context("a name is not UTF-8")?.to_owned());
            } else if entry.file_name() != ".odi" {
                folders.push(relative);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Downloads `paths` of the catalog at `base` (`http://directory/name/`), and compares with the files in `tree`.
pub async fn download_all(client: &Client, base: &Url, tree: &Path, paths: &[String]) -> Downloads {
    let began = Instant::now();
    let mut downloads = Downloads::default();
    let mut ends = futures_util::stream::iter(paths.iter().map(|path| async move {
        let end = download(client, base, tree, path).await;
        (path, end)
    }))
    .buffer_unordered(AT_ONCE);
    while let Some((path, end)) = ends.next().await {
        match end {
            Ok((bytes, server)) => {
                downloads.right += 1;
                downloads.bytes += bytes;
                *downloads.servers.entry(server).or_default() += 1;
            }
            Err(error) => downloads.failures.push(format!("{path}: {error:#}")),
        }
    }
    drop(ends);
    downloads.took = began.elapsed();
    downloads
}

/// One artifact: how many bytes came, and from whom.
async fn download(client: &Client, base: &Url, tree: &Path, path: &str) -> anyhow::Result<(u64, String)> {
    let url = base.join(&route::encode_path(path)).context("make its URL")?;
    let reply = client.send(Ask::get(&url).reply_bytes_max(u64::MAX).following(REDIRECTS_MAX)).await?;
    if !reply.status.is_success() {
        bail!("{} answers {}", reply.url, reply.status);
    }
    let server = reply.url.authority().to_owned();
    let mut body = reply.body;
    let mut hasher = sha2::Sha256::new();
    let mut bytes = 0_u64;
    while let Some(piece) = body.chunk().await? {
        hasher.update(&piece);
        bytes += piece.len() as u64;
    }
    let got = Sha256::from_bytes(hasher.finalize().into());
    let file = tree.join(path);
    let expected = off_worker(move || sha256_of(&file)).await?;
    if got != expected {
        bail!("{bytes} bytes from {server} have SHA-256 {got}, and it should be {expected}");
    }
    Ok((bytes, server))
}

fn sha256_of(path: &Path) -> anyhow::Result<Sha256> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("read {}", path.display()))?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(Sha256::from_bytes(hasher.finalize().into()));
        };
        hasher.update(piece);
    }
}
