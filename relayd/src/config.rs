//! The relay's configuration: ten lines that a volunteer writes, every other setting with a default.
//!
//! Two stages, as [`odi_wire::config`] has them: [`raw`] is the file's shape, [`Config`] the judged form that the rest of
//! the daemon takes, and it can only come from [`Config::parse`].

mod judge;
mod raw;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use odi_manifest::{CatalogId, PublicKey};
use odi_wire::config;
use odi_wire::message::{PublicUrl, RelayPlace};

pub use odi_wire::config::{ConfigError, Fault, MonthlyTransfer, PrivateAddresses, Rate, Size, TlsConfig};

use crate::schedule::Schedule;
use crate::wanted::Wanted;
use odi_wire::denylist::Denylist;

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the identity, the trust records and the store live; made if absent.
    pub data_dir: PathBuf,
    /// The addresses of the public listener: with TLS if `tls` is there.
    pub listen: Vec<SocketAddr>,
    /// Further ones without TLS, for clients that have none, and for `http-01`.
    pub listen_plain: Vec<SocketAddr>,
    /// Where the listener's certificate comes from; `None` is plain HTTP, behind a proxy that ends TLS.
    pub tls: Option<TlsConfig>,
    /// Files of certificate roots that outbound https believes beside the system's. Only in a laboratory.
    pub extra_roots: Vec<PathBuf>,
    /// The address of the admin listener (metrics, health), if there is one.
    pub admin: Option<SocketAddr>,
    /// Networks of reverse proxies whose word about callers counts. None by default.
    pub proxies: Vec<IpNet>,
    /// Where clients reach this relay: scheme and authority, no path. At least one.
    pub public_urls: Vec<PublicUrl>,
    /// Where it stands and whom it is there for, as far as the operator says.
    pub place: Option<RelayPlace>,
    /// The most that the store may take on disk.
    pub disk: Size,
    /// The most memory that verified chunks may take which are asked for again and again.
    pub ram_cache: Size,
    /// What may change while the relay runs.
    pub terms: Terms,
    /// The file of what is never served.
    pub denylist: Option<PathBuf>,
    /// The directories to register with; the first live one is the assigner.
    pub directories: Vec<DirectoryConfig>,
    /// Whether loopback and private addresses may be contacted: a laboratory, never the open network.
    pub private_addresses: PrivateAddresses,
}

/// What the operator may change while the relay runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The most that may be sent per second, by time of the week.
    pub schedule: Schedule,
    /// The most that may be sent per month; `None` is unmetered.
    pub transfer: Option<MonthlyTransfer>,
    /// Whether directories may have it look at other relays, as an ordinary client of theirs.
    pub vantage: bool,
    /// Whether it joins the directories too that its own work together with.
    pub federation: bool,
    /// What is never served.
    pub denied: Arc<Denylist>,
}

/// One `[[directory]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Scheme and authority of the directory.
    pub url: PublicUrl,
    /// Its key, where the operator pins it; otherwise it is fixed at first sight.
    pub key: Option<PublicKey>,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Ids that the operator pins for names; other names are fixed at first sight.
    pub ids: BTreeMap<String, CatalogId>,
}

impl Config {
    /// Reads and judges a configuration file.
    ///
    /// # Errors
    /// It cannot be read, or something in it cannot be run.
    pub fn load(path: &Path, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        let mut config = Self::parse(&config::read(path)?, private_addresses)?;
        if let Some(file) = &config.denylist {
            // A relative one lies beside the configuration, as a directory's does: a reload may run in another folder.
            let file = path.with_file_name(file);
            config.terms.denied = Arc::new(Denylist::load(&file).map_err(ConfigError::Faulty)?);
        }
        Ok(config)
    }

    /// The keys whose values differ and cannot change while the relay runs.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("data_dir", self.data_dir != other.data_dir),
            ("listen", self.listen != other.listen),
            ("listen_plain", self.listen_plain != other.listen_plain),
            ("extra_roots", self.extra_roots != other.extra_roots),
            ("admin", self.admin != other.admin),
            ("proxies", self.proxies != other.proxies),
            ("public_urls", self.public_urls != other.public_urls),
            ("[place]", self.place != other.place),
            ("disk", self.disk != other.disk),
            ("ram_cache", self.ram_cache != other.ram_cache),
            ("[tls]", self.tls != other.tls),
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
