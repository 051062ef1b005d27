//! What a catalog says of a path, proven down from its pinned id: roots, newest head, entry.
//!
//! What was believed is kept in the user's state folder, so that no later run believes an older head. Directories are
//! asked in order and none is trusted: the newest head among them counts, and each proof is checked against it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use odi_manifest::{
    ArtifactPath, CatalogId, Clock as _, Entry, Head, PROOF_BYTES_MAX, Proof, SystemClock, Verified,
};
use odi_store::{Ledger, RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::layout::api_base;
use odi_wire::off_worker::off_worker;
use odi_wire::sync::{FollowedCatalog, SyncClient, SyncSource};
use url::Url;

use super::cli::TrustArgs;
use super::confirm::confirm;
use super::directories::{Address, Directory, introduce};
use super::failure::Failure;

/// A proven answer.
pub(super) struct Lookup {
    /// The catalog.
    pub(super) catalog: CatalogId,
    /// The artifact.
    pub(super) path: ArtifactPath,
    /// What the maintainers signed about it.
    pub(super) entry: Entry,
    /// Under which head.
    pub(super) head: Verified<Head>,
    /// Whom to ask, best first.
    pub(super) directories: Vec<Directory>,
    /// With what.
    pub(super) client: Client,
}

/// Looks an artifact's URL up.
pub(super) async fn look_up(url: &Url, trust: &TrustArgs) -> Result<Lookup, Failure> {
    let client = Client::new(ClientPolicy {
        allow_private_addresses: trust.allow_private_addresses,
        ..ClientPolicy::default()
    })?;
    let address = Address::parse(url)?;
    let (catalog, directories) = introduce(&client, &address, trust.catalog, &trust.directories).await?;
    let Newest { followed, directories, held: _held } =
        newest_state(&client, catalog, directories, trust).await?;
    let believed = followed.ledger().load(&catalog);
    let believed = believed.ok_or_else(|| anyhow!("the ledger has no catalog {catalog}"))?;
    let head =
        believed.standing().ok_or_else(|| anyhow!("the ledger has no head of catalog {catalog}"))?.clone();
    address.judge(&head, head.pin())?;
    let path = address.path;
    let entry = prove(&client, &directories, &catalog, &head, &path).await?;
    let entry = entry.ok_or_else(|| Failure::NotFound { path: path.to_string(), seq: head.seq })?;
    if let Some(revocation) = believed.revocations.revokes(path.as_str(), &entry.blob, head.seq) {
        return Err(Failure::Revoked { path: path.to_string(), reason: revocation.reason });
    }
    Ok(Lookup { catalog, path, entry, head, directories, client })
}

/// The newest state that any directory showed.
struct Newest {
    followed: Arc<FollowedCatalog>,
    /// Those that are up to date first, then those that are behind.
    directories: Vec<Directory>,
    /// The folder of nodes and the ledger's lock, which last as long as this.
    held: (tempfile::TempDir, File),
}

/// Follows every directory's heads.
async fn newest_state(
    client: &Client,
    catalog: CatalogId,
    directories: Vec<Directory>,
    trust: &TrustArgs,
) -> Result<Newest, Failure> {
    let folder = state_folder(trust.state.as_deref())?;
    let now = SystemClock.now();
    let (followed, held) = off_worker(move || open(&folder, catalog)).await?;
    let sync = SyncClient::new(Fetcher::new(Arc::new(client.clone()), FetchLimits::default()));
    let (mut current, mut others, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for directory in directories {
        let source = SyncSource::directory(directory.base.clone(), &catalog);
        match sync.follow_heads(&followed, &source, now).await {
            Ok(()) => current.push(directory),
            Err(error) => {
                failures.push(Failure::of_sync(directory.base.to_string(), catalog, error));
                others.push(directory);
            }
        }
    }
    if current.is_empty() {
        return Err(failures
            .into_iter()
            .next()
            .unwrap_or_else(|| anyhow!("there is no directory to ask").into()));
    }
    for failure in failures {
        eprintln!("odi: going on with another directory: {:#}", anyhow::Error::new(failure));
    }
    current.extend(others);
    if !trust.allow_stale {
        confirm(&sync, &followed, &current).await?;
    }
    Ok(Newest { followed, directories: current, held })
}

/// Opens the ledger under a lock, so that two runs do not write it at once, beside a store that nothing will be put in.
fn open(
    folder: &Path,
    catalog: CatalogId,
) -> anyhow::Result<(Arc<FollowedCatalog>, (tempfile::TempDir, File))> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let lock_path = folder.join("lock");
    let lock = File::create(&lock_path).with_context(|| format!("open {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
    let ledger = Ledger::open(Arc::new(RealDisk), &folder.join("ledger"))?;
    let nodes = tempfile::tempdir().context("make a temporary folder")?;
    let store = Store::open(Arc::new(RealDisk), nodes.path(), StoreOptions::default())?;
    let followed = FollowedCatalog::open(catalog, store, Arc::new(ledger), SystemClock.now())?;
    Ok((followed, (nodes, lock)))
}

fn state_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let from_environment = || {
        let state = std::env::var_os("XDG_STATE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        state.or_else(home).map(|folder| folder.join("odi"))
    };
    given.map(Path::to_path_buf).or_else(from_environment).context("there is no home folder: say --state DIR")
}

/// The entry of a path under a head, by the first proof that verifies.
async fn prove(
    client: &Client,
    directories: &[Directory],
    catalog: &CatalogId,
    head: &Verified<Head>,
    path: &ArtifactPath,
) -> Result<Option<Entry>, Failure> {
    let (mut faults, mut wrong) = (Vec::new(), false);
    for Directory { base, .. } in directories {
        let proof = match proof_from(client, base, catalog, head, path).await {
            Ok(proof) => proof,
            Err(error) => {
                faults.push(format!("{base}: {error:#}"));
                continue;
            }
        };
        match proven(&proof, head, path) {
            Ok(entry) => return Ok(entry),
            Err(error) => {
                wrong = true;
                faults.push(format!("{base}: {error:#}"));
            }
        }
    }
    Err(Failure::NoProof { path: path.to_string(), faults, wrong })
}

async fn proof_from(
    client: &Client,
    base: &Url,
    catalog: &CatalogId,
    head: &Verified<Head>,
    path: &ArtifactPath,
) -> anyhow::Result<Bytes> {
    let mut url = base.join(&format!("{}proof", api_base(catalog))).context("make its URL")?;
    url.query_pairs_mut().append_pair("path", path.as_str()).append_pair("head", &head.id().to_string());
    // Form encoding writes a space as `+`, which a path may hold itself.
    let query = url.query().unwrap_or_default().replace('+', "%20");
    url.set_query(Some(&query));
    let reply = client.send(Ask::get(&url).reply_bytes_max(PROOF_BYTES_MAX as u64)).await?;
    if !reply.status.is_success() {
        return Err(anyhow!("it answers {}", reply.status));
    }
    Ok(reply.body.collect().await?)
}

fn proven(proof: &[u8], head: &Verified<Head>, path: &ArtifactPath) -> anyhow::Result<Option<Entry>> {
    Ok(Proof::decode(proof)?.verify(&head.tree, path.as_str())?)
}
