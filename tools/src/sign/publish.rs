//! Publishing: from the files of a tree to its next signed head.
//!
//! One phase after the other, and what a crash in each means:
//! 1. *settle* the journal; ask whether the catalog moved on; *survey* the files: nothing was written.
//! 2. *stage* everything that the new head names, under names that nobody knows yet: the next run overwrites it.
//! 3. *sign* and *journal*: from here on this envelope, and no other, is the next head; any run finishes it.
//! 4. *install*: `heads/SEQ`, then `head`. Followers see the former head, or this one, never anything between.
//! 5. *tidy up* what no retained head needs: leftovers cost disk space until the next run.

use std::path::Path;
use std::time::Duration;

use odi_manifest::{Head, HeadMeta, Op, RevocationList, RoleName, Timestamp, Unverified};
use url::Url;

use super::compare::compare;
use super::description::Description;
use super::failure::Failure;
use super::import::Imported;
use super::lock::TreeLock;
use super::next_head::{Sealed, check_signers, draft, seal};
use super::next_manifest::NextManifest;
use super::odi_folder::OdiFolder;
use super::others::{self, Others};
use super::outcome::HeadOutcome;
use super::pending;
use super::progress::Progress;
use super::published::Published;
use super::retention;
use super::revise::revocations;
use super::scan_cache::{SCANS, ScanCache, cache_file};
use super::settings_check;
use super::signers::BoxedSigner;
use super::stage::stage;
use super::survey::{Survey, SurveyOptions, survey};
use super::tree_disk::{DiskError, TreeDisk};

/// What to publish, and how.
pub struct PublishRequest<'a> {
    /// The folder to publish.
    pub tree: &'a Path,
    /// Release keys.
    pub signers: &'a [BoxedSigner],
    /// The time of day.
    pub now: Timestamp,
    /// How long the head is good for.
    pub expires: Duration,
    /// Sign a new head even if nothing changed.
    pub renew: bool,
    /// Read every file again.
    pub rehash: bool,
    /// Drop a head that waits for signatures.
    pub discard_waiting: bool,
    /// Directories to ask, beside the origins, whether the catalog moved on.
    pub directories: &'a [Url],
    /// Ask nobody.
    pub offline: bool,
    /// How long replaced bytes stay fetchable.
    pub keep_replaced: Duration,
    /// What the head says from now on.
    pub description: &'a Description,
    /// The user's cache folder; without one every file is read every time.
    pub cache: Option<&'a Path>,
    /// Publish only what stood still: list the tree once more when it is hashed.
    pub steady: bool,
    /// What lies elsewhere; nothing changes about that if there is none.
    pub imported: Option<&'a Imported>,
    /// How many threads list and hash.
    pub workers: usize,
    /// Told how far it is.
    pub progress: &'a dyn Progress,
}

/// Publishes a tree: see the module's phases.
///
/// # Errors
/// Whatever stands in the way; the former `.odi/head` is then still the newest.
pub fn publish(disk: &dyn TreeDisk, request: &PublishRequest<'_>) -> Result<HeadOutcome, Failure> {
    let odi = OdiFolder::of(request.tree);
    check_signers(&Published::load(&odi)?, &[RoleName::Release], request.signers)?;
    let lock = TreeLock::take(request.tree)?;
    // Read under the lock: whoever held it before may have published.
    let mut published = Published::load(&odi)?;
    let finished = pending::settle(disk, &odi, &mut published, request.discard_waiting)?;
    let others = Others { directories: request.directories, offline: request.offline };
    let notes = others::ask(&odi, &published, &request.description.origins, others)?;
    retention::sweep_temporaries(disk, &odi)?;

    let mut survey = survey_tree(&odi, &lock, request)?;
    let stood_still = if request.steady { survey.stood_still(&odi, request.workers) } else { Ok(()) };
    let joined = stood_still.and_then(|()| survey.join(request.imported.map_or(&[], |it| &it.artifacts)));
    let result = joined
        .map_err(Failure::from)
        .and_then(|()| publish_survey(disk, &odi, &mut published, &mut survey, request));
    let cache = request.cache.filter(|_| survey.read_files > 0);
    if let Some(cache) = cache.and_then(|folder| cache_file(folder, SCANS, request.tree).ok()) {
        // The cache only saves reading; a full cache disk must not fail a publish.
        let _unsaved = survey.remember(&cache);
    }
    let mut outcome = result?;
    outcome.finished = finished;
    outcome.read_files = survey.read_files;
    outcome.read_bytes = survey.read_bytes;
    outcome.notes.splice(0..0, notes);
    Ok(outcome)
}

