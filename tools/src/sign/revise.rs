//! Heads that keep the manifest and change what is said about it: labels and revocations.

use std::path::Path;
use std::time::Duration;

use odi_manifest::{
    HeadBuilder, REVOCATION_BYTES_MAX, Reason, Revocation, RevocationList, Revoked, RoleName, Timestamp,
    TreeError,
};

use super::failure::Failure;
use super::history::ancestor;
use super::lock::TreeLock;
use super::manifest_nodes;
use super::next_head::{Sealed, check_signers, draft, seal};
use super::next_manifest::NextManifest;
use super::odi_folder::{OdiFolder, read_bounded};
use super::others::{self, Others};
use super::outcome::HeadOutcome;
use super::pending;
use super::published::Published;
use super::retention;
use super::signers::BoxedSigner;
use super::tree_disk::{Batch, TreeDisk};

/// Where a head is revised, by whom and when.
#[derive(Clone, Copy)]
pub(crate) struct Revision<'a> {
    /// Where it is written.
    pub(crate) disk: &'a dyn TreeDisk,
    /// The catalog's tree.
    pub(crate) tree: &'a Path,
    /// The keys that sign.
    pub(crate) signers: &'a [BoxedSigner],
    /// Who is asked first whether the catalog moved on.
    pub(crate) others: Others<'a>,
    /// The time of day.
    pub(crate) now: Timestamp,
}

/// Makes a head with the former one's manifest.
fn revise(
    revision: Revision<'_>,
    roles: &[RoleName],
    change: impl FnOnce(&OdiFolder, &Published, &mut Batch<'_>, HeadBuilder) -> Result<HeadBuilder, Failure>,
) -> Result<HeadOutcome, Failure> {
    let Revision { disk, tree, signers, .. } = revision;
    let odi = OdiFolder::of(tree);
    check_signers(&Published::load(&odi)?, roles, signers)?;
    let _lock = TreeLock::take(tree)?;
    let mut published = Published::load(&odi)?;
    let finished = pending::settle(disk, &odi, &mut published, false)?;
    published.head(&odi)?;
    let notes = others::ask(&odi, &published, &[], revision.others)?;
    let manifest = NextManifest::begin(&odi, &published)?;
    let mut batch = Batch::new(disk);
    let mut refused = None;
    let head = draft(&odi, &published, |builder| {
        change(&odi, &published, &mut batch, builder.clone()).unwrap_or_else(|failure| {
            refused = Some(failure);
            builder
        })
    });
    if let Some(failure) = refused {
        return Err(failure);
    }
    let head = head?;
    let full = manifest.stage(&mut batch, &odi, &published.trust, &head)?;
    batch.commit()?;
    let sealed = seal(disk, &odi, &mut published, head, signers)?;
    if let (true, Sealed::Installed(head)) = (full, &sealed) {
        retention::drop_old_manifests(disk, &odi, &published.trust, head)?;
    }
    let mut outcome = HeadOutcome::sealed(&published, &sealed);
    outcome.finished = finished;
    outcome.notes = notes;
    Ok(outcome)
}

/// Points a label at a head, the newest unless said, or removes it.
pub(crate) fn label(
    revision: Revision<'_>,
    (name, target): (&str, LabelTarget),
    expires: Duration,
) -> Result<HeadOutcome, Failure> {
    let now = revision.now;
    let mut done = String::new();
    let outcome = revise(revision, &[RoleName::Release], |odi, published, _, builder| {
        let builder = builder.times(now, now.plus(expires));
        let newest = published.head(odi)?;
        let seq = match target {
            LabelTarget::Nothing => {
                done = format!("Label {name} is removed");
                return Ok(builder.unlabel(name));
            }
            LabelTarget::Newest => newest.seq,
            LabelTarget::Head(seq) => ancestor(odi, &published.trust, newest, seq)?.seq,
        };
        done = format!("Label {name} leads to head {seq}");
        Ok(builder.label(name, seq))
    })?;
    Ok(HeadOutcome { done: vec![done], ..outcome })
}

/// Where a label shall point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LabelTarget {
    /// At the newest head.
    Newest,
    /// At this one.
    Head(u64),
    /// Nowhere: it goes.
    Nothing,
}

/// What to withdraw.
#[derive(Debug)]
pub(crate) struct Withdrawal<'a> {
    /// Paths of the catalog, or blobs as 64 hexadecimal digits.
    pub(crate) what: &'a [String],
    /// Withdraw the paths themselves, whatever they hold.
    pub(crate) paths: bool,
    /// Why.
    pub(crate) reason: Reason,
}

/// Adds to the catalog's revocation list.
///
/// A revoke key may change nothing else, so the head keeps the former one's expiry as long as that lasts.
pub(crate) fn revoke(revision: Revision<'_>, withdrawal: &Withdrawal<'_>) -> Result<HeadOutcome, Failure> {
    let now = revision.now;
    let mut done = Vec::new();
    let outcome =
        revise(revision, &[RoleName::Release, RoleName::Revoke], |odi, published, batch, builder| {
            let newest = published.head(odi)?;
            let mut list = revocations(odi, published)?;
            for (text, what) in withdrawal.what.iter().zip(revoked(odi, published, withdrawal)?) {
                let form = if matches!(what, Revoked::Path(_)) { "path and all below it" } else { "bytes" };
                let new = list.insert(Revocation { what, reason: withdrawal.reason, since: builder.seq() });
                let verb = if new { "Withdrew" } else { "Had withdrawn before" };
                done.push(format!("{verb} {text} ({form}; reason: {})", withdrawal.reason));
            }
            batch.stage(odi.revocations(list.id()), &list.encode())?;
            let life = newest.expires.since(newest.created);
            let expires = if newest.expires > now { newest.expires } else { now.plus(life) };
            Ok(builder.times(now, expires).revocations(list.id()))
        })?;
    Ok(HeadOutcome { done, ..outcome })
}

/// The revocation list in force.
pub(crate) fn revocations(odi: &OdiFolder, published: &Published) -> Result<RevocationList, Failure> {
    let Some(id) = published.former.as_ref().and_then(|head| head.revocations) else {
        return Ok(RevocationList::default());
    };
    let path = odi.revocations(id);
    let bytes = read_bounded(&path, REVOCATION_BYTES_MAX as u64)?;
    let bytes = bytes.ok_or_else(|| Failure::NodesMissing { path: path.clone() })?;
    let list = RevocationList::decode(&bytes)
        .map_err(|source| Failure::Revocations { path: path.clone(), source })?;
    if list.id() == id { Ok(list) } else { Err(Failure::NodesMissing { path }) }
}

fn revoked(
    odi: &OdiFolder,
    published: &Published,
    withdrawal: &Withdrawal<'_>,
) -> Result<Vec<Revoked>, Failure> {
    let loaded = manifest_nodes::load(odi, &published.trust, published.head(odi)?, &[])?;
    let unusable = |source| Failure::Manifest(TreeError::Nodes(source));
    let one = |text: &String| {
        let not_there = || Failure::NoSuchArtifact { text: text.clone() };
        if let Ok(blob) = text.parse() {
            return Ok(Revoked::Blob(blob));
        }
        if withdrawal.paths {
            return text.parse().map(Revoked::Path).map_err(|_| not_there());
        }
        let entry = loaded.tree.get(&loaded.nodes, text).map_err(unusable)?;
        entry.map(|entry| Revoked::Blob(entry.blob)).ok_or_else(not_there)
    };
    withdrawal.what.iter().map(one).collect()
}
