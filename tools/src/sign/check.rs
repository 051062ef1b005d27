//! `odi-sign verify`: does what is here, or at an origin, agree with what was signed?

use std::fmt;
use std::path::Path;

use odi_manifest::{ArtifactPath, CatalogId, Entry, Head, Timestamp, TreeError};
use odi_wire::catalog_settings::{CatalogSettings, SETTINGS_BYTES_MAX, SETTINGS_PATH};
use odi_wire::fetch::Source;
use odi_wire::layout::LayoutPath;
use serde::Serialize;
use url::Url;

use super::compare::compare;
use super::failure::Failure;
use super::manifest_nodes::{self, HeadNodes};
use super::odi_folder::OdiFolder;
use super::progress::Progress;
use super::published::{Published, ROOT_BYTES_MAX};
use super::pull::pull;
use super::remote::{Download, Place, Remote};
use super::scan_cache::ScanCache;
use super::survey::{SurveyOptions, survey};
use super::tree_disk::{RealTreeDisk, replace};

/// How many differences are spelled out.
const SHOWN_MAX: usize = 25;

/// What was checked, and what was wrong.
#[derive(Debug, Serialize)]
pub(crate) struct CheckOutcome {
    id: CatalogId,
    name: String,
    seq: u64,
    expires: Timestamp,
    /// Artifacts whose bytes were compared.
    checked: u64,
    /// Artifacts that are not in the tree, and so were not compared.
    #[serde(skip_serializing_if = "is_none")]
    elsewhere: u64,
    /// Paths that do not agree, and how.
    pub(crate) wrong: Vec<String>,
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, seq, checked, elsewhere, .. } = self;
        write!(
            f,
            "{name} head {seq}: signatures, history and manifest are right; {checked} artifacts compared"
        )?;
        if is_none(elsewhere) { Ok(()) } else { write!(f, ", {elsewhere} lie elsewhere") }
    }
}

const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl CheckOutcome {
    /// An error if anything was wrong or has expired.
    pub(crate) fn judge(self, now: Timestamp) -> Result<Self, Failure> {
        if !self.wrong.is_empty() {
            let mut shown = self.wrong.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>();
            if self.wrong.len() > SHOWN_MAX {
                shown.push(format!("and {} more", self.wrong.len() - SHOWN_MAX));
            }
            return Err(Failure::Differs { count: self.wrong.len(), shown: shown.join("\n  ") });
        }
        if self.expires <= now {
            return Err(Failure::Expired { what: format!("head {}", self.seq), when: self.expires });
        }
        Ok(self)
    }
}

/// Checks a tree's records, and reads every file unless told not to.
pub(crate) fn check_tree(
    tree: &Path,
    expected: Option<CatalogId>,
    with_files: bool,
    workers: usize,
    progress: &dyn Progress,
) -> Result<CheckOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    expect_catalog(expected, published.catalog())?;
    let head = published.head(&odi)?;
    let loaded = manifest_nodes::load(&odi, &published.trust, head, &[])?;
    let mut outcome = outcome_of(&published, head);
    if with_files {
        let options = SurveyOptions { cache: &ScanCache::default(), now_ns: i64::MAX, workers, progress };
        let survey = survey(&odi, &options)?;
        let changes = compare(entries(&loaded), &survey.files, false)?;
        outcome.checked = survey.files.len() as u64;
        outcome.elsewhere = changes.kept.len() as u64;
        outcome.wrong = changes.describe();
    }
    Ok(outcome)
}

fn entries(loaded: &HeadNodes) -> impl Iterator<Item = Result<(ArtifactPath, Entry), Failure>> {
    let entries = loaded.tree.iter(&loaded.nodes, None);
    entries.map(|entry| entry.map_err(|source| Failure::Manifest(TreeError::Nodes(source))))
}

/// Checks what a web server serves: follows it from its first root into a folder that goes away, and downloads every
/// artifact unless told not to.
pub(crate) fn check_origin(
    url: &Url,
    expected: Option<CatalogId>,
    with_files: bool,
) -> Result<CheckOutcome, Failure> {
    let temporary = tempfile::tempdir().map_err(Failure::Temporary)?;
    let odi = OdiFolder::of(temporary.path());
    let remote = Remote::new()?;
    let place = Place::origin(url);
    let first = place.item(LayoutPath::Root(1));
    let no_catalog = || Failure::NotAnOrigin { url: url.to_string() };
    let root = remote.get(&first, ROOT_BYTES_MAX)?.ok_or_else(no_catalog)?;
    replace(&RealTreeDisk, odi.root(1), &root)?;
    let published = Published::load(&odi)?;
    expect_catalog(expected, published.catalog())?;
    pull(&RealTreeDisk, temporary.path(), url, false)?;
    let published = Published::load(&odi)?;
    let head = published.head(&odi)?;
    let loaded = manifest_nodes::load(&odi, &published.trust, head, &[])?;
    let mut outcome = outcome_of(&published, head);
    if with_files {
        let settings = settings(&remote, url)?;
        for entry in entries(&loaded) {
            let (path, entry) = entry?;
            outcome.checked += 1;
            let at = if entry.is_elsewhere() {
                settings.elsewhere().url(&path)
            } else {
                Some(Source::artifact(url, &path).url)
            };
            outcome.wrong.extend(check_artifact(&remote, at, &path, &entry)?);
        }
    }
    Ok(outcome)
}

/// The settings that an origin serves. Whether they are those that were signed, the comparison of artifacts shows.
fn settings(remote: &Remote, origin: &Url) -> Result<CatalogSettings, Failure> {
    let path = ArtifactPath::parse(SETTINGS_PATH).expect("a plain name");
    let bytes = remote.get(&Source::artifact(origin, &path).url, SETTINGS_BYTES_MAX)?;
    Ok(bytes.and_then(|bytes| CatalogSettings::read(&bytes).ok()).unwrap_or_default())
}

fn check_artifact(
    remote: &Remote,
    url: Option<Url>,
    path: &ArtifactPath,
    entry: &Entry,
) -> Result<Option<String>, Failure> {
    let wrong = |why: &str| Ok(Some(format!("{path}: {why}")));
    let Some(url) = url else { return wrong("signed, and nothing says where it lies") };
    match remote.hash(&url, entry.size)? {
        Download::Missing => wrong("signed, and not served"),
        Download::Whole(hashed) if hashed.blob == entry.blob && hashed.sha256 == entry.sha256 => Ok(None),
        Download::Whole(_) | Download::TooLong => wrong("other bytes than those signed"),
    }
}

fn outcome_of(published: &Published, head: &Head) -> CheckOutcome {
    CheckOutcome {
        id: published.catalog(),
        name: published.trust.root().name.clone(),
        seq: head.seq,
        expires: head.expires.min(published.trust.root().expires),
        checked: 0,
        elsewhere: 0,
        wrong: Vec::new(),
    }
}

fn expect_catalog(expected: Option<CatalogId>, found: CatalogId) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != found => {
            Err(Failure::OtherCatalog { expected: Box::new(expected), found: Box::new(found) })
        }
        _ => Ok(()),
    }
}
