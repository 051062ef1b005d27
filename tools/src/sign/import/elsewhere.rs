//! Importing lists of what is published elsewhere: every new artifact is downloaded once, checked and hashed, and not kept. What
//! stays here is its chunk list, its entry, and where it lies.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use odi_manifest::{ArtifactPath, CHUNK_BYTES, Entry, Ext, Timestamp, TreeError};
use odi_wire::catalog_settings::{CatalogSettings, SETTINGS_BYTES_MAX, SETTINGS_PATH};
use url::Url;

use super::super::failure::Failure;
use super::super::manifest_nodes::{self, HeadNodes};
use super::super::odi_folder::{OdiFolder, ReadError, read_bounded};
use super::super::outcome::{counted, size};
use super::super::published::Published;
use super::super::remote::Remote;
use super::super::scan::{Problem, Problems, Why};
use super::super::survey::has_chunks;
use super::super::tree_disk::{RealTreeDisk, replace};
use super::known::Known;
use super::list::{self, Item, LIST_BYTES_MAX, Reading};
use super::{rules, say};

/// What a publish is to know of artifacts that are not in the tree.
#[derive(Debug)]
pub struct Imported {
    /// The artifacts of the lists.
    pub(crate) artifacts: Vec<(ArtifactPath, Entry)>,
    /// Whether there are no others.
    pub(crate) complete: bool,
}

/// Lists to import.
#[derive(Debug)]
pub(in super::super) struct Lists<'a> {
    /// The tree.
    pub(in super::super) tree: &'a Path,
    /// Files of lines.
    pub(in super::super) files: &'a [PathBuf],
    /// Where names lie that are no URLs.
    pub(in super::super) base: Option<&'a Url>,
    /// The folder of the catalog under which everything is put.
    pub(in super::super) into: Option<&'a str>,
    /// Whether what earlier imports brought and these lists lack is to go.
    pub(in super::super) complete: bool,
    /// Where downloads are remembered.
    pub(in super::super) known: Option<PathBuf>,
    /// The time of day, for artifacts whose servers say no other.
    pub(in super::super) now: Timestamp,
}

/// Downloads what is new on the lists, and writes into `odi-catalog.toml` where everything lies.
pub(in super::super) fn prepare(lists: &Lists<'_>) -> Result<Imported, Failure> {
    let items = read_lists(lists)?;
    let odi = OdiFolder::of(lists.tree);
    let published = Published::load(&odi)?;
    let former = match &published.former {
        Some(head) => Some(manifest_nodes::load(&odi, &published.trust, head, &[])?),
        None => None,
    };
    let settings = Settings::of(lists.tree)?;
    let mut known = Known::read(lists.known.clone());
    let mut artifacts = Vec::with_capacity(items.len());
    let mut downloads = Downloads { odi: &odi, remote: Remote::new()?, now: lists.now, count: 0, bytes: 0 };
    for item in &items {
        let vouched = published_entry(former.as_ref(), &settings, item)?;
        let vouched = vouched.or_else(|| known.entry(&item.sha256, &item.url).cloned());
        let entry = match vouched.filter(|entry| has_chunks(&odi, &entry.blob, entry.size)) {
            Some(entry) => entry,
            None => {
                let entry = downloads.take(item)?;
                // A cache that cannot be written costs the next run a download.
                let _unsaved = known.note(&item.url, &entry);
                entry
            }
        };
        artifacts.push((item.path.clone(), entry));
    }
    say(&downloads.words(items.len()));
    let mut lying = BTreeMap::new();
    if let Some(former) = former.as_ref().filter(|_| !lists.complete) {
        for entry in former.tree.iter(&former.nodes, None) {
            let (path, entry) = entry.map_err(|source| Failure::Manifest(TreeError::Nodes(source)))?;
            if let Some(url) = settings.read.elsewhere().url(&path).filter(|_| entry.is_elsewhere()) {
                lying.insert(path, url);
            }
        }
    }
    lying.extend(items.into_iter().map(|item| (item.path, item.url)));
    settings.write(lists.tree, &lying)?;
    Ok(Imported { artifacts, complete: lists.complete })
}

