//! The network that ODI begins with, in small: who publishes, who vouches, who wants what.
//!
//! Two directories that follow each other and vouch for every head; three catalogs, each with a key and a web server of its
//! own; three relays whose wishes overlap, so that each catalog has at least two and none but one relay has everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use odi_manifest::KeyLine;
use odi_wire::identity_key;
use odi_wire::off_worker::off_worker;
use url::Url;
use zeroize::Zeroizing;

use super::network::{Listed, Volunteer};
use super::{DemoCatalog, Origin, paths, sample, shadow};

pub(super) const DIRECTORIES: usize = 2;
/// The relays: what each wants, and where it says that it is, for the map.
pub(super) const RELAYS: [Volunteer<'_>; 3] = [
    Volunteer { wants: &["*"], coordinates: Some((52.52, 13.4)) },
    Volunteer { wants: &["demo", "packages"], coordinates: Some((42.36, -71.06)) },
    Volunteer { wants: &["demo", "handbook"], coordinates: Some((-33.86, 151.2)) },
];

/// A way to fill a folder with a sample.
type Sample = fn(&Path) -> io::Result<()>;

/// The catalogs. The first is what `--tree` replaces all of them with.
const CATALOGS: [(&str, Sample); 3] =
    [("demo", sample::write), ("packages", sample::write_packages), ("handbook", sample::write_handbook)];

/// A catalog, the web server that it is published on, and what is in it.
pub(super) struct Published {
    pub(super) catalog: DemoCatalog,
    pub(super) artifacts: Vec<String>,
    origin: Origin,
    origin_url: Url,
}

/// Signs and serves somebody's tree as one catalog, or else the samples.
pub(super) async fn publish(
    folder: &Path,
    tree: Option<&Path>,
    witnesses: &[KeyLine],
) -> anyhow::Result<Vec<Published>> {
    let mut published = Vec::new();
    for (name, write) in CATALOGS.iter().take(if tree.is_some() { 1 } else { CATALOGS.len() }) {
        let to = folder.join("origins").join(name);
        match tree {
            Some(from) => shadow(from, &to)?,
            None => write(&to).with_context(|| format!("write the sample tree {name}"))?,
        }
        published.push(Published::begin(to, name, witnesses).await?);
    }
    Ok(published)
}

impl Published {
    async fn begin(tree: PathBuf, name: &'static str, witnesses: &[KeyLine]) -> anyhow::Result<Self> {
        let origin = Origin::start(tree.clone()).await?;
        let origin_url = Url::parse(&origin.url())?;
        let (at, witnesses) = (origin_url.clone(), witnesses.to_vec());
        let catalog = off_worker(move || DemoCatalog::begin_witnessed(tree, name, &at, witnesses)).await?;
        let artifacts = paths(&catalog.tree)?;
        Ok(Self { catalog, artifacts, origin, origin_url })
    }

    /// What directories are told of it.
    pub(super) fn listed(&self) -> Listed {
        let Self { catalog, origin_url, .. } = self;
        Listed { name: catalog.name.clone(), id: catalog.id, origin: origin_url.clone() }
    }

    pub(super) async fn stop(self) {
        self.origin.stop().await;
    }
}

/// Makes the directories' keys before their first start, as roots have to name them: `FOLDER/directory-1/identity.key` and
/// so on.
pub(super) fn witnesses(folder: &Path) -> anyhow::Result<Vec<KeyLine>> {
    (1..=DIRECTORIES)
        .map(|number| {
            let name = format!("directory-{number}");
            let data = folder.join(&name);
            fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
            let mut fresh = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *fresh).map_err(|error| anyhow::anyhow!("draw a key: {error}"))?;
            let key = identity_key::kept_or_made(&data, &fresh)?;
            Ok(KeyLine { key: key.public_key(), comment: name })
        })
        .collect()
}
