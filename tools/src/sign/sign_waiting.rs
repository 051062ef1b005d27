//! One more signature for a head that waits for its threshold.

use std::path::Path;

use odi_manifest::RoleName;

use super::failure::Failure;
use super::lock::TreeLock;
use super::next_head::{check_signers, seal};
use super::odi_folder::OdiFolder;
use super::outcome::HeadOutcome;
use super::pending::{self, Pending};
use super::published::Published;
use super::signers::BoxedSigner;
use super::tree_disk::TreeDisk;

/// Adds signatures to the waiting head, and installs it once it has enough.
///
/// # Errors
/// When no head waits, or a key may not sign.
pub(super) fn sign_waiting(
    disk: &dyn TreeDisk,
    tree: &Path,
    signers: &[BoxedSigner],
) -> Result<HeadOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    check_signers(&Published::load(&odi)?, &[RoleName::Release], signers)?;
    let _lock = TreeLock::take(tree)?;
    let mut published = Published::load(&odi)?;
    match pending::look(&odi, &published)? {
        Pending::Waiting { head, .. } => {
            let sealed = seal(disk, &odi, &mut published, head, signers)?;
            Ok(HeadOutcome::sealed(&published, &sealed))
        }
        Pending::Complete(head) => {
            pending::install(disk, &odi, &head)?;
            let mut outcome = HeadOutcome::unchanged(&published, &head);
            outcome.finished = Some(head.seq);
            Ok(outcome)
        }
        Pending::Nothing | Pending::Obsolete => {
            Err(Failure::NothingWaits { what: "head", tree: tree.to_path_buf() })
        }
    }
}
