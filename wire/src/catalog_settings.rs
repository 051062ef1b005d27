//! A catalog's own settings: `odi-catalog.toml` at the top of its tree, an ordinary signed artifact (PROTOCOL.md § Catalog
//! settings).
//!
//! Reading is pure, strict and bounded: one wrong key refuses the file and is named with its line, so that maintainers
//! hear of it when they publish. A daemon that meets such a file goes on with what it knew before; see
//! [`SettingsInForce`].

mod elsewhere;
mod error;
mod in_force;
mod path_pattern;
mod reader;

use std::time::Duration;

use odi_manifest::{ArtifactPath, Entry};
use serde::{Deserialize, Serialize};
use url::Url;

pub use elsewhere::Elsewhere;
pub use error::{SettingsError, SettingsFault};
pub use in_force::SettingsInForce;
pub use path_pattern::PathPattern;

use crate::fetch::Source;
use crate::media_type::MediaType;

/// Where the settings lie in a tree.
pub const SETTINGS_PATH: &str = "odi-catalog.toml";
/// The largest file that is read.
pub const SETTINGS_BYTES_MAX: u64 = 64 << 10;
/// The most index names of either kind.
pub const INDEX_NAMES_MAX: usize = 4;
/// The most `[[media]]` and the most `[[pull]]` rules.
pub const RULES_MAX: usize = 64;
/// The most URLs of one `[[pull]]` rule.
pub const PULL_URLS_MAX: usize = 4;
/// The most `[[elsewhere]]` rules.
pub const ELSEWHERE_MAX: usize = 1024;
/// The longest URL of either.
pub const PULL_URL_BYTES_MAX: usize = 512;
/// The longest wish for replaced states; daemons grant less.
pub const KEEP_HOURS_MAX: u64 = 10_000;
/// The most `[[client]]` instructions.
pub const CLIENTS_MAX: usize = 16;
/// The longest name of a client.
pub const CLIENT_NAME_BYTES_MAX: usize = 64;
/// The longest instruction.
pub const CLIENT_TEXT_BYTES_MAX: usize = 2048;

/// What a catalog wants of whoever serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSettings {
    index: Vec<String>,
    index_without_slash: Vec<String>,
    media: Vec<MediaRule>,
    pull: Vec<PullRule>,
    elsewhere: Elsewhere,
    keep: Option<Duration>,
    clients: Vec<ClientInstructions>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct MediaRule {
    paths: PathPattern,
    media: MediaType,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PullRule {
    paths: PathPattern,
    from: Vec<Url>,
}

/// How people point a client at the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInstructions {
    /// Which client, such as `apt`.
    pub name: String,
    /// What to do, as plain text. `{url}` stands for the catalog's URL, with its trailing slash.
    pub text: String,
}

impl Default for CatalogSettings {
    /// What holds where a catalog says nothing.
    fn default() -> Self {
        Self {
            index: vec!["index.html".to_owned()],
            index_without_slash: Vec::new(),
            media: Vec::new(),
            pull: Vec::new(),
            elsewhere: Elsewhere::default(),
            keep: None,
            clients: Vec::new(),
        }
    }
}

impl CatalogSettings {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SettingsError`] names the line, the key, and what is wrong there.
    pub fn read(bytes: &[u8]) -> Result<Self, SettingsError> {
        reader::read(bytes)
    }

    /// Names under which the page of `/folder/` may lie in that folder, best first.
    #[must_use]
    pub fn index(&self) -> &[String] {
        &self.index
    }

    /// Names under which what answers `/folder` may lie in that folder, best first. If there is none, `/folder` leads to
    /// `/folder/`.
    #[must_use]
    pub fn index_without_slash(&self) -> &[String] {
        &self.index_without_slash
    }

    /// The type of the artifact at a path: by the first rule that speaks of it, else by its extension.
    #[must_use]
    pub fn media_type(&self, path: &str) -> MediaType {
        let rule = self.media.iter().find(|rule| rule.paths.matches(path));
        rule.map_or_else(|| MediaType::of_path(path), |rule| rule.media)
    }

    /// Where the artifact at a path may be had besides the origin: by the first rule that speaks of it, and before that, if its
    /// entry says that it lies elsewhere, by what says where.
    pub fn pull_sources(&self, path: &ArtifactPath, entry: &Entry) -> impl Iterator<Item = Source> {
        let elsewhere = entry.is_elsewhere().then(|| self.elsewhere.url(path)).flatten();
        let rule = self.pull.iter().find(|rule| rule.paths.matches(path.as_str()));
        let bases = rule.map(|rule| rule.from.as_slice()).unwrap_or_default();
        let pulled = bases.iter().map(move |base| Source::artifact(base, path));
        elsewhere.map(Source::origin).into_iter().chain(pulled)
    }

    /// Where artifacts lie that are not in the maintainers' tree.
    #[must_use]
    pub const fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// For how long replaced states should stay servable.
    #[must_use]
    pub const fn keep(&self) -> Option<Duration> {
        self.keep
    }

    /// How people point their clients here, in the catalog's order.
    #[must_use]
    pub fn clients(&self) -> &[ClientInstructions] {
        &self.clients
    }
}

impl ClientInstructions {
    /// The same for a catalog that lies at this URL.
    #[must_use]
    pub fn at(&self, catalog: &str) -> Self {
        Self { name: self.name.clone(), text: self.text.replace("{url}", catalog) }
    }
}