fn read_lists(lists: &Lists<'_>) -> Result<Vec<Item>, Failure> {
    let reading = Reading { base: lists.base, into: lists.into };
    let mut items = Vec::new();
    for file in lists.files {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let text = read_bounded(file, LIST_BYTES_MAX)?
            .ok_or_else(|| ReadError { path: file.clone(), source: missing() })?;
        let read = list::read(&text, &reading);
        items.extend(read.map_err(|(line, fault)| Failure::List { file: file.clone(), line, fault })?);
    }
    Ok(items)
}

/// The entry that the newest head has for an item, if it is known that it came from the same URL.
fn published_entry(
    former: Option<&HeadNodes>,
    settings: &Settings,
    item: &Item,
) -> Result<Option<Entry>, Failure> {
    let Some(former) = former else { return Ok(None) };
    let entry = former.tree.get(&former.nodes, item.path.as_str());
    let entry = entry.map_err(|source| Failure::Manifest(TreeError::Nodes(source)))?;
    Ok(entry.filter(|entry| {
        entry.is_elsewhere()
            && entry.sha256 == item.sha256
            && settings.read.elsewhere().url(&item.path).as_ref() == Some(&item.url)
    }))
}

struct Downloads<'a> {
    odi: &'a OdiFolder,
    remote: Remote,
    now: Timestamp,
    count: u64,
    bytes: u64,
}

impl Downloads<'_> {
    /// Downloads an artifact, keeps its chunk list, and says what an entry says of it.
    fn take(&mut self, item: &Item) -> Result<Entry, Failure> {
        let (hashed, modified) = self.remote.download(&item.url)?;
        if hashed.sha256 != item.sha256 {
            let (expected, found) = (item.sha256, hashed.sha256);
            return Err(Failure::NotAsListed { url: Box::new(item.url.clone()), expected, found });
        }
        if let Some(chunks) = hashed.chunks.filter(|_| hashed.size > CHUNK_BYTES) {
            replace(&RealTreeDisk, self.odi.chunks(&hashed.blob), &chunks.to_bytes())?;
        }
        self.count += 1;
        self.bytes += hashed.size;
        say(&format!("downloaded {} ({})", item.url, size(hashed.size)));
        Ok(Entry {
            size: hashed.size,
            blob: hashed.blob,
            sha256: hashed.sha256,
            mtime: modified.unwrap_or(self.now.0),
            ext: Some(Ext::elsewhere()),
        })
    }

    fn words(&self, listed: usize) -> String {
        let artifacts = counted(listed as u64, "artifact");
        format!("{artifacts} listed, {} downloaded ({})", self.count, size(self.bytes))
    }
}

/// The tree's settings, as text and as daemons read them.
struct Settings {
    text: String,
    read: CatalogSettings,
}

impl Settings {
    fn of(tree: &Path) -> Result<Self, Failure> {
        let bytes = read_bounded(&tree.join(SETTINGS_PATH), SETTINGS_BYTES_MAX)?.unwrap_or_default();
        let read = judged(&bytes)?;
        Ok(Self { text: String::from_utf8_lossy(&bytes).into_owned(), read })
    }

    fn write(&self, tree: &Path, lying: &BTreeMap<ArtifactPath, Url>) -> Result<(), Failure> {
        let text = rules::replace_part(&self.text, lying);
        if text == self.text {
            return Ok(());
        }
        judged(text.as_bytes())?;
        Ok(replace(&RealTreeDisk, tree.join(SETTINGS_PATH), text.as_bytes())?)
    }
}

/// Settings that every daemon takes.
fn judged(bytes: &[u8]) -> Result<CatalogSettings, Problems> {
    let path = OsStr::new(SETTINGS_PATH);
    CatalogSettings::read(bytes).map_err(|fault| Problems::of(Problem::new(path, Why::Settings(fault))))
}
