//! The relay's configuration: ten lines that a volunteer writes, every other setting with a default.
//!
//! Two stages. [`raw`] is the file's shape, where an unknown key is an error that names the key and the line;
//! [`Config`] is the judged form that the rest of the daemon takes, and it can only come from [`Config::parse`]. All
//! faults of a file are reported together, each with its line.

mod quantity;
mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::{CatalogPattern, PublicUrl, TAG_BYTES_MAX};
use toml::Spanned;
use url::Host;

pub use quantity::{MonthlyTransfer, QuantityError, Rate, Size};

use crate::wanted::Wanted;
use raw::{RawConfig, RawDirectory, RawTls};

/// The smallest disk that can hold a catalog's tree, the records and one blob in flight.
const DISK_MIN: Size = Size(64 << 20);
/// A configuration longer than this was not written by a person.
const FILE_BYTES_MAX: usize = 1 << 20;

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the identity, the trust records and the store live; made if absent.
    pub data_dir: PathBuf,
    /// The addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// Networks of reverse proxies whose word about callers counts. None by default.
    pub proxies: Vec<IpNet>,
    /// Where clients reach this relay: scheme and authority, no path. At least one.
    pub public_urls: Vec<PublicUrl>,
    /// The most that the store may take on disk.
    pub disk: Size,
    /// The most that may be sent per second; `None` is the line's own limit.
    pub bandwidth: Option<Rate>,
    /// The most that may be sent per month; `None` is unmetered.
    pub transfer: Option<MonthlyTransfer>,
    /// The directories to register with; the first live one is the assigner.
    pub directories: Vec<DirectoryConfig>,
    /// Whether loopback and private addresses may be contacted: a laboratory, never the open network.
    pub private_addresses: PrivateAddresses,
}

/// One `[[directory]]`.
#[derive(Clone, Debug)]
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

/// Whether outbound requests may go to loopback and private networks (`--allow-private-addresses`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// The rule on the open network.
    Refused,
    /// For tests and demonstrations; also permits plain HTTP to directories.
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
    pub fn load(path: &Path, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, private_addresses)
    }

    /// Judges a configuration text.
    pub fn parse(text: &str, private_addresses: PrivateAddresses) -> Result<Self, ConfigError> {
        if text.len() > FILE_BYTES_MAX {
            let what = format!("longer than {FILE_BYTES_MAX} bytes");
            return Err(ConfigError::Faulty(vec![Fault { line: None, what }]));
        }
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, &span));
            ConfigError::Faulty(vec![Fault { line, what: error.message().replace('\n', ", ") }])
        })?;
        let mut judge = Judge { text, private_addresses, faults: Vec::new() };
        let config = judge.config(raw);
        match config {
            Some(config) if judge.faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Faulty(judge.faults)),
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}

/// The second stage: judges every value and keeps going, so that one run of `check` shows all faults.
struct Judge<'t> {
    text: &'t str,
    private_addresses: PrivateAddresses,
    faults: Vec<Fault>,
}

