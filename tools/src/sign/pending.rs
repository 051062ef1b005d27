//! The journal: a head that is decided but is not `head` yet.
//!
//! `.odi/pending` is written, durably, before anyone can see a new head under its number. Invariants:
//! - Everything the head names (diffs, nodes, chunk lists, kept blobs) is durable before it is pending.
//! - While a head is pending, no other head is made for its number: a re-run after a crash installs this very envelope,
//!   and a head that waits for signatures collects them or is dropped on purpose.
//! - `head` is replaced last, by rename; removing `pending` after it is housekeeping.
//!
//! A crash before `pending` leaves unnamed files that the next publish overwrites; after it, the next command that
//! takes the lock finishes the publish.

use odi_manifest::{Floor, Head, HeadBuilder, HeadRefusal, Unverified, Verified, VerifyError};

use super::failure::Failure;
use super::history::merge_complete_pack;
use super::odi_folder::OdiFolder;
use super::published::{Published, read_head};
use super::tree_disk::{DiskError, TreeDisk, replace};

/// What the journal holds.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Nothing.
    Nothing,
    /// A fully signed head that a crash kept from being installed.
    Complete(Verified<Head>),
    /// A head that waits for signatures.
    Waiting {
        /// The head.
        head: Unverified<Head>,
        /// How many release keys have signed it.
        have: usize,
        /// How many must.
        need: usize,
    },
    /// A head that no longer follows what is published here: it is installed already, or another took its place.
    Obsolete,
}

/// Reads the journal and judges what it means beside what is published.
pub(crate) fn look(odi: &OdiFolder, published: &Published) -> Result<Pending, Failure> {
    let path = odi.pending();
    let Some(head) = read_head(&path)? else { return Ok(Pending::Nothing) };
    if !follows(published, head.claims()) {
        return Ok(Pending::Obsolete);
    }
    match published.trust.verify_head(&head) {
        Ok(head) => Ok(Pending::Complete(head)),
        Err(HeadRefusal::WrongKeys(VerifyError::TooFew { valid, needed, .. })) => {
            Ok(Pending::Waiting { head, have: valid, need: needed })
        }
        Err(source) => Err(Failure::HeadRefused { path, source }),
    }
}

fn follows(published: &Published, head: &Head) -> bool {
    let former = published.former.as_ref();
    let prev = match (former, published.trust.floor()) {
        (Some(former), _) => Some(former.id()),
        (None, Some(_)) => Some(Floor::NO_HEAD),
        (None, None) => None,
    };
    head.seq == HeadBuilder::after(&published.trust, former).seq() && head.prev == prev
}

/// Writes the journal.
pub(crate) fn write(disk: &dyn TreeDisk, odi: &OdiFolder, head: &Unverified<Head>) -> Result<(), DiskError> {
    replace(disk, odi.pending(), &head.encode())
}

/// Lets a pending head become the newest one.
pub(crate) fn install(disk: &dyn TreeDisk, odi: &OdiFolder, head: &Verified<Head>) -> Result<(), Failure> {
    let bytes = head.encode();
    replace(disk, odi.head_at(head.seq), &bytes)?;
    replace(disk, odi.head(), &bytes)?;
    clear(disk, odi)?;
    merge_complete_pack(disk, odi, head.seq)
}

/// Empties the journal, and removes the draft that only the first head needed.
pub(crate) fn clear(disk: &dyn TreeDisk, odi: &OdiFolder) -> Result<(), DiskError> {
    for path in [odi.pending(), odi.draft()] {
        disk.remove(&path).map_err(DiskError::at("remove", &path))?;
    }
    Ok(())
}

/// What a command that wants to make a new head finds first: a head left by a crash is installed, one that waits for
/// signatures stands in the way. Returns the sequence number of an installed head.
pub(crate) fn settle(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    published: &mut Published,
    discard_waiting: bool,
) -> Result<Option<u64>, Failure> {
    match look(odi, published)? {
        Pending::Nothing => Ok(None),
        Pending::Complete(head) => {
            install(disk, odi, &head)?;
            let seq = head.seq;
            published.former = Some(head);
            Ok(Some(seq))
        }
        Pending::Waiting { head, have, need } if !discard_waiting => {
            Err(Failure::Waiting { seq: head.claims().seq, have, need })
        }
        Pending::Waiting { .. } | Pending::Obsolete => {
            let path = odi.pending();
            disk.remove(&path).map_err(DiskError::at("remove", &path))?;
            Ok(None)
        }
    }
}
