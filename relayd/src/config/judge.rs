//! The second stage: every value of the raw form in its judged one, or a fault.

use std::sync::Arc;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use odi_manifest::{CatalogId, PublicKey};
use odi_wire::config::{Judge, MonthlyTransfer, PrivateAddresses, Rate, RawTls, Size};
use odi_wire::message::{CatalogPattern, RelayPlace, TAG_BYTES_MAX};
use toml::Spanned;

use super::raw::{RawConfig, RawDirectory, RawPlace, RawWindow};
use super::{Config, DirectoryConfig, Terms};
use crate::schedule::{Schedule, Window};
use crate::wanted::Wanted;

/// Days as the operator writes them.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// The smallest disk that can hold a catalog's tree, the records and one blob in flight.
const DISK_MIN: Size = Size(64 << 20);
/// What hot chunks may take in memory where the operator says nothing: a small machine can spare it.
const RAM_CACHE: Size = Size(64 << 20);

pub(super) fn config(judge: &mut Judge<'_>, raw: RawConfig) -> Option<Config> {
    let tls = RawTls::judge(judge, raw.tls.as_ref(), raw.listen_plain.len());
    let listen = raw.listen.iter().filter_map(|text| judge.parsed(text)).collect();
    let listen_plain = raw.listen_plain.iter().filter_map(|text| judge.parsed(text)).collect();
    let extra_roots = judge.extra_roots(&raw.extra_roots);
    let proxies = raw.proxies.iter().filter_map(|text| judge.parsed(text)).collect();
    let public_urls = raw.public_urls.iter().filter_map(|text| judge.public_url(text)).collect();
    judge.at_least_one("listen", raw.listen.len());
    judge.at_least_one("public_urls", raw.public_urls.len());
    judge.at_least_one("[[directory]]", raw.directory.len());
    let disk = judge.amount(&raw.disk, Size::parse);
    if disk.is_some_and(|disk| disk < DISK_MIN) {
        judge.fault(&raw.disk, format!("disk: {DISK_MIN} is the least that can hold a catalog"));
    }
    let ram_cache = raw.ram_cache.as_ref().map_or(Some(RAM_CACHE), |text| judge.amount(text, Size::parse));
    let terms = terms(judge, &raw);
    let place = raw.place.as_ref().map(|raw| place(judge, raw));
    let directories = raw.directory.iter().filter_map(|raw| directory(judge, raw)).collect();
    judge.distinct(raw.directory.iter().map(|directory| &directory.url));
    Some(Config {
        data_dir: raw.data_dir,
        listen,
        listen_plain,
        tls,
        extra_roots,
        admin: raw.admin.as_ref().and_then(|text| judge.parsed(text)),
        proxies,
        public_urls,
        place,
        disk: disk?,
        ram_cache: ram_cache?,
        terms: terms?,
        denylist: raw.denylist,
        directories,
        private_addresses: judge.private_addresses(),
    })
}

/// What an operator says of where the relay stands.
fn place(judge: &mut Judge<'_>, raw: &Spanned<RawPlace>) -> RelayPlace {
    let said = raw.get_ref();
    let at = said.coordinates.as_ref().and_then(|degrees| {
        let (lat, lon) = *degrees.get_ref();
        let on_earth = lat.abs() <= 90.0 && lon.abs() <= 180.0;
        let hundredths = || Some((hundredths(lat)?, hundredths(lon)?)).filter(|_| on_earth);
        judge.judged(
            degrees,
            hundredths().ok_or("coordinates: latitude and longitude in degrees, such as [52.52, 13.4]"),
        )
    });
    let place = RelayPlace {
        asn: said.asn,
        at,
        country: said.country.as_ref().and_then(|text| judge.parsed(text)),
        operator: said.operator.clone(),
        prefixes: said.prefixes.iter().filter_map(|text| judge.parsed(text)).collect(),
    };
    if let Err(broken) = place.check() {
        judge.fault(raw, format!("[place]: {broken}"));
    }
    place
}

/// Degrees as they are sent.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no degree of the earth has more than five digits in hundredths"
)]
fn hundredths(degrees: f64) -> Option<i16> {
    degrees.is_finite().then(|| (degrees * 100.0).round() as i16)
}

fn terms(judge: &mut Judge<'_>, raw: &RawConfig) -> Option<Terms> {
    let transfer = raw.transfer.as_ref().and_then(|text| judge.amount(text, MonthlyTransfer::parse));
    let otherwise = raw.bandwidth.as_ref().and_then(|text| judge.amount(text, Rate::parse));
    let windows = raw.window.iter().filter_map(|raw| window(judge, raw.get_ref())).collect();
    let zone = match &raw.time_zone {
        None => Some(TimeZone::UTC),
        Some(name) => {
            let zone = TimeZone::get(name.get_ref());
            judge.judged(
                name,
                zone.map_err(|_| format!("this system knows no time zone `{}`", name.get_ref())),
            )
        }
    };
    let schedule = Schedule { otherwise, windows, zone: zone? };
    Some(Terms {
        schedule,
        transfer,
        vantage: raw.vantage,
        federation: raw.federation,
        denied: Arc::default(),
    })
}

