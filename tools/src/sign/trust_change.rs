//! Changing who may sign: the next root of trust, bound to the one before it by both thresholds of root keys.
//!
//! Taking a release key away, or raising the threshold, begins a new epoch: the root names the last good head (the
//! floor) and the number of the next one, above every number ever seen, so that whatever a thief signed falls away.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use odi_manifest::{
    CatalogId, Floor, KeyLine, PublicKey, RoleName, Root, RootBuilder, Timestamp, TrustRoot, Unverified,
    Witness,
};
use serde::Serialize;

use super::failure::Failure;
use super::history::head_at;
use super::init::{witness, witness_warning};
use super::lock::TreeLock;
use super::odi_folder::{OdiFolder, read_bounded};
use super::others::{self, Others};
use super::pending;
use super::published::{Published, ROOT_BYTES_MAX, read_head};
use super::root_steps::{self, RootStep};
use super::signers::BoxedSigner;
use super::tree_disk::TreeDisk;

/// Keys to add to a role and to take from it, and its new threshold.
#[derive(Debug, Default)]
pub(crate) struct RoleChange {
    pub(crate) add: Vec<PublicKey>,
    pub(crate) remove: Vec<PublicKey>,
    pub(crate) threshold: Option<u32>,
}

/// What the next root changes.
#[derive(Debug, Default)]
pub(crate) struct TrustChange {
    pub(crate) root: RoleChange,
    pub(crate) release: RoleChange,
    pub(crate) revoke: RoleChange,
    pub(crate) add_witnesses: Vec<KeyLine>,
    pub(crate) remove_witnesses: Vec<PublicKey>,
    pub(crate) witness_quorum: Option<u32>,
    /// The last good head, where a new epoch begins.
    pub(crate) floor: Option<u64>,
    /// Drop a head that waits for signatures.
    pub(crate) discard_waiting: bool,
    /// How long the root is good for.
    pub(crate) expires: Duration,
}

/// Drafts and signs the next root; it is in force at once if these keys suffice.
pub(crate) fn change(
    disk: &dyn TreeDisk,
    tree: &Path,
    change: &TrustChange,
    signers: &[BoxedSigner],
    others: Others<'_>,
    now: Timestamp,
) -> Result<TrustOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    Published::load(&odi)?;
    let _lock = TreeLock::take(tree)?;
    // Read under the lock: whoever held it before may have published.
    let mut published = Published::load(&odi)?;
    check_removed(published.trust.root(), change)?;
    // A head that a crash left in the journal is under its number for good: a new epoch's floor must lie above it.
    let finished = pending::settle(disk, &odi, &mut published, change.discard_waiting)?;
    let mut notes: Vec<String> = finished
        .map(|seq| format!("finished head {seq}, which a crash had interrupted"))
        .into_iter()
        .collect();
    notes.extend(others::ask(&odi, &published, &[], others)?);
    let mut next = draft(&odi, &published, change, now)?;
    if !change.add_witnesses.is_empty() || change.witness_quorum.is_some() {
        notes.extend(witness_warning(next.claims()));
    }
    root_steps::sign(&mut next, Some(published.trust.root()), signers)?;
    let outcome = finish(disk, &odi, Some(&published.trust), &next)?;
    Ok(TrustOutcome { notes, ..outcome })
}

/// Whoever takes away a key that is not there has named the wrong one, and the right one stays in force.
fn check_removed(former: &Root, change: &TrustChange) -> Result<(), Failure> {
    let roles = [
        (RoleName::Root, &change.root),
        (RoleName::Release, &change.release),
        (RoleName::Revoke, &change.revoke),
    ];
    for (name, change) in roles {
        let role = former.role(name);
        let stranger =
            change.remove.iter().find(|key| !role.as_ref().is_some_and(|role| role.keys().contains(*key)));
        if let Some(key) = stranger {
            return Err(Failure::NotInRole { key: Box::new(*key), role: name });
        }
    }
    let is_witness = |key: &PublicKey| former.witnesses.iter().any(|witness| witness.key == *key);
    match change.remove_witnesses.iter().find(|key| !is_witness(key)) {
        Some(key) => Err(Failure::NotAWitness { key: Box::new(*key) }),
        None => Ok(()),
    }
}

