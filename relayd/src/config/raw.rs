//! The configuration file as text: every key it may hold, with the place where each value stands.
//!
//! Nothing is judged here beyond TOML itself and the set of known keys; [`super::Config`] is the judged form.

use std::collections::BTreeMap;
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
    pub(super) disk: Spanned<String>,
    pub(super) ram_cache: Option<Spanned<String>>,
    pub(super) bandwidth: Option<Spanned<String>>,
    pub(super) transfer: Option<Spanned<String>>,
    pub(super) time_zone: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) window: Vec<Spanned<RawWindow>>,
    pub(super) denylist: Option<PathBuf>,
    #[serde(default)]
    pub(super) vantage: bool,
    #[serde(default = "yes")]
    pub(super) federation: bool,
    pub(super) admin: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) proxies: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) extra_roots: Vec<Spanned<PathBuf>>,
    pub(super) tls: Option<Spanned<RawTls>>,
    pub(super) place: Option<Spanned<RawPlace>>,
    #[serde(default)]
    pub(super) directory: Vec<RawDirectory>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    #[serde(default)]
    pub(super) days: Vec<Spanned<String>>,
    pub(super) from: Option<Spanned<String>>,
    pub(super) to: Option<Spanned<String>>,
    pub(super) bandwidth: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlace {
    pub(super) country: Option<Spanned<String>>,
    pub(super) coordinates: Option<Spanned<(f64, f64)>>,
    #[serde(rename = "as")]
    pub(super) asn: Option<u32>,
    #[serde(default)]
    pub(super) prefixes: Vec<Spanned<String>>,
    pub(super) operator: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDirectory {
    pub(super) url: Spanned<String>,
    pub(super) key: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) catalogs: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) tags: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) ids: BTreeMap<String, Spanned<String>>,
}

const fn yes() -> bool {
    true
}