fn window(judge: &mut Judge<'_>, raw: &RawWindow) -> Option<Window> {
    let days = match raw.days.as_slice() {
        [] => DAYS.iter().map(|(_, day)| *day).collect(),
        named => named.iter().filter_map(|name| day(judge, name)).collect(),
    };
    let mut time = |text: &Option<Spanned<String>>| match text {
        None => Some(Time::midnight()),
        Some(text) => {
            let read = text.get_ref().parse::<Time>();
            judge.judged(text, read.map_err(|_| format!("`{}` is no time such as \"18:00\"", text.get_ref())))
        }
    };
    let (from, to) = (time(&raw.from), time(&raw.to));
    let bandwidth = judge.amount(&raw.bandwidth, Rate::parse);
    Some(Window { days, from: from?, to: to?, bandwidth: bandwidth? })
}

fn day(judge: &mut Judge<'_>, name: &Spanned<String>) -> Option<Weekday> {
    let known = DAYS.iter().find(|(known, _)| known == name.get_ref()).map(|(_, day)| *day);
    judge.judged(
        name,
        known.ok_or_else(|| format!("`{}` is none of mon, tue, wed, thu, fri, sat, sun", name.get_ref())),
    )
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
        assert_eq!(config.terms.schedule.otherwise, Some(Rate(50_000_000)));
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
            ("[tls]", "[tls]\ncertificate = \"/etc/ssl/a.pem\"", "belong together"),
            ("[tls]", "extra_roots = [\"/etc/lab.pem\"]\n[tls]", "--allow-private-addresses"),
            ("jenkins-*", "Jenkins", "no catalog pattern"),
            ("[\"https://odi-r1.example.net\"]", "[]", "public_urls: at least one"),
        ] {
            let faults = faults(&GOOD.replace(from, to));
            assert!(faults.iter().any(|fault| fault.contains(said)), "{said} in {faults:?}");
        }
    }

    #[test]
    fn windows_read_as_written() {
        let text = format!(
            "{GOOD}[[window]]\ndays = [\"mon\", \"fri\"]\nfrom = \"08:00\"\nto = \"18:30\"\nbandwidth = \"8 Mbit/s\"\n"
        );
        let windows = Config::parse(&text, PrivateAddresses::Refused).unwrap().terms.schedule.windows;
        assert_eq!(windows[0].days, [Weekday::Monday, Weekday::Friday]);
        assert_eq!((windows[0].to.hour(), windows[0].to.minute()), (18, 30));
        assert_eq!(windows[0].bandwidth, Rate(1_000_000));
        let always = format!("{GOOD}[[window]]\nbandwidth = \"8 Mbit/s\"\n");
        let windows = Config::parse(&always, PrivateAddresses::Refused).unwrap().terms.schedule.windows;
        assert_eq!((windows[0].days.len(), windows[0].from), (7, windows[0].to));
        for (from, to, said) in [
            ("\"mon\"", "\"Monday\"", "line 13: `Monday` is none of mon"),
            ("\"08:00\"", "\"8 o'clock\"", "line 14: `8 o'clock` is no time"),
            ("disk =", "time_zone = \"Europe/Nowhere\"\ndisk =", "line 4: this system knows no time zone"),
        ] {
            let faults = faults(&text.replacen(from, to, 1));
            assert!(faults.iter().any(|fault| fault.starts_with(said)), "{said} in {faults:?}");
        }
    }

    #[test]
    fn a_relay_joins_the_federation_unless_its_operator_says_no() {
        let federation =
            |text: &str| Config::parse(text, PrivateAddresses::Refused).unwrap().terms.federation;
        assert!(federation(GOOD));
        assert!(!federation(&GOOD.replace("[tls]", "federation = false\n[tls]")));
    }

    #[test]
    fn a_laboratory_may_use_loopback() {
        let text = GOOD
            .replace("https://odi-r1.example.net", "http://127.0.0.1:8501")
            .replace("https://everest.example.org", "http://127.0.0.1:8400");
        assert!(Config::parse(&text, PrivateAddresses::Allowed).is_ok());
        assert_eq!(faults(&text).len(), 2);
    }

    #[test]
    fn a_relative_denylist_lies_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relayd.toml");
        let text = "data_dir = \"/var/lib/odi\"\nlisten = [\"0.0.0.0:8500\"]\ndisk = \"1 TB\"\ndenylist = \"denied\"\n\
                    public_urls = [\"https://odi-r1.example.net\"]\n[[directory]]\nurl = \"https://everest.example.org\"\n";
        std::fs::write(&file, text).unwrap();
        assert!(Config::load(&file, PrivateAddresses::Refused).unwrap_err().to_string().contains("denied"));
        std::fs::write(folder.path().join("denied"), "/debian/secret/\n").unwrap();
        let config = Config::load(&file, PrivateAddresses::Refused).unwrap();
        assert!(config.terms.denied.denies_path("debian", "secret/a"));
    }
}