/// Adds signatures to the root that waits.
pub(crate) fn countersign(
    disk: &dyn TreeDisk,
    tree: &Path,
    signers: &[BoxedSigner],
) -> Result<TrustOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    let _lock = TreeLock::take(tree)?;
    let path = odi.pending_root();
    let bytes = read_bounded(&path, ROOT_BYTES_MAX)?;
    let bytes = bytes.ok_or_else(|| Failure::NothingWaits { what: "root", tree: tree.to_path_buf() })?;
    let mut next: Unverified<Root> =
        Unverified::decode(&bytes).map_err(|source| Failure::Record { path, source })?;
    let trust = if next.claims().version == 1 { None } else { Some(Published::load(&odi)?.trust) };
    root_steps::sign(&mut next, trust.as_ref().map(TrustRoot::root), signers)?;
    finish(disk, &odi, trust.as_ref(), &next)
}

fn finish(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    trust: Option<&TrustRoot>,
    next: &Unverified<Root>,
) -> Result<TrustOutcome, Failure> {
    let step = root_steps::finish(disk, odi, next, || match trust {
        None => TrustRoot::found(next).map(|_| ()),
        Some(trust) => trust.clone().rotate(next),
    })?;
    let catalog = trust.map_or_else(|| CatalogId::of(next.payload()), |trust| *trust.catalog());
    Ok(TrustOutcome::of(catalog, next.claims(), step))
}

fn draft(
    odi: &OdiFolder,
    published: &Published,
    change: &TrustChange,
    now: Timestamp,
) -> Result<Unverified<Root>, Failure> {
    let trust = &published.trust;
    let former = trust.root();
    let mut builder = RootBuilder::after(former, now, now.plus(change.expires));
    let (threshold, keys) = change.root.apply(former, RoleName::Root);
    builder = builder.root_keys(threshold, keys);
    let (threshold, keys) = change.release.apply(former, RoleName::Release);
    builder = builder.release_keys(threshold, keys);
    let (threshold, keys) = change.revoke.apply(former, RoleName::Revoke);
    builder = builder.revoke_keys(threshold, keys);
    let mut witnesses = former.witnesses.clone();
    witnesses.retain(|witness| !change.remove_witnesses.contains(&witness.key));
    witnesses.extend(change.add_witnesses.iter().map(witness));
    witnesses.sort_by_key(|witness: &Witness| witness.key);
    if witnesses != former.witnesses || change.witness_quorum.is_some() {
        builder = builder.witnesses(witnesses, change.witness_quorum);
    }
    if change.floor.is_some() || change.release.weakens(former) {
        builder = builder.new_epoch(floor(odi, published, change.floor)?);
    }
    builder.build().map_err(Failure::Invalid)
}

impl RoleChange {
    fn apply(&self, former: &Root, name: RoleName) -> (u32, BTreeSet<PublicKey>) {
        let role = former.role(name);
        let mut keys: BTreeSet<PublicKey> = role.iter().flat_map(|role| role.keys().to_vec()).collect();
        keys.retain(|key| !self.remove.contains(key));
        keys.extend(&self.add);
        let present = role.map_or(1, |role| u32::try_from(role.threshold()).unwrap_or(u32::MAX));
        (self.threshold.unwrap_or(present), keys)
    }

    /// Whether heads that were fine before might not be any more.
    fn weakens(&self, former: &Root) -> bool {
        let role = former.role(RoleName::Release);
        let raises = self.threshold.is_some_and(|new| {
            role.as_ref().is_some_and(|role| usize::try_from(new).is_ok_and(|new| new > role.threshold()))
        });
        raises || role.is_some_and(|role| role.keys().iter().any(|key| self.remove.contains(key)))
    }
}

