//! Signing the demo's tree, with the very calls that `odi-sign` makes.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, bail};
use odi_manifest::{CatalogId, Clock as _, KeyLine, SigningKey, SystemClock};
use url::Url;

use crate::sign::{
    BoxedSigner, Description, InitRequest, PublishRequest, RealTreeDisk, Silent, init, publish, walk,
};

const ROOT_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
const HEAD_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const KEEP_REPLACED: Duration = Duration::from_secs(3600);

/// A tree that can be published again and again.
pub struct DemoCatalog {
    /// The folder.
    pub tree: PathBuf,
    /// The catalog's name at directories.
    pub name: String,
    /// Its id.
    pub id: CatalogId,
    key: SigningKey,
}

impl DemoCatalog {
    /// Begins a catalog in `tree` with a fresh key, and publishes its first head.
    ///
    /// # Errors
    /// Whatever `odi-sign init` or `publish` refuse.
    pub fn begin(tree: PathBuf, name: &str, origin: &Url) -> anyhow::Result<Self> {
        Self::begin_witnessed(tree, name, origin, Vec::new())
    }

    /// The same, with directories that are to vouch for its heads, and as many of them as is usual.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_witnessed(
        tree: PathBuf,
        name: &str,
        origin: &Url,
        witnesses: Vec<KeyLine>,
    ) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("draw a key: {error}"))?;
        let key = SigningKey::from_seed(&seed);
        let public = key.public_key();
        let description = Description { origins: vec![origin.to_string()], ..Description::default() };
        let request = InitRequest {
            tree: tree.clone(),
            name: name.to_owned(),
            root_keys: vec![public],
            root_threshold: 1,
            release_keys: vec![public],
            release_threshold: 1,
            revoke_keys: Vec::new(),
            witnesses,
            witness_quorum: None,
            expires: ROOT_LIFE,
            description,
        };
        let begun = init(&RealTreeDisk, &request, &signers(&key), SystemClock.now())?;
        let catalog = Self { tree, name: name.to_owned(), id: begun.id, key };
        catalog.publish()?;
        Ok(catalog)
    }

    /// Publishes the tree as it is now.
    ///
    /// # Errors
    /// Whatever `odi-sign publish` refuses.
    pub fn publish(&self) -> anyhow::Result<()> {
        let request = PublishRequest {
            tree: &self.tree,
            signers: &signers(&self.key),
            now: SystemClock.now(),
            expires: HEAD_LIFE,
            renew: false,
            rehash: false,
            discard_waiting: false,
            directories: &[],
            offline: true,
            keep_replaced: KEEP_REPLACED,
            description: &Description::default(),
            cache: None,
            steady: false,
            imported: None,
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            progress: &Silent,
        };
        publish(&RealTreeDisk, &request)?;
        Ok(())
    }
}

fn signers(key: &SigningKey) -> Vec<BoxedSigner> {
    vec![Box::new(key.clone())]
}

/// Copies what `odi-sign publish` would name of a tree, by hard links where the disk allows them, so that publishing writes
/// nothing into the original. What publish refuses is refused here: a link out of the tree must not get it served.
///
/// # Errors
/// Everything in the tree that cannot be published, a tree without files, or a full disk.
pub fn shadow(from: &Path, to: &Path) -> anyhow::Result<()> {
    let found = walk(from, 1).with_context(|| format!("read {}", from.display()))?;
    if found.is_empty() {
        bail!("the tree {} has no files", from.display());
    }
    let from = fs::canonicalize(from).with_context(|| format!("read {}", from.display()))?;
    for file in found {
        let (source, target) = (from.join(file.path.as_str()), to.join(file.path.as_str()));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        link_or_copy(&source, &target).with_context(|| format!("copy {}", source.display()))?;
    }
    Ok(())
}

fn link_or_copy(source: &Path, target: &Path) -> io::Result<()> {
    // A hard link to a symbolic link would point elsewhere from its new place.
    let is_link = fs::symlink_metadata(source)?.is_symlink();
    if is_link || fs::hard_link(source, target).is_err() {
        fs::copy(source, target)?;
    }
    Ok(())
}