impl Judge<'_> {
    fn config(&mut self, raw: RawConfig) -> Option<Config> {
        if let Some(tls) = &raw.tls {
            self.tls(tls);
        }
        let listen: Vec<SocketAddr> = raw.listen.iter().filter_map(|text| self.parsed(text)).collect();
        let proxies = raw.proxies.iter().filter_map(|text| self.parsed(text)).collect();
        let public_urls: Vec<PublicUrl> =
            raw.public_urls.iter().filter_map(|text| self.public_url(text)).collect();
        self.at_least_one("listen", raw.listen.len());
        self.at_least_one("public_urls", raw.public_urls.len());
        self.at_least_one("[[directory]]", raw.directory.len());
        let disk = self.quantity(&raw.disk, Size::parse);
        if disk.is_some_and(|disk| disk < DISK_MIN) {
            self.fault(&raw.disk, format!("disk: {DISK_MIN} is the least that can hold a catalog"));
        }
        let bandwidth = raw.bandwidth.as_ref().and_then(|text| self.quantity(text, Rate::parse));
        let transfer = raw.transfer.as_ref().and_then(|text| self.quantity(text, MonthlyTransfer::parse));
        let directories: Vec<DirectoryConfig> =
            raw.directory.iter().filter_map(|directory| self.directory(directory.get_ref())).collect();
        self.distinct(&raw.directory);
        Some(Config {
            data_dir: raw.data_dir,
            listen,
            proxies,
            public_urls,
            disk: disk?,
            bandwidth,
            transfer,
            directories,
            private_addresses: self.private_addresses,
        })
    }

    /// An empty `[tls]` is a relay behind a proxy that ends TLS; anything in it cannot be honoured yet, and a relay
    /// that silently served plain HTTP instead would be worse than one that does not start.
    fn tls(&mut self, tls: &Spanned<RawTls>) {
        let RawTls { certificate, key, acme } = tls.get_ref();
        if certificate.is_some() || key.is_some() || acme.is_some() {
            self.fault(
                tls,
                "tls: this version serves plain HTTP only; put a proxy that ends TLS in front, and empty [tls]",
            );
        }
    }

    fn directory(&mut self, raw: &RawDirectory) -> Option<DirectoryConfig> {
        let url = self.public_url(&raw.url);
        let key = raw.key.as_ref().map(|key| self.parsed::<PublicKey>(key));
        let wanted = Wanted { names: self.patterns(&raw.catalogs), tags: self.tags(&raw.tags) };
        let ids = raw
            .ids
            .iter()
            .filter_map(|(name, id)| Some((name.clone(), self.parsed::<CatalogId>(id)?)))
            .collect();
        if url.as_ref().is_some_and(|url| !url.is_https())
            && self.private_addresses == PrivateAddresses::Refused
        {
            self.fault(
                &raw.url,
                "url: a directory is reached over https, because its shared key travels there",
            );
        }
        Some(DirectoryConfig { url: url?, key: key.map_or(Some(None), |key| key.map(Some))?, wanted, ids })
    }

    fn patterns(&mut self, texts: &[Spanned<String>]) -> Vec<CatalogPattern> {
        let mut patterns = Vec::new();
        for text in texts {
            match CatalogPattern::parse(text.get_ref()) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.fault(text, error),
            }
        }
        patterns
    }

    fn tags(&mut self, texts: &[Spanned<String>]) -> Vec<String> {
        for text in texts.iter().filter(|text| text.get_ref().len() > TAG_BYTES_MAX) {
            self.fault(text, format!("a tag has at most {TAG_BYTES_MAX} bytes"));
        }
        texts.iter().map(|text| text.get_ref().clone()).collect()
    }

    /// A URL that names a server and nothing on it. Of its host only what is certainly wrong is judged; the full vetting
    /// of addresses is the client's, at connection time.
    fn public_url(&mut self, text: &Spanned<String>) -> Option<PublicUrl> {
        let url = PublicUrl::parse(text.get_ref()).map_err(|error| self.fault(text, error)).ok()?;
        let local = match url.to_url().host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => {
                address.is_loopback() || address.is_private() || address.is_unspecified()
            }
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => true,
        };
        if local && self.private_addresses == PrivateAddresses::Refused {
            self.fault(text, format!("`{url}` cannot be reached from the open network"));
            return None;
        }
        Some(url)
    }

    fn distinct(&mut self, directories: &[Spanned<RawDirectory>]) {
        let mut seen = std::collections::BTreeSet::new();
        for directory in directories {
            let url = &directory.get_ref().url;
            if !seen.insert(url.get_ref().trim_end_matches('/')) {
                self.fault(url, format!("`{}` is listed twice", url.get_ref()));
            }
        }
    }

    fn at_least_one(&mut self, key: &str, count: usize) {
        if count == 0 {
            self.faults.push(Fault { line: None, what: format!("{key}: at least one is needed") });
        }
    }

    fn quantity<T>(
        &mut self,
        text: &Spanned<String>,
        parse: fn(&str) -> Result<T, QuantityError>,
    ) -> Option<T> {
        parse(text.get_ref()).map_err(|error| self.fault(text, error)).ok()
    }

    fn parsed<T: std::str::FromStr<Err: fmt::Display>>(&mut self, text: &Spanned<String>) -> Option<T> {
        let parsed = text.get_ref().parse();
        parsed.map_err(|error| self.fault(text, format!("`{}`: {error}", text.get_ref()))).ok()
    }

    fn fault<T>(&mut self, at: &Spanned<T>, what: impl fmt::Display) {
        let line = Some(line_of(self.text, &at.span()));
        self.faults.push(Fault { line, what: what.to_string() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"data_dir = "/var/lib/odi-relayd"
listen = ["0.0.0.0:443", "[::]:443"]
public_urls = ["https://odi-r1.example.net"]
disk = "2 TB"
bandwidth = "400 Mbit/s"
transfer = "20 TB/month"
[tls]
[[directory]]
url = "https://everest.example.org"
catalogs = ["debian", "jenkins-*"]
tags = ["ecosystem:python"]
"#;

    fn faults(text: &str) -> Vec<String> {
        match Config::parse(text, PrivateAddresses::Refused) {
            Err(ConfigError::Faulty(faults)) => faults.iter().map(Fault::to_string).collect(),
            other => panic!("accepted: {other:?}"),
        }
    }

    #[test]
    fn the_ten_lines_of_the_guide_are_enough() {
        let config = Config::parse(GOOD, PrivateAddresses::Refused).unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.disk, Size(2_000_000_000_000));
        assert_eq!(config.bandwidth, Some(Rate(50_000_000)));
        assert!(config.directories[0].wanted.wants("jenkins-war", &[]));
        assert!(!config.directories[0].wanted.wants("fedora", &[]));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = GOOD.replace("transfer", "trnasfer");
        let faults = faults(&text);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("line 6: "), "{faults:?}");
        assert!(faults[0].contains("trnasfer"), "{faults:?}");
        let nested = GOOD.replace("catalogs =", "catalog =");
        assert!(self::faults(&nested)[0].starts_with("line 10: "));
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let text = GOOD
            .replace("2 TB\"", "2 terabytes\"")
            .replace("0.0.0.0:443", "0.0.0.0")
            .replace("https://everest.example.org", "http://everest.example.org");
        let faults = faults(&text);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for line in ["line 2: ", "line 4: ", "line 9: "] {
            assert!(faults.iter().any(|fault| fault.starts_with(line)), "{line} in {faults:?}");
        }
    }

    #[test]
    fn refusals_say_what_to_write_instead() {
        for (from, to, said) in [
            ("https://odi-r1.example.net", "https://odi-r1.example.net/mirror", "has a path"),
            ("https://odi-r1.example.net", "ftp://odi-r1.example.net", "neither http nor https"),
            ("https://odi-r1.example.net", "https://192.168.1.5", "cannot be reached"),
            ("\"2 TB\"", "\"1 MB\"", "is the least"),
            ("[tls]", "[tls]\ncertificate = \"/etc/ssl/relay.pem\"", "plain HTTP only"),
            ("jenkins-*", "Jenkins", "no catalog pattern"),
            ("[\"https://odi-r1.example.net\"]", "[]", "public_urls: at least one"),
        ] {
            let faults = faults(&GOOD.replace(from, to));
            assert!(faults.iter().any(|fault| fault.contains(said)), "{said} in {faults:?}");
        }
    }

    #[test]
    fn a_laboratory_may_use_loopback() {
        let text = GOOD
            .replace("https://odi-r1.example.net", "http://127.0.0.1:8501")
            .replace("https://everest.example.org", "http://127.0.0.1:8400");
        assert!(Config::parse(&text, PrivateAddresses::Allowed).is_ok());
        assert_eq!(faults(&text).len(), 2);
    }
}
