//! A root of trust on its way from draft to `.odi/roots/N`: signed by whoever is here, waiting in
//! `.odi/pending-root` for whoever is not.

use odi_manifest::{RoleName, Root, RootRefusal, Unverified, Verified, VerifyError};

use super::failure::Failure;
use super::odi_folder::OdiFolder;
use super::signers::BoxedSigner;
use super::tree_disk::{DiskError, TreeDisk, replace};

/// Where a root is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootStep {
    /// It is in force.
    Done,
    /// It waits for signatures: so many root keys have signed, so many must.
    Waits {
        /// Signatures that count.
        have: usize,
        /// Signatures that it needs.
        need: usize,
    },
}

/// Adds these keys' signatures. Each must be a root key of this root, or of the one before it.
pub(crate) fn sign(
    root: &mut Unverified<Root>,
    former: Option<&Verified<Root>>,
    signers: &[BoxedSigner],
) -> Result<(), Failure> {
    let mut allowed = Vec::new();
    for role in [former.and_then(|former| former.role(RoleName::Root)), root.claims().role(RoleName::Root)] {
        allowed.extend(role.iter().flat_map(|role| role.keys().to_vec()));
    }
    for signer in signers {
        let key = signer.public_key();
        if !allowed.contains(&key) {
            return Err(Failure::NotInRole { key: Box::new(key), role: RoleName::Root });
        }
        root.sign(signer.as_ref())?;
    }
    Ok(())
}

/// Puts the root in force if `verify` accepts it, or lets it wait if all it lacks is signatures.
pub(crate) fn finish(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    root: &Unverified<Root>,
    verify: impl FnOnce() -> Result<(), RootRefusal>,
) -> Result<RootStep, Failure> {
    let path = odi.pending_root();
    match verify() {
        Ok(()) => {
            replace(disk, odi.root(root.claims().version), &root.encode())?;
            disk.remove(&path).map_err(DiskError::at("remove", &path))?;
            Ok(RootStep::Done)
        }
        Err(
            RootRefusal::NewKeys(VerifyError::TooFew { valid, needed, .. })
            | RootRefusal::OldKeys(VerifyError::TooFew { valid, needed, .. }),
        ) => {
            replace(disk, path, &root.encode())?;
            Ok(RootStep::Waits { have: valid, need: needed })
        }
        Err(source) => Err(Failure::RootRefused { path, source }),
    }
}