fn survey_tree(odi: &OdiFolder, lock: &TreeLock, request: &PublishRequest<'_>) -> Result<Survey, Failure> {
    let cache = request.cache.filter(|_| !request.rehash);
    let cache = cache.and_then(|folder| cache_file(folder, SCANS, request.tree).ok());
    let cache = cache.map_or_else(ScanCache::default, |file| ScanCache::read(&file));
    let now_ns = lock.file_system_now().map_err(|source| DiskError {
        verb: "touch",
        path: odi.path().join("lock"),
        source,
    })?;
    let options =
        SurveyOptions { cache: &cache, now_ns, workers: request.workers, progress: request.progress };
    let survey = survey(odi, &options)?;
    settings_check::check(odi, &survey.files)?;
    Ok(survey)
}

fn publish_survey(
    disk: &dyn TreeDisk,
    odi: &OdiFolder,
    published: &mut Published,
    survey: &mut Survey,
    request: &PublishRequest<'_>,
) -> Result<HeadOutcome, Failure> {
    let mut manifest = NextManifest::begin(odi, published)?;
    let former = manifest.entries();
    let complete = request.imported.is_some_and(|imported| imported.complete);
    let mut changes = compare(former, &survey.files, complete)?;
    survey.files.append(&mut changes.kept);
    let withdrawn = withdrawn(&revocations(odi, published)?, &changes.ops);
    manifest.change(std::mem::take(&mut changes.ops))?;
    let head = draft_head(odi, published, &manifest, request)?;
    if let Some(former) = published.former.as_ref().filter(|former| !worth_a_head(former, &head, request)) {
        let former = former.clone();
        retention::drop_replaced(disk, odi, &survey.files, request.keep_replaced, request.now)?;
        return Ok(HeadOutcome::unchanged(published, &former));
    }
    let staged = stage(disk, odi, &published.trust, &head, &manifest, survey, &changes)?;
    let sealed = seal(disk, odi, published, head, request.signers)?;
    let mut outcome = HeadOutcome::sealed(published, &sealed);
    (outcome.added, outcome.changed, outcome.removed) = (changes.added, changes.changed, changes.removed);
    outcome.notes.extend(withdrawn);
    outcome.notes.extend(staged.lost.iter().map(|path| {
        format!(
            "{path} was overwritten in place, so its former bytes are gone; replace files by rename instead"
        )
    }));
    if let Sealed::Installed(head) = &sealed {
        if staged.full {
            retention::drop_old_manifests(disk, odi, &published.trust, head)?;
        }
        retention::drop_replaced(disk, odi, &survey.files, request.keep_replaced, request.now)?;
    }
    Ok(outcome)
}

/// Publishing what is withdrawn is no error, because the tree is as it is; but nobody will serve it.
fn withdrawn(list: &RevocationList, ops: &[Op]) -> Vec<String> {
    let mut notes = Vec::new();
    for op in ops {
        if let Op::Put(path, entry) = op
            && let Some(entry) = list.revokes_blob(&entry.blob).or_else(|| list.revokes_path(path.as_str()))
        {
            notes.push(format!("{path} is withdrawn ({}), and no relay will serve it", entry.reason));
        }
    }
    notes
}

fn draft_head(
    odi: &OdiFolder,
    published: &Published,
    manifest: &NextManifest,
    request: &PublishRequest<'_>,
) -> Result<Unverified<Head>, Failure> {
    let former = match &published.former {
        Some(head) => Description::of(head),
        None => Description::read_draft(odi)?,
    };
    let description = former.overridden_by(request.description);
    let meta = HeadMeta { home: description.home, tags: description.tags, title: description.title };
    let tree = manifest.tree;
    draft(odi, published, |builder| {
        builder
            .times(request.now, request.now.plus(request.expires))
            .tree(tree.root, tree.entries, tree.bytes)
            .meta(meta)
            .origins(description.origins)
    })
}

/// A new head is worth its signature if it says something new, or the former one has less than half its life left.
fn worth_a_head(former: &Head, next: &Unverified<Head>, request: &PublishRequest<'_>) -> bool {
    let next = next.claims();
    let life = former.expires.since(former.created);
    request.renew
        || former.tree != next.tree
        || former.meta != next.meta
        || former.origins != next.origins
        || former.void != next.void
        || former.root_version != next.root_version
        || former.expires.since(request.now) < life / 2
}
