//! What a catalog says of a path, proven down from its pinned id: roots, newest head, entry.
//!
//! What was believed is kept in the user's state folder, so that no later run believes an older head. Directories are
//! asked in order and none is trusted: the newest head among them counts, and each proof is checked against it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use odi_manifest::{
    ArtifactPath, CatalogId, Clock as _, Entry, Freshness, Head, PROOF_BYTES_MAX, Proof, SystemClock,
    Verified, freshness,
};
use odi_store::{Ledger, RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::http::Method;
use odi_wire::layout::api_base;
use odi_wire::message::WellKnown;
use odi_wire::route::{self, CatalogName, Place, Route};
use odi_wire::sync::{FollowedCatalog, SyncClient, SyncSource};
use url::Url;

use super::cli::TrustArgs;
use super::failure::Failure;

const WELL_KNOWN_BYTES_MAX: u64 = 8 << 20;

/// A proven answer.
pub(super) struct Lookup {
    /// The catalog.
    pub(super) catalog: CatalogId,
    /// Its name at the first directory.
    pub(super) name: CatalogName,
    /// The artifact.
    pub(super) path: ArtifactPath,
    /// What the maintainers signed about it.
    pub(super) entry: Entry,
    /// Under which head.
    pub(super) head: Verified<Head>,
    /// Whom to ask, best first: base URLs of directories.
    pub(super) directories: Vec<Url>,
    /// With what.
    pub(super) client: Client,
}

/// Looks an artifact's URL up.
pub(super) async fn look_up(url: &Url, trust: &TrustArgs) -> Result<Lookup, Failure> {
    let client = Client::new(ClientPolicy {
        allow_private_addresses: trust.allow_private_addresses,
        ..ClientPolicy::default()
    })?;
    let (base, name, path) = artifact_of(url).ok_or_else(|| Failure::NotAnArtifact { url: url.clone() })?;
    let catalog = match trust.catalog {
        Some(id) => id,
        None => id_by_word_of(&client, &base, &name).await?,
    };
    let directories: Vec<Url> = std::iter::once(base).chain(trust.directories.iter().cloned()).collect();
    let (followed, _held) = newest_state(&client, catalog, &directories, trust).await?;
    let state = followed.state();
    let believed = state.believed().ok_or_else(|| anyhow!("the ledger has no catalog {catalog}"))?;
    let head =
        believed.standing().ok_or_else(|| anyhow!("the ledger has no head of catalog {catalog}"))?.clone();
    let fresh = freshness(&believed.trust, &head, &believed.cosignatures, SystemClock.now());
    if let Freshness::Stale(staleness) = fresh
        && !trust.allow_stale
    {
        return Err(Failure::Stale { catalog, staleness });
    }
    let entry = prove(&client, &directories, &catalog, &head, &path).await?;
    let entry = entry.ok_or_else(|| Failure::NotFound { path: path.to_string(), seq: head.seq })?;
    if let Some(revocation) = believed.revocations.revokes(path.as_str(), &entry.blob, head.seq) {
        return Err(Failure::Revoked { path: path.to_string(), reason: revocation.reason });
    }
    Ok(Lookup { catalog, name, path, entry, head, directories, client })
}

/// A directory's base URL, a catalog's name there, and a path in it.
fn artifact_of(url: &Url) -> Option<(Url, CatalogName, ArtifactPath)> {
    let base = url.join("/").ok()?;
    match route::parse(&Method::GET, url.path()) {
        Ok(Route::Artifact { name, place: Place::Artifact(path), .. }) => Some((base, name, path)),
        _ => None,
    }
}

/// The id that a directory gives a name: believed only because the caller pinned none, and said so.
async fn id_by_word_of(client: &Client, base: &Url, name: &CatalogName) -> Result<CatalogId, Failure> {
    let url = base.join(route::WELL_KNOWN).context("make its URL")?;
    let reply = client.send(Ask::get(&url).reply_bytes_max(WELL_KNOWN_BYTES_MAX)).await?;
    let document: WellKnown = serde_json::from_slice(&reply.body.collect().await?)
        .with_context(|| format!("{url} is no document of an ODI daemon"))?;
    let named = document.catalogs.into_iter().find(|catalog| catalog.name == name.as_str());
    let id = named.with_context(|| format!("{base} knows no catalog `{name}`"))?.id;
    eprintln!("odi: trusting {base} for the id of `{name}`: {id}; pin it with --catalog");
    Ok(id)
}

/// Follows every directory's heads. The folder of nodes lasts as long as the second value.
async fn newest_state(
    client: &Client,
    catalog: CatalogId,
    directories: &[Url],
    trust: &TrustArgs,
) -> Result<(Arc<FollowedCatalog>, (tempfile::TempDir, File)), Failure> {
    let folder = state_folder(trust.state.as_deref())?;
    let now = SystemClock.now();
    let opened =
        tokio::task::spawn_blocking(move || open(&folder, catalog)).await.context("open the ledger")?;
    let (followed, held) = opened?;
    let fetcher = Fetcher::new(Arc::new(client.clone()), FetchLimits::default());
    let sync = SyncClient::new(fetcher);
    let mut first_error = None;
    let mut shown = false;
    for base in directories {
        match sync.follow_heads(&followed, &SyncSource::directory(base.clone(), &catalog), now).await {
            Ok(()) => shown = true,
            Err(error) => {
                tracing::warn!(%base, error = &error as &dyn std::error::Error, "a directory is of no use");
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if !shown => Err(Failure::NoState { catalog, source: Box::new(error) }),
        _ => Ok((followed, held)),
    }
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
    directories: &[Url],
    catalog: &CatalogId,
    head: &Verified<Head>,
    path: &ArtifactPath,
) -> Result<Option<Entry>, Failure> {
    let mut faults = Vec::new();
    for base in directories {
        match proof_from(client, base, catalog, head, path).await {
            Ok(entry) => return Ok(entry),
            Err(error) => faults.push(format!("{base}: {error:#}")),
        }
    }
    Err(Failure::NoProof { path: path.to_string(), faults })
}

async fn proof_from(
    client: &Client,
    base: &Url,
    catalog: &CatalogId,
    head: &Verified<Head>,
    path: &ArtifactPath,
) -> anyhow::Result<Option<Entry>> {
    let mut url = base.join(&format!("{}proof", api_base(catalog))).context("make its URL")?;
    url.query_pairs_mut().append_pair("path", path.as_str()).append_pair("head", &head.id().to_string());
    // Form encoding writes a space as `+`, which a path may hold itself.
    let query = url.query().unwrap_or_default().replace('+', "%20");
    url.set_query(Some(&query));
    let reply = client.send(Ask::get(&url).reply_bytes_max(PROOF_BYTES_MAX as u64)).await?;
    if !reply.status.is_success() {
        return Err(anyhow!("it answers {}", reply.status));
    }
    let proof = Proof::decode(&reply.body.collect().await?)?;
    Ok(proof.verify(&head.tree, path.as_str())?)
}