/// The new epoch's floor: the last good head, and a number above everything that was ever shown here.
fn floor(odi: &OdiFolder, published: &Published, seq: Option<u64>) -> Result<Floor, Failure> {
    let shown = read_head(&odi.head())?.map_or(0, |head| head.claims().seq);
    let newest = published.former.as_ref();
    // An epoch that begins before the former one had a head must still begin above it.
    let begun = published.trust.floor().map_or(0, |floor| floor.next);
    let highest = shown.max(newest.map_or(0, |head| head.seq)).max(begun);
    let seq = seq.unwrap_or_else(|| newest.map_or(0, |head| head.seq));
    if seq == 0 {
        return Ok(Floor { seq, head: Floor::NO_HEAD, next: highest.max(1) + 1 });
    }
    let head = head_at(odi, seq)?.ok_or(Failure::NoSuchHead { seq })?.id();
    Ok(Floor { seq, head, next: highest + 1 })
}

/// Who may sign, and since when.
#[derive(Debug, Serialize)]
pub(crate) struct TrustOutcome {
    id: CatalogId,
    name: String,
    version: u64,
    epoch: u64,
    expires: Timestamp,
    roles: Vec<RoleShown>,
    witnesses: Vec<WitnessShown>,
    witness_quorum: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<WaitsShown>,
    /// What the maintainer should know, such as servers that could not be asked.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RoleShown {
    role: String,
    threshold: usize,
    keys: Vec<PublicKey>,
}

#[derive(Debug, Serialize)]
struct WitnessShown {
    name: String,
    key: PublicKey,
}

#[derive(Debug, Serialize)]
struct WaitsShown {
    signatures: usize,
    threshold: usize,
}

/// Reads who may sign now.
pub(crate) fn show(tree: &Path) -> Result<TrustOutcome, Failure> {
    let published = Published::load(&OdiFolder::of(tree))?;
    Ok(TrustOutcome::of(published.catalog(), published.trust.root(), RootStep::Done))
}

impl TrustOutcome {
    fn of(id: CatalogId, root: &Root, step: RootStep) -> Self {
        let roles = [RoleName::Root, RoleName::Release, RoleName::Revoke].into_iter();
        let roles = roles.filter_map(|name| root.role(name)).map(|role| RoleShown {
            role: role.name().to_string(),
            threshold: role.threshold(),
            keys: role.keys().to_vec(),
        });
        let witnesses = root.witnesses.iter();
        let witnesses =
            witnesses.map(|witness| WitnessShown { name: witness.name.clone(), key: witness.key });
        Self {
            id,
            name: root.name.clone(),
            version: root.version,
            epoch: root.epoch,
            expires: root.expires,
            roles: roles.collect(),
            witnesses: witnesses.collect(),
            witness_quorum: root.witness_quorum,
            floor: root.floor.map(|floor| floor.seq),
            waits: match step {
                RootStep::Done => None,
                RootStep::Waits { have, need } => Some(WaitsShown { signatures: have, threshold: need }),
            },
            notes: Vec::new(),
        }
    }
}

impl fmt::Display for TrustOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "Note: {note}.")?;
        }
        let Self { name, version, epoch, .. } = self;
        write!(
            f,
            "{name} root {version} of epoch {epoch}, good until {}\n  catalog {}",
            self.expires, self.id
        )?;
        if let Some(WaitsShown { signatures, threshold }) = &self.waits {
            write!(f, "\n  waits: {signatures} of {threshold} signatures of root keys")?;
            write!(f, "\n  next: odi-sign trust countersign TREE --root-key KEY")?;
        }
        for RoleShown { role, threshold, keys } in &self.roles {
            write!(f, "\n  {role}: {threshold} of {}", keys.len())?;
            for key in keys {
                write!(f, "\n    {key}")?;
            }
        }
        if self.witnesses.is_empty() {
            write!(f, "\n  witnesses: none, so there is no freeze protection")?;
        } else {
            write!(f, "\n  witnesses: {} of {}", self.witness_quorum, self.witnesses.len())?;
        }
        for WitnessShown { name, key } in &self.witnesses {
            write!(f, "\n    {key} {name}")?;
        }
        if let Some(floor) = self.floor {
            write!(f, "\n  floor: head {floor}; heads of former epochs after it do not count")?;
        }
        Ok(())
    }
}
