//! The second stage: every value of the raw form in its judged one, or a fault.

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::config::{Judge, MonthlyTransfer, PrivateAddresses, Rate, RawTls, Size};
use odi_wire::message::{CatalogPattern, TAG_BYTES_MAX};
use toml::Spanned;

use super::raw::{RawConfig, RawDirectory};
use super::{Config, DirectoryConfig};
use crate::wanted::Wanted;

/// The smallest disk that can hold a catalog's tree, the records and one blob in flight.
const DISK_MIN: Size = Size(64 << 20);

pub(super) fn config(judge: &mut Judge<'_>, raw: RawConfig) -> Option<Config> {
    RawTls::judge(judge, raw.tls.as_ref());
    let listen = raw.listen.iter().filter_map(|text| judge.parsed(text)).collect();
    let proxies = raw.proxies.iter().filter_map(|text| judge.parsed(text)).collect();
    let public_urls = raw.public_urls.iter().filter_map(|text| judge.public_url(text)).collect();
    judge.at_least_one("listen", raw.listen.len());
    judge.at_least_one("public_urls", raw.public_urls.len());
    judge.at_least_one("[[directory]]", raw.directory.len());
    let disk = judge.amount(&raw.disk, Size::parse);
    if disk.is_some_and(|disk| disk < DISK_MIN) {
        judge.fault(&raw.disk, format!("disk: {DISK_MIN} is the least that can hold a catalog"));
    }
    let bandwidth = raw.bandwidth.as_ref().and_then(|text| judge.amount(text, Rate::parse));
    let transfer = raw.transfer.as_ref().and_then(|text| judge.amount(text, MonthlyTransfer::parse));
    let directories = raw.directory.iter().filter_map(|raw| directory(judge, raw)).collect();
    judge.distinct(raw.directory.iter().map(|directory| &directory.url));
    Some(Config {
        data_dir: raw.data_dir,
        listen,
        proxies,
        public_urls,
        disk: disk?,
        bandwidth,
        transfer,
        directories,
        private_addresses: judge.private_addresses(),
    })
}

fn directory(judge: &mut Judge<'_>, raw: &RawDirectory) -> Option<DirectoryConfig> {
    let url = judge.public_url(&raw.url);
    let key = raw.key.as_ref().map(|key| judge.parsed::<PublicKey>(key));
    let names = raw
        .catalogs
        .iter()
        .filter_map(|text| judge.judged(text, CatalogPattern::parse(text.get_ref())))
        .collect();
    let wanted = Wanted { names, tags: tags(judge, &raw.tags) };
    let ids = raw
        .ids
        .iter()
        .filter_map(|(name, id)| Some((name.clone(), judge.parsed::<CatalogId>(id)?)))
        .collect();
    if url.as_ref().is_some_and(|url| !url.is_https())
        && judge.private_addresses() == PrivateAddresses::Refused
    {
        judge.fault(&raw.url, "url: a directory is reached over https, because its shared key travels there");
    }
    Some(DirectoryConfig { url: url?, key: key.map_or(Some(None), |key| key.map(Some))?, wanted, ids })
}

fn tags(judge: &mut Judge<'_>, texts: &[Spanned<String>]) -> Vec<String> {
    for text in texts.iter().filter(|text| text.get_ref().len() > TAG_BYTES_MAX) {
        judge.fault(text, format!("a tag has at most {TAG_BYTES_MAX} bytes"));
    }
    texts.iter().map(|text| text.get_ref().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Fault};
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
