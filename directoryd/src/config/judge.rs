//! The second stage: every value of the raw form in its judged one, or a fault.

use std::sync::Arc;
use std::time::Duration;

use odi_wire::config::{Judge, RawTls, Size, parse_duration};
use odi_wire::selftest::SELFTEST_NAME;
use toml::Spanned;
use url::Url;

use super::raw::{RawCatalog, RawConfig, RawHook, RawMirror, RawPeer};
use super::{
    CARRY, COPIES, CatalogConfig, Config, HookConfig, MirrorConfig, POLL, PeerConfig, RAM_CACHE,
    STATISTICS_DAYS,
};

/// Nobody's origin wants to be asked more often than this.
const POLL_MIN: Duration = Duration::from_secs(1);
/// Past a day, a poll would no longer carry a revocation to anybody in time.
const POLL_MAX: Duration = Duration::from_secs(86_400);
/// More copies of everything than this are no insurance any more.
const COPIES_MAX: usize = 16;
/// Ten years.
const STATISTICS_DAYS_MAX: u32 = 3660;

pub(super) fn config(judge: &mut Judge<'_>, raw: RawConfig) -> Option<Config> {
    let tls = RawTls::judge(judge, raw.tls.as_ref(), raw.listen_plain.len());
    let listen = raw.listen.iter().filter_map(|text| judge.parsed(text)).collect();
    let public_urls = raw.public_urls.iter().filter_map(|text| server_url(judge, text)).collect();
    judge.at_least_one("listen", raw.listen.len());
    judge.at_least_one("public_urls", raw.public_urls.len());
    let admin = raw.admin.as_ref().and_then(|text| judge.parsed(text));
    let listen_plain = raw.listen_plain.iter().filter_map(|text| judge.parsed(text)).collect();
    let extra_roots = judge.extra_roots(&raw.extra_roots);
    let proxies = raw.proxies.iter().filter_map(|text| judge.parsed(text)).collect();
    let carry = raw.carry.as_ref().and_then(|text| judge.amount(text, Size::parse));
    let ram_cache = raw.ram_cache.as_ref().and_then(|text| judge.amount(text, Size::parse));
    let copies = raw.copies.as_ref().and_then(|copies| copies_of(judge, copies));
    let statistics_days = raw.statistics_days.as_ref().and_then(|days| statistics_days_of(judge, days));
    let mut catalogs: Vec<CatalogConfig> = raw.catalog.iter().filter_map(|raw| catalog(judge, raw)).collect();
    judge.distinct(raw.catalog.iter().flat_map(|catalog| [&catalog.name, &catalog.id]));
    mirrors(judge, &raw.mirror, &raw.catalog, &mut catalogs);
    let peers = raw.peer.iter().filter_map(|raw| peer(judge, raw)).collect();
    let hook = raw.hook.as_ref().and_then(|raw| hook(judge, raw));
    Some(Config {
        data_dir: raw.data_dir,
        listen,
        listen_plain,
        tls,
        extra_roots,
        admin,
        public_urls,
        proxies,
        carry: carry.unwrap_or(CARRY),
        ram_cache: ram_cache.unwrap_or(RAM_CACHE),
        geography: raw.geography,
        copies: copies.unwrap_or(COPIES),
        statistics_days: statistics_days.unwrap_or(STATISTICS_DAYS),
        denylist: raw.denylist,
        denied: Arc::default(),
        catalogs,
        faulty_files: Vec::new(),
        peers,
        hook,
        private_addresses: judge.private_addresses(),
    })
}

/// Its URL may be anywhere: it is the operator's own, and sent nothing but news.
fn hook(judge: &mut Judge<'_>, raw: &Spanned<RawHook>) -> Option<HookConfig> {
    let RawHook { url, command } = raw.get_ref();
    let url = url.as_ref().and_then(|text| {
        let url: Url = judge.parsed(text)?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !is_web {
            judge.fault(text, "hook.url: a URL of http or https");
        }
        is_web.then_some(url)
    });
    if let Some(command) = command
        && !command.get_ref().first().is_some_and(|program| program.starts_with('/'))
    {
        judge.fault(command, "hook.command: a program by its whole path, then its arguments");
    }
    if raw.get_ref().url.is_none() && command.is_none() {
        judge.fault(raw, "[hook]: a `url`, a `command`, or both");
    }
    Some(HookConfig {
        url,
        command: command.as_ref().map(|command| command.get_ref().clone()).unwrap_or_default(),
    })
}

fn statistics_days_of(judge: &mut Judge<'_>, days: &Spanned<u32>) -> Option<u32> {
    let fits = (1..=STATISTICS_DAYS_MAX).contains(days.get_ref());
    if !fits {
        judge.fault(days, format!("statistics_days: between 1 and {STATISTICS_DAYS_MAX}"));
    }
    fits.then_some(*days.get_ref())
}

