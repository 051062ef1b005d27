//! Beginning a catalog: root of trust 1, whose hash is the catalog's name for ever.

use std::path::PathBuf;
use std::time::Duration;

use odi_manifest::{
    CatalogId, KeyLine, PublicKey, Root, RootBuilder, Timestamp, TrustRoot, Unverified, Witness,
};

use super::description::Description;
use super::failure::Failure;
use super::lock::TreeLock;
use super::odi_folder::OdiFolder;
use super::outcome::InitOutcome;
use super::published::Published;
use super::root_steps::{self, RootStep};
use super::signers::BoxedSigner;
use super::tree_disk::{DiskError, TreeDisk};

/// What a catalog begins with.
#[derive(Debug)]
pub struct InitRequest {
    /// The folder to publish.
    pub tree: PathBuf,
    /// What the catalog calls itself.
    pub name: String,
    /// The keys that may change who may sign.
    pub root_keys: Vec<PublicKey>,
    /// How many of them must.
    pub root_threshold: u32,
    /// The keys that may sign heads.
    pub release_keys: Vec<PublicKey>,
    /// How many of them must.
    pub release_threshold: u32,
    /// The keys that may do nothing but revoke; each alone.
    pub revoke_keys: Vec<PublicKey>,
    /// The directories whose cosignatures count.
    pub witnesses: Vec<KeyLine>,
    /// How many of them make a head fresh; the default if `None`.
    pub witness_quorum: Option<u32>,
    /// How long the root is good for.
    pub expires: Duration,
    /// What the first head will say.
    pub description: Description,
}

/// Writes `.odi/roots/1`, signed by these keys. With more root keys to sign than are here, the root waits in
/// `.odi/pending-root` for `odi-sign trust countersign`.
///
/// # Errors
/// When the tree is a catalog already, the root would break a rule, or nothing can be written.
pub fn init(
    disk: &dyn TreeDisk,
    request: &InitRequest,
    signers: &[BoxedSigner],
    now: Timestamp,
) -> Result<InitOutcome, Failure> {
    let odi = OdiFolder::of(&request.tree);
    if odi.root(1).exists() {
        let catalog = Published::load(&odi)?.catalog();
        return Err(Failure::AlreadyACatalog { tree: request.tree.clone(), catalog });
    }
    let mut root = draft(request, now)?;
    root_steps::sign(&mut root, None, signers)?;
    disk.make_folder(odi.path()).map_err(DiskError::at("make folder", odi.path()))?;
    let _lock = TreeLock::take(&request.tree)?;
    request.description.write_draft(disk, &odi)?;
    let step = root_steps::finish(disk, &odi, &root, || TrustRoot::found(&root).map(|_| ()))?;
    Ok(InitOutcome {
        id: CatalogId::of(root.payload()),
        name: request.name.clone(),
        root_expires: root.claims().expires,
        waits: step != RootStep::Done,
        warnings: witness_warning(root.claims()).into_iter().collect(),
        tree: request.tree.clone(),
        key: None,
    })
}

fn draft(request: &InitRequest, now: Timestamp) -> Result<Unverified<Root>, Failure> {
    RootBuilder::first(&request.name, now, now.plus(request.expires))
        .root_keys(request.root_threshold, request.root_keys.iter().copied())
        .release_keys(request.release_threshold, request.release_keys.iter().copied())
        .revoke_keys(1, request.revoke_keys.iter().copied())
        .witnesses(request.witnesses.iter().map(witness), request.witness_quorum)
        .build()
        .map_err(Failure::Invalid)
}

/// What to say to whoever names witnesses that nobody will wait for, or so few that each of them is needed.
pub(crate) fn witness_warning(root: &Root) -> Option<String> {
    let (named, quorum) = (root.witnesses.len(), root.witness_quorum as usize);
    match (named, quorum) {
        (0, _) => None,
        (_, 0) => {
            Some("with a witness quorum of 0 there is no freeze protection, whoever is named".to_owned())
        }
        _ if quorum == named => Some(format!(
            "all of the {named} named directories must confirm a head: if one is away for 48 hours, every `odi get` calls this \
             catalog STALE"
        )),
        _ => None,
    }
}

/// A witness is called what its key line calls it.
pub(crate) fn witness(line: &KeyLine) -> Witness {
    let name = if line.comment.is_empty() { line.key.to_hex() } else { line.comment.clone() };
    Witness { key: line.key, name }
}
