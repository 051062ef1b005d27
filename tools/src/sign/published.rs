//! What a tree's `.odi/` folder says, verified: the chain of roots and the head to build upon.

use std::path::Path;

use odi_manifest::{
    CatalogId, Floor, Head, HeadRefusal, Root, TrustRoot, Unverified, Verified, verify_named,
};

use super::failure::Failure;
use super::history::{HEAD_BYTES_MAX, head_at};
use super::odi_folder::{OdiFolder, read_bounded};

/// An envelope around a root.
pub(crate) const ROOT_BYTES_MAX: u64 = 64 * 1024;

/// The verified records of a tree.
#[derive(Debug)]
pub(crate) struct Published {
    /// Who may sign what.
    pub(crate) trust: TrustRoot,
    /// The head that the next one follows: the newest, or the floor of an epoch that has no head yet. `None` before
    /// the first publish.
    pub(crate) former: Option<Verified<Head>>,
}

impl Published {
    /// Reads and verifies the records of a tree.
    pub(crate) fn load(odi: &OdiFolder) -> Result<Self, Failure> {
        let trust = load_trust(odi)?;
        let former = load_head(odi, &trust)?;
        Ok(Self { trust, former })
    }

    /// The catalog's id.
    pub(crate) fn catalog(&self) -> CatalogId {
        *self.trust.catalog()
    }

    /// The newest head, where a command needs one.
    pub(crate) fn head(&self, odi: &OdiFolder) -> Result<&Verified<Head>, Failure> {
        self.former.as_ref().ok_or_else(|| Failure::NothingPublished { tree: odi.tree().to_path_buf() })
    }
}

fn load_trust(odi: &OdiFolder) -> Result<TrustRoot, Failure> {
    let Some(first) = read_root(odi, 1)? else {
        let tree = odi.tree().to_path_buf();
        return Err(if tree.is_dir() { Failure::NotACatalog { tree } } else { Failure::NoTree { tree } });
    };
    let refused = |version: u64| {
        let path = odi.root(version);
        move |source| Failure::RootRefused { path, source }
    };
    let mut trust = TrustRoot::found(&first).map_err(refused(1))?;
    for version in 2.. {
        let Some(next) = read_root(odi, version)? else { break };
        trust.rotate(&next).map_err(refused(version))?;
    }
    Ok(trust)
}

fn read_root(odi: &OdiFolder, version: u64) -> Result<Option<Unverified<Root>>, Failure> {
    let path = odi.root(version);
    let Some(bytes) = read_bounded(&path, ROOT_BYTES_MAX)? else { return Ok(None) };
    Unverified::decode(&bytes).map(Some).map_err(|source| Failure::Record { path, source })
}

fn load_head(odi: &OdiFolder, trust: &TrustRoot) -> Result<Option<Verified<Head>>, Failure> {
    let path = odi.head();
    let Some(head) = read_head(&path)? else { return Ok(None) };
    match trust.verify_head(&head) {
        Ok(head) => Ok(Some(head)),
        // A new epoch has begun and has no head yet: its first head follows the floor.
        Err(refusal @ HeadRefusal::FormerEpoch { .. }) => match trust.floor() {
            Some(floor) => floor_head(odi, &floor),
            None => Err(Failure::HeadRefused { path, source: refusal }),
        },
        Err(source) => Err(Failure::HeadRefused { path, source }),
    }
}

fn floor_head(odi: &OdiFolder, floor: &Floor) -> Result<Option<Verified<Head>>, Failure> {
    if floor.head == Floor::NO_HEAD {
        return Ok(None);
    }
    let path = odi.head_at(floor.seq);
    let head = head_at(odi, floor.seq)?.ok_or_else(|| Failure::NoSuchHead { seq: floor.seq })?;
    verify_named(&head, &floor.head).map(Some).map_err(|source| Failure::NotTheNamed { path, source })
}

/// Reads a head's envelope; `None` if the file is not there.
pub(crate) fn read_head(path: &Path) -> Result<Option<Unverified<Head>>, Failure> {
    let Some(bytes) = read_bounded(path, HEAD_BYTES_MAX)? else { return Ok(None) };
    let decoded = Unverified::decode(&bytes);
    decoded.map(Some).map_err(|source| Failure::Record { path: path.to_path_buf(), source })
}
