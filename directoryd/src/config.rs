//! The directory's configuration: what an operator writes, every further setting with a default.
//!
//! Two stages. [`raw`] is the file's shape, where an unknown key is an error that names the key and the line;
//! [`Config`] is the judged form that the rest of the daemon takes. All faults of a file are reported together, each
//! with its line.

mod judge;
mod quantity;
mod raw;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use odi_manifest::{CatalogId, PublicKey};
use odi_wire::route::CatalogName;
use url::Url;

pub use quantity::{QuantityError, Size, parse_duration};

/// A configuration longer than this was not written by a person.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How often an origin is asked for its head unless the operator says otherwise.
const POLL: Duration = Duration::from_secs(300);
/// How much of the small artifacts a directory keeps unless the operator says otherwise.
const CARRY: Size = Size(10_000_000_000);

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the identity, the trust records, the store and the roster live; made if absent.
    pub data_dir: PathBuf,
    /// The addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// The address of the listener for health checks, if there is to be one. Not for the open network.
    pub admin: Option<SocketAddr>,
    /// Where clients reach this directory: scheme and authority, no path. At least one.
    pub public_urls: Vec<Url>,
    /// Networks of reverse proxies whose word about callers counts. None by default.
    pub proxies: Vec<IpNet>,
    /// The most bytes of small artifacts that it keeps itself.
    pub carry: Size,
    /// The catalogs that it follows.
    pub catalogs: Vec<CatalogConfig>,
    /// Other directories.
    pub peers: Vec<PeerConfig>,
    /// Whether loopback and private addresses may be contacted: a laboratory, never the open network.
    pub private_addresses: PrivateAddresses,
}

/// One `[[catalog]]`.
#[derive(Clone, Debug)]
pub struct CatalogConfig {
    /// This directory's name for it.
    pub name: CatalogName,
    /// Its self-certifying name, which pins the trust root.
    pub id: CatalogId,
    /// The maintainers' web server, with a trailing slash. Without one, heads only arrive by push.
    pub origin: Option<Url>,
    /// How often the origin is asked.
    pub poll: Duration,
}

/// One `[[peer]]`.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Scheme and authority of the other directory.
    pub url: Url,
    /// Its key, where the operator pins it.
    pub key: Option<PublicKey>,
}

/// Whether outbound requests may go to loopback and private networks (`--allow-private-addresses`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// The rule on the open network.
    Refused,
    /// For tests and demonstrations.
    Allowed,
}

/// One thing wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from 1; `None` if it is about no single line.
    pub line: Option<usize>,
    /// What, in words for the operator.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A configuration that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text was read and refused; every fault that was found.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Faulty(Vec<Fault>),
}

impl Config {
    /// Reads and judges a configuration file.
    ///
    /// # Errors
    /// It cannot be read, or something in it cannot be run.
    pub fn load(path: &Path, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, private_addresses)
    }

    /// Judges a configuration text.
    ///
    /// # Errors
    /// Something in it cannot be run; all faults are named.
    pub fn parse(text: &str, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        if text.len() > FILE_BYTES_MAX {
            let what = format!("longer than {FILE_BYTES_MAX} bytes");
            return Err(ConfigError::Faulty(vec![Fault { line: None, what }]));
        }
        let raw = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, &span));
            ConfigError::Faulty(vec![Fault { line, what: error.message().replace('\n', ", ") }])
        })?;
        judge::judge(text, raw, private_addresses).map_err(ConfigError::Faulty)
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}
