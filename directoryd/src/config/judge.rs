//! The second stage: judges every value and keeps going, so that one run of `check` shows all faults.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use url::{Host, Url};

use super::raw::{RawCatalog, RawConfig, RawPeer, RawTls};
use super::{
    CARRY, CatalogConfig, Config, Fault, POLL, PeerConfig, PrivateAddresses, Size, line_of, parse_duration,
};

/// Nobody's origin wants to be asked more often than this.
const POLL_MIN: Duration = Duration::from_secs(1);
/// Past a day, a poll would no longer carry a revocation to anybody in time.
const POLL_MAX: Duration = Duration::from_secs(86_400);

pub(super) fn judge(
    text: &str,
    raw: RawConfig,
    private_addresses: PrivateAddresses,
) -> Result<Config, Vec<Fault>> {
    let mut judge = Judge { text, private_addresses, faults: Vec::new() };
    let config = judge.config(raw);
    if judge.faults.is_empty() { Ok(config) } else { Err(judge.faults) }
}

struct Judge<'t> {
    text: &'t str,
    private_addresses: PrivateAddresses,
    faults: Vec<Fault>,
}

impl Judge<'_> {
    /// What could be judged; worth something only if no fault was noted.
    fn config(&mut self, raw: RawConfig) -> Config {
        if let Some(tls) = &raw.tls {
            self.tls(tls);
        }
        let listen: Vec<SocketAddr> = raw.listen.iter().filter_map(|text| self.parsed(text)).collect();
        let public_urls: Vec<Url> =
            raw.public_urls.iter().filter_map(|text| self.server_url("a public URL", text)).collect();
        self.at_least_one("listen", raw.listen.len());
        self.at_least_one("public_urls", raw.public_urls.len());
        let admin = raw.admin.as_ref().and_then(|text| self.parsed(text));
        let proxies = raw.proxies.iter().filter_map(|text| self.parsed(text)).collect();
        let carry = raw.carry.as_ref().and_then(|text| match Size::parse(text.get_ref()) {
            Ok(size) => Some(size),
            Err(error) => self.fault(text, error),
        });
        let catalogs = raw.catalog.iter().filter_map(|catalog| self.catalog(catalog)).collect();
        self.distinct(&raw.catalog);
        let peers = raw.peer.iter().filter_map(|peer| self.peer(peer)).collect();
        Config {
            data_dir: raw.data_dir,
            listen,
            admin,
            public_urls,
            proxies,
            carry: carry.unwrap_or(CARRY),
            catalogs,
            peers,
            private_addresses: self.private_addresses,
        }
    }

    fn tls(&mut self, tls: &Spanned<RawTls>) {
        let RawTls { certificate, key, acme } = tls.get_ref();
        if certificate.is_some() || key.is_some() || acme.is_some() {
            self.fault::<_, ()>(
                tls,
                "tls: this version serves plain HTTP only; put a proxy that ends TLS in front, and empty [tls]",
            );
        }
    }

    fn catalog(&mut self, raw: &RawCatalog) -> Option<CatalogConfig> {
        let name = self.parsed(&raw.name);
        let id = self.parsed(&raw.id);
        let origin = raw.origin.as_ref().and_then(|text| self.origin_url(text));
        let poll = match &raw.poll {
            None => POLL,
            Some(text) => self.poll(text).unwrap_or(POLL),
        };
        Some(CatalogConfig { name: name?, id: id?, origin, poll })
    }

    fn poll(&mut self, text: &Spanned<String>) -> Option<Duration> {
        match parse_duration(text.get_ref()) {
            Ok(poll) if (POLL_MIN..=POLL_MAX).contains(&poll) => Some(poll),
            Ok(_) => self.fault(text, "poll: between 1s and 1d"),
            Err(error) => self.fault(text, error),
        }
    }

    fn peer(&mut self, raw: &RawPeer) -> Option<PeerConfig> {
        let url = self.server_url("a peer's URL", &raw.url);
        let key = raw.key.as_ref().and_then(|key| self.parsed(key));
        Some(PeerConfig { url: url?, key })
    }

    /// A URL that names a server and nothing on it.
    fn server_url(&mut self, what: &str, text: &Spanned<String>) -> Option<Url> {
        let url = self.web_url(text)?;
        if url.path() != "/" {
            return self.fault(text, format!("`{url}`: {what} has no path"));
        }
        Some(url)
    }

    /// A folder of a web server; the slash at its end may be left out.
    fn origin_url(&mut self, text: &Spanned<String>) -> Option<Url> {
        let mut url = self.web_url(text)?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Some(url)
    }

    fn web_url(&mut self, text: &Spanned<String>) -> Option<Url> {
        let fault = match Url::parse(text.get_ref()) {
            Err(error) => error.to_string(),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => "the scheme is http or https".to_owned(),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "there is no query or fragment in this".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "no user name or password belongs here".to_owned()
            }
            Ok(url) if self.is_unusable(&url) => {
                "on the open network this has a name or a public address".to_owned()
            }
            Ok(url) => return Some(url),
        };
        self.fault(text, format!("`{}`: {fault}", text.get_ref()))
    }

    /// Only what is certainly wrong; the full vetting of addresses is the client's, at connection time.
    fn is_unusable(&self, url: &Url) -> bool {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => {
                address.is_loopback() || address.is_private() || address.is_unspecified()
            }
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => true,
        };
        local && self.private_addresses == PrivateAddresses::Refused
    }

    fn distinct(&mut self, catalogs: &[RawCatalog]) {
        let mut seen = BTreeSet::new();
        for text in catalogs.iter().flat_map(|catalog| [&catalog.name, &catalog.id]) {
            if !seen.insert(text.get_ref()) {
                self.fault::<_, ()>(text, format!("`{}` is listed twice", text.get_ref()));
            }
        }
    }

    fn at_least_one(&mut self, key: &str, count: usize) {
        if count == 0 {
            self.faults.push(Fault { line: None, what: format!("{key}: at least one is needed") });
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, text: &Spanned<String>) -> Option<T> {
        match text.get_ref().trim().parse() {
            Ok(value) => Some(value),
            Err(error) => self.fault(text, format!("`{}`: {error}", text.get_ref())),
        }
    }

    /// Notes a fault; `None`, for the caller to return.
    fn fault<T, Judged>(&mut self, at: &Spanned<T>, what: impl fmt::Display) -> Option<Judged> {
        let line = Some(line_of(self.text, &at.span()));
        self.faults.push(Fault { line, what: what.to_string() });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigError;
    use super::*;

    const GOOD: &str = r#"data_dir = "/var/lib/odi-directoryd"
listen = ["0.0.0.0:8400", "[::]:8400"]
public_urls = ["https://everest.example.org"]
carry = "10 GB"
[tls]
[[catalog]]
name = "debian"
id = "odi1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
origin = "https://ftp.example.org/debian"
poll = "5m"
[[peer]]
url = "https://shasta.example.org"
"#;

    fn faults(text: &str) -> Vec<String> {
        match Config::parse(text, PrivateAddresses::Refused) {
            Err(ConfigError::Faulty(faults)) => faults.iter().map(Fault::to_string).collect(),
            other => panic!("accepted: {other:?}"),
        }
    }

    #[test]
    fn the_text_of_the_guide_is_enough() {
        let config = Config::parse(GOOD, PrivateAddresses::Refused).unwrap();
        assert_eq!(config.carry, Size(10_000_000_000));
        assert_eq!(config.catalogs[0].origin.as_ref().unwrap().as_str(), "https://ftp.example.org/debian/");
        assert_eq!(config.catalogs[0].poll, Duration::from_secs(300));
        assert_eq!(config.peers.len(), 1);
        assert_eq!(config.admin, None);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let faults = faults(&GOOD.replace("poll", "pol"));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("line 10: ") && faults[0].contains("`pol`"), "{faults:?}");
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let text = GOOD
            .replace("10 GB", "10 gigabytes")
            .replace("0.0.0.0:8400", "0.0.0.0")
            .replace("\"debian\"", "\"Debian\"")
            .replace("\"5m\"", "\"0s\"");
        let faults = faults(&text);
        assert_eq!(faults.len(), 4, "{faults:?}");
        for line in ["line 2: ", "line 4: ", "line 7: ", "line 10: "] {
            assert!(faults.iter().any(|fault| fault.starts_with(line)), "{line} in {faults:?}");
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (from, to, said) in [
            ("https://everest.example.org", "https://everest.example.org/odi", "no path"),
            ("https://ftp.example.org", "file:///srv", "http or https"),
            ("https://ftp.example.org", "https://user:secret@ftp.example.org", "user name"),
            ("https://shasta.example.org", "http://192.168.1.5", "public address"),
            ("[tls]", "[tls]\ncertificate = \"/etc/ssl/a.pem\"", "plain HTTP only"),
            ("odi1aaaa", "odi2aaaa", "catalog id"),
            ("\"debian\"", "\"blake3\"", "is not a catalog name"),
            ("[\"https://everest.example.org\"]", "[]", "public_urls: at least one"),
        ] {
            let faults = faults(&GOOD.replace(from, to));
            assert!(faults.iter().any(|fault| fault.contains(said)), "{said} in {faults:?}");
        }
    }

    #[test]
    fn a_name_or_id_that_stands_twice_is_refused() {
        let again = GOOD.replace("[[peer]]", "[[catalog]]\nname = \"debian\"\nid = \"odi1\"\n[[peer]]");
        assert!(faults(&again).iter().any(|fault| fault.contains("twice")), "{:?}", faults(&again));
    }
}
