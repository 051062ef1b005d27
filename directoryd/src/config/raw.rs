//! The configuration file as text: every key it may hold, with the place where each value stands.
//!
//! Nothing is judged here beyond TOML itself and the set of known keys; [`super::Config`] is the judged form.

use std::path::PathBuf;

use odi_wire::config::RawTls;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) data_dir: PathBuf,
    pub(super) listen: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) listen_plain: Vec<Spanned<String>>,
    pub(super) public_urls: Vec<Spanned<String>>,
    pub(super) admin: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) proxies: Vec<Spanned<String>>,
    pub(super) carry: Option<Spanned<String>>,
    pub(super) ram_cache: Option<Spanned<String>>,
    pub(super) copies: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) geography: Vec<PathBuf>,
    pub(super) statistics_days: Option<Spanned<u32>>,
    pub(super) denylist: Option<PathBuf>,
    #[serde(default)]
    pub(super) extra_roots: Vec<Spanned<PathBuf>>,
    pub(super) tls: Option<Spanned<RawTls>>,
    pub(super) hook: Option<Spanned<RawHook>>,
    #[serde(default)]
    pub(super) catalog: Vec<RawCatalog>,
    #[serde(default)]
    pub(super) peer: Vec<RawPeer>,
    #[serde(default)]
    pub(super) mirror: Vec<RawMirror>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCatalog {
    pub(super) name: Spanned<String>,
    pub(super) id: Spanned<String>,
    pub(super) origin: Option<Spanned<String>>,
    pub(super) poll: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    pub(super) url: Spanned<String>,
    pub(super) key: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    pub(super) catalog: Spanned<String>,
    pub(super) url: Spanned<String>,
    #[serde(default)]
    pub(super) redirect: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHook {
    pub(super) url: Option<Spanned<String>>,
    pub(super) command: Option<Spanned<Vec<String>>>,
}
