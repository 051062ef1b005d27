//! The last steps of everything that makes a head: draft it, sign it, journal it, install it.

use odi_manifest::{Head, HeadBuilder, HeadRefusal, RoleName, Unverified, Verified, VerifyError};

use super::failure::Failure;
use super::history::ancestor;
use super::odi_folder::{OdiFolder, read_bounded};
use super::pending;
use super::published::Published;
use super::signers::BoxedSigner;
use super::tree_disk::{DiskError, TreeDisk};

/// One line per head.
const VOIDED_BYTES_MAX: u64 = 4096;

/// What became of a draft.
#[derive(Debug)]
pub(crate) enum Sealed {
    /// It is the newest head.
    Installed(Verified<Head>),
    /// It waits for signatures.
    Waits {
        /// The head.
        head: Unverified<Head>,
        /// How many keys have signed.
        have: usize,
        /// How many must.
        need: usize,
    },
}

/// Drafts the head after the former one, with these changes. Nothing is written.
pub(crate) fn draft(
    odi: &OdiFolder,
    published: &Published,
    change: impl FnOnce(HeadBuilder) -> HeadBuilder,
) -> Result<Unverified<Head>, Failure> {
    let mut builder = HeadBuilder::after(&published.trust, published.former.as_ref());
    if let (Some(seq), Some(former)) = (builder.skip_to().filter(|seq| *seq > 0), &published.former) {
        builder = builder.skip(ancestor(odi, &published.trust, former, seq)?.id());
    }
    let voided = read_bounded(&odi.voided(), VOIDED_BYTES_MAX)?.unwrap_or_default();
    for head in String::from_utf8_lossy(&voided).lines().filter_map(|line| line.parse().ok()) {
        builder = builder.void(head);
    }
    let head = change(builder).build().map_err(Failure::Invalid)?;
    let ended = published.trust.root().expires;
    // Every follower would refuse it, and the maintainer would wonder why.
    if ended <= head.claims().created { Err(Failure::RootExpired { when: ended }) } else { Ok(head) }
}

/// Refuses keys that may not sign heads of this catalog, before any work is done.
pub(crate) fn check_signers(
    published: &Published,
    roles: &[RoleName],
    signers: &[BoxedSigner],
) -> Result<(), Failure> {
    for signer in signers {
        let key = signer.public_key();
        let allowed = roles.iter().filter_map(|role| published.trust.role(*role));
        if !allowed.into_iter().any(|role| role.keys().contains(&key)) {
            return Err(Failure::NotInRole { key: Box::new(key), role: RoleName::Release });
        }
    }
    Ok(())
}

/// Signs and journals a draft whose content is durable, and installs it once it has all its signatures.
pub(crate) fn seal(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    published: &mut Published,
    mut head: Unverified<Head>,
    signers: &[BoxedSigner],
) -> Result<Sealed, Failure> {
    for signer in signers {
        head.sign(signer.as_ref())?;
    }
    // A head that no role accepts must not get into the journal, where it would stand in everyone's way.
    let verified = match published.trust.verify_head(&head) {
        Ok(verified) => verified,
        Err(HeadRefusal::WrongKeys(VerifyError::TooFew { valid, needed, .. })) => {
            pending::write(disk, odi, &head)?;
            return Ok(Sealed::Waits { head, have: valid, need: needed });
        }
        Err(source) => return Err(Failure::HeadRefused { path: odi.pending(), source }),
    };
    pending::write(disk, odi, &head)?;
    pending::install(disk, odi, &verified)?;
    disk.remove(&odi.voided()).map_err(DiskError::at("remove", &odi.voided()))?;
    published.former = Some(verified.clone());
    Ok(Sealed::Installed(verified))
}