pub(super) fn catalog(judge: &mut Judge<'_>, raw: &RawCatalog) -> Option<CatalogConfig> {
    if raw.name.get_ref() == SELFTEST_NAME {
        judge.fault(&raw.name, format!("`{SELFTEST_NAME}` is the directory's own catalog"));
    }
    let name = judge.parsed(&raw.name);
    let id = judge.parsed(&raw.id);
    let origin = raw.origin.as_ref().and_then(|text| judge.web_folder(text));
    let poll = match &raw.poll {
        None => POLL,
        Some(text) => poll(judge, text).unwrap_or(POLL),
    };
    Some(CatalogConfig { name: name?, id: id?, origin, poll, mirrors: Vec::new(), file: None })
}

/// Gives each mirror to its catalog, which stands in the same file.
pub(super) fn mirrors(
    judge: &mut Judge<'_>,
    raw: &[RawMirror],
    named: &[RawCatalog],
    catalogs: &mut [CatalogConfig],
) {
    for RawMirror { catalog, url, redirect } in raw {
        let text = url;
        let url = judge.web_folder(text);
        if !named.iter().any(|other| other.name.get_ref() == catalog.get_ref()) {
            judge.fault(
                catalog,
                format!("mirror.catalog: no [[catalog]] here is called `{}`", catalog.get_ref()),
            );
        }
        // A catalog that has a fault itself is named for that.
        let of = catalogs.iter_mut().find(|known| known.name.as_str() == catalog.get_ref());
        let Some((known, url)) = of.zip(url) else { continue };
        if known.mirrors.iter().any(|other| other.url == url) {
            judge.fault(text, "mirror.url: listed twice for this catalog");
        }
        known.mirrors.push(MirrorConfig { url, redirect: *redirect });
    }
}

fn poll(judge: &mut Judge<'_>, text: &Spanned<String>) -> Option<Duration> {
    let poll = judge.amount(text, parse_duration)?;
    if !(POLL_MIN..=POLL_MAX).contains(&poll) {
        judge.fault(text, "poll: between 1s and 1d");
    }
    Some(poll)
}

fn copies_of(judge: &mut Judge<'_>, copies: &Spanned<usize>) -> Option<usize> {
    if (1..=COPIES_MAX).contains(copies.get_ref()) {
        return Some(*copies.get_ref());
    }
    judge.fault(copies, format!("copies: between 1 and {COPIES_MAX}"));
    None
}

fn peer(judge: &mut Judge<'_>, raw: &RawPeer) -> Option<PeerConfig> {
    let url = server_url(judge, &raw.url);
    let key = raw.key.as_ref().and_then(|key| judge.parsed(key));
    Some(PeerConfig { url: url?, key })
}

fn server_url(judge: &mut Judge<'_>, text: &Spanned<String>) -> Option<Url> {
    judge.public_url(text).map(|url| url.to_url())
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Fault, PrivateAddresses};
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
        assert_eq!(config.copies, 3);
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
    fn a_mirror_belongs_to_a_catalog_and_stands_once() {
        let mirror = |catalog: &str| {
            format!("[[mirror]]\ncatalog = \"{catalog}\"\nurl = \"https://ftp.example.net/debian/\"\n")
        };
        let config =
            Config::parse(&(GOOD.to_owned() + &mirror("debian")), PrivateAddresses::Refused).unwrap();
        let [mirror_of] = config.catalogs[0].mirrors.as_slice() else { panic!("{config:?}") };
        assert!(!mirror_of.redirect, "nobody is sent anywhere unless the operator says so");
        let none = faults(&(GOOD.to_owned() + &mirror("debain")));
        assert!(none[0].ends_with("mirror.catalog: no [[catalog]] here is called `debain`"), "{none:?}");
        let twice = faults(&(GOOD.to_owned() + &mirror("debian") + &mirror("debian")));
        assert!(twice[0].ends_with("mirror.url: listed twice for this catalog"), "{twice:?}");
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (from, to, said) in [
            ("https://everest.example.org", "https://everest.example.org/odi", "has a path"),
            ("https://ftp.example.org", "file:///srv", "http or https"),
            ("https://ftp.example.org", "https://user:secret@ftp.example.org", "user name"),
            ("https://shasta.example.org", "http://192.168.1.5", "cannot be reached"),
            ("\"debian\"", "\"odi-selftest\"", "own catalog"),
            ("[tls]", "[tls]\ncertificate = \"/etc/ssl/a.pem\"", "belong together"),
            ("[tls]", "extra_roots = [\"/etc/lab.pem\"]\n[tls]", "--allow-private-addresses"),
            ("carry = \"10 GB\"", "copies = 0", "copies: between 1 and 16"),
            ("carry = \"10 GB\"", "statistics_days = 0", "statistics_days: between 1 and 3660"),
            ("[tls]", "[hook]\n[tls]", "a `url`, a `command`, or both"),
            ("[tls]", "[hook]\nurl = \"mailto:a@b\"\n[tls]", "hook.url"),
            ("[tls]", "[hook]\ncommand = [\"mail\"]\n[tls]", "whole path"),
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
