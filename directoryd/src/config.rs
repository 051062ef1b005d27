//! The directory's configuration: what an operator writes, every further setting with a default.
//!
//! Two stages, as [`odi_wire::config`] has them: [`raw`] is the file's shape, [`Config`] the judged form that the rest of
//! the daemon takes.

mod folder;
mod judge;
mod raw;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use odi_manifest::{CatalogId, PublicKey};
use odi_wire::config;
use odi_wire::denylist::Denylist;
use odi_wire::route::CatalogName;
use url::Url;

pub use folder::FaultyFile;
pub(crate) use folder::judged as judge_file;
pub use odi_wire::config::{ConfigError, Fault, PrivateAddresses, Size, TlsConfig};

/// How often an origin is asked for its head unless the operator says otherwise.
const POLL: Duration = Duration::from_secs(300);
/// How much of the small artifacts a directory keeps unless the operator says otherwise.
const CARRY: Size = Size(10_000_000_000);

/// Memory for what is carried, unless the operator says otherwise.
const RAM_CACHE: Size = Size(64 << 20);
/// How many copies of everything there are to be unless the operator says otherwise.
const COPIES: usize = 3;

/// For how many days statistics are kept unless the operator says otherwise: a year can be compared with the one before its end.
const STATISTICS_DAYS: u32 = 400;

/// The folder beside the configuration file that has further catalogs.
pub(crate) const CATALOGS_FOLDER: &str = "catalogs.d";

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the identity, the trust records, the store and the roster live; made if absent.
    pub data_dir: PathBuf,
    /// The addresses of the public listener: with TLS if `tls` is there.
    pub listen: Vec<SocketAddr>,
    /// Further ones without TLS, for clients that have none, and for `http-01`.
    pub listen_plain: Vec<SocketAddr>,
    /// Where the listener's certificate comes from; `None` is plain HTTP, behind a proxy that ends TLS.
    pub tls: Option<TlsConfig>,
    /// Files of certificate roots that outbound https believes beside the system's. Only in a laboratory.
    pub extra_roots: Vec<PathBuf>,
    /// The address of the listener for health checks, if there is to be one. Not for the open network.
    pub admin: Option<SocketAddr>,
    /// Where clients reach this directory: scheme and authority, no path. At least one.
    pub public_urls: Vec<Url>,
    /// Networks of reverse proxies whose word about callers counts. None by default.
    pub proxies: Vec<IpNet>,
    /// The most bytes of small artifacts that it keeps itself.
    pub carry: Size,
    /// The most memory for what is carried and asked for again; rows take as much again, between 8 and 64 MiB, tree nodes four times as
    /// much, up to 256 MiB.
    pub ram_cache: Size,
    /// Databases of where networks are, the best first; none is needed.
    pub geography: Vec<PathBuf>,
    /// How many copies of everything its relays are to have, in different networks, where their disks suffice.
    pub copies: usize,
    /// For how many days statistics are kept.
    pub statistics_days: u32,
    /// The file of what is not given here, as the configuration has it.
    pub denylist: Option<PathBuf>,
    /// What it says.
    pub denied: Arc<Denylist>,
    /// The catalogs that it follows.
    pub catalogs: Vec<CatalogConfig>,
    /// Files of `catalogs.d/` that are not taken.
    pub faulty_files: Vec<FaultyFile>,
    /// Other directories.
    pub peers: Vec<PeerConfig>,
    /// Whom to tell of what has changed.
    pub hook: Option<HookConfig>,
    /// Whether loopback and private addresses may be contacted: a laboratory, never the open network.
    pub private_addresses: PrivateAddresses,
}

/// One `[[catalog]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogConfig {
    /// This directory's name for it.
    pub name: CatalogName,
    /// Its self-certifying name, which pins the trust root.
    pub id: CatalogId,
    /// The maintainers' web server, with a trailing slash. Without one, heads only arrive by push.
    pub origin: Option<Url>,
    /// How often the origin is asked.
    pub poll: Duration,
    /// Plain HTTP mirrors of it.
    pub mirrors: Vec<MirrorConfig>,
    /// The file of `catalogs.d/` that it is from, if it is.
    pub file: Option<PathBuf>,
}

/// `[hook]`: whom to tell of what has changed. At least one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// Where to post it.
    pub url: Option<Url>,
    /// What to run with it, and its arguments.
    pub command: Vec<String>,
}

/// One `[[mirror]]`: a web server of somebody's that follows the same tree, and knows nothing of ODI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Where the tree begins, with a trailing slash.
    pub url: Url,
    /// Whether clients may be sent there for what no relay holds. Otherwise only this directory takes small files from it.
    pub redirect: bool,
}

/// One `[[peer]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Scheme and authority of the other directory.
    pub url: Url,
    /// Its key, where the operator pins it.
    pub key: Option<PublicKey>,
}

impl Config {
    /// Reads and judges a configuration file, its denylist, and the files of `catalogs.d/` beside it; of those, faulty ones are left out and named.
    ///
    /// # Errors
    /// It cannot be read, or something in it cannot be run.
    pub fn load(path: &Path, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        let mut config = Self::parse(&config::read(path)?, private_addresses)?;
        if let Some(file) = &config.denylist {
            // A relative one lies beside the configuration, as `catalogs.d/` does.
            let file = path.with_file_name(file);
            config.denied = Arc::new(Denylist::load(&file).map_err(ConfigError::Faulty)?);
        }
        let folder = path.with_file_name(CATALOGS_FOLDER);
        config.faulty_files = folder::read(&folder, &mut config.catalogs, private_addresses);
        Ok(config)
    }

    /// The keys whose values differ and cannot change while the directory runs.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("data_dir", self.data_dir != other.data_dir),
            ("listen", self.listen != other.listen),
            ("listen_plain", self.listen_plain != other.listen_plain),
            ("extra_roots", self.extra_roots != other.extra_roots),
            ("admin", self.admin != other.admin),
            ("public_urls", self.public_urls != other.public_urls),
            ("proxies", self.proxies != other.proxies),
            ("carry", self.carry != other.carry),
            ("ram_cache", self.ram_cache != other.ram_cache),
            ("copies", self.copies != other.copies),
            ("statistics_days", self.statistics_days != other.statistics_days),
            ("[tls]", self.tls != other.tls),
            ("[[peer]]", self.peers != other.peers),
            ("[hook]", self.hook != other.hook),
        ];
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// Judges a configuration text. What is in other files, a denylist, is not read.
    ///
    /// # Errors
    /// Something in it cannot be run; all faults are named.
    pub fn parse(text: &str, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        config::judge(text, private_addresses, judge::config)
    }
}
