//! `catalogs.d/` beside the configuration file: each `*.toml` in it has `[[catalog]]` tables and their `[[mirror]]` tables, so that one catalog is one
//! file, and adding it one change that others can look at.
//!
//! A file with anything wrong in it counts as a whole for nothing, and stops no other: neither the configuration's own catalogs nor those
//! of other files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use odi_wire::config::{self, ConfigError, Fault, Judge, PrivateAddresses};
use serde::Deserialize;

use super::CatalogConfig;
use super::judge;
use super::raw::{RawCatalog, RawMirror};

/// How many files are read.
const FILES_MAX: usize = 4096;

/// One file, and every fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyFile {
    /// Which.
    pub path: PathBuf,
    /// What is wrong, and on which lines.
    pub faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    catalog: Vec<RawCatalog>,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

/// Adds the catalogs of a folder to those of the configuration, in the order of the files' names; returns the files that are not taken.
pub(super) fn read(
    folder: &Path,
    catalogs: &mut Vec<CatalogConfig>,
    private_addresses: PrivateAddresses,
) -> Vec<FaultyFile> {
    let whole = |path: &Path, what: String| FaultyFile {
        path: path.to_owned(),
        faults: vec![Fault { line: None, what }],
    };
    let mut faulty = Vec::new();
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) => return vec![whole(folder, format!("cannot be listed: {error}"))],
    };
    for path in files {
        let judged = config::read(&path).and_then(|text| judged(&text, &path, catalogs, private_addresses));
        match judged {
            Ok(found) => catalogs.extend(found),
            Err(ConfigError::Faulty(faults)) => faulty.push(FaultyFile { path, faults }),
            Err(ConfigError::Unreadable { source, .. }) => {
                faulty.push(whole(&path, format!("cannot be read: {source}")));
            }
        }
    }
    faulty
}

/// The catalogs of one file's text, beside others that are known.
pub(crate) fn judged(
    text: &str,
    path: &Path,
    known: &[CatalogConfig],
    private_addresses: PrivateAddresses,
) -> Result<Vec<CatalogConfig>, ConfigError> {
    config::judge(text, private_addresses, |judge, raw| of_file(judge, raw, path, known))
}

/// The folder need not be there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    files.truncate(FILES_MAX);
    Ok(files)
}

fn of_file(
    judge: &mut Judge<'_>,
    raw: RawFile,
    path: &Path,
    known: &[CatalogConfig],
) -> Option<Vec<CatalogConfig>> {
    let mut found = Vec::new();
    judge.distinct(raw.catalog.iter().flat_map(|catalog| [&catalog.name, &catalog.id]));
    for raw in &raw.catalog {
        let Some(catalog) = judge::catalog(judge, raw) else { continue };
        let elsewhere = |is_same: &dyn Fn(&CatalogConfig) -> bool| known.iter().find(|other| is_same(other));
        for (at, twin) in [
            (&raw.name, elsewhere(&|other| other.name == catalog.name)),
            (&raw.id, elsewhere(&|other| other.id == catalog.id)),
        ] {
            if let Some(twin) = twin {
                let place =
                    twin.file.as_deref().map_or_else(|| "the configuration".into(), Path::to_string_lossy);
                judge.fault(at, format!("`{}` stands in {place} too", at.get_ref()));
            }
        }
        found.push(CatalogConfig { file: Some(path.to_owned()), ..catalog });
    }
    judge::mirrors(judge, &raw.mirror, &raw.catalog, &mut found);
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use odi_manifest::CatalogId;

    use super::super::Config;
    use super::*;

    fn table(name: &str, id: &[u8]) -> String {
        format!("[[catalog]]\nname = \"{name}\"\nid = \"{}\"\n", CatalogId::of(id))
    }

    fn loaded(files: &[(&str, String)]) -> Config {
        let folder = tempfile::TempDir::new().unwrap();
        let config = folder.path().join("directoryd.toml");
        let main = "data_dir = \"/var/lib/odi\"\nlisten = [\"0.0.0.0:8400\"]\n\
                    public_urls = [\"https://everest.example.org\"]\n";
        fs::write(&config, format!("{main}{}", table("own", b"own"))).unwrap();
        fs::create_dir(folder.path().join("catalogs.d")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join("catalogs.d").join(name), text).unwrap();
        }
        Config::load(&config, PrivateAddresses::Refused).unwrap()
    }

    fn names(config: &Config) -> Vec<&str> {
        config.catalogs.iter().map(|catalog| catalog.name.as_str()).collect()
    }

    fn said(config: &Config) -> BTreeMap<String, String> {
        let file = |faulty: &FaultyFile| {
            let name = faulty.path.file_name().unwrap().to_string_lossy().into_owned();
            (name, faulty.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))
        };
        config.faulty_files.iter().map(file).collect()
    }

    #[test]
    fn each_file_adds_its_catalogs_and_a_bad_one_stops_nobody() {
        let both = table("b1", b"1") + &table("b2", b"2");
        let config = loaded(&[
            ("20-b.toml", both),
            ("10-a.toml", table("a", b"a")),
            ("30-bad.toml", format!("{}poll = \"0s\"\n", table("c", b"c"))),
            ("40-typo.toml", format!("{}orign = \"x\"\n", table("d", b"d"))),
            ("50-no.toml", "data_dir = \"/\"\n".to_owned()),
            (".60-hidden.toml", "nonsense".to_owned()),
            ("70.toml~", "nonsense".to_owned()),
            ("80-last.toml", table("last", b"last")),
        ]);
        assert_eq!(names(&config), ["own", "a", "b1", "b2", "last"]);
        let said = said(&config);
        assert_eq!(said.keys().collect::<Vec<_>>(), ["30-bad.toml", "40-typo.toml", "50-no.toml"]);
        assert!(said["30-bad.toml"].starts_with("line 4: poll"), "{said:?}");
        assert!(said["40-typo.toml"].starts_with("line 4: ") && said["40-typo.toml"].contains("`orign`"));
        assert!(said["50-no.toml"].starts_with("line 1: ") && said["50-no.toml"].contains("`data_dir`"));
    }

    #[test]
    fn who_stands_twice_is_named_with_both_places() {
        let config = loaded(&[
            ("1.toml", table("a", b"a")),
            ("2.toml", table("a", b"other")),
            ("3.toml", table("other", b"a")),
            ("4.toml", table("own", b"x")),
            ("5.toml", table("b", b"b") + &table("b", b"c")),
        ]);
        assert_eq!(names(&config), ["own", "a"]);
        let said = said(&config);
        assert!(said["2.toml"].contains("line 2: `a` stands in ") && said["2.toml"].contains("1.toml too"));
        assert!(said["3.toml"].starts_with("line 3: `odi1") && said["3.toml"].contains("1.toml too"));
        assert_eq!(said["4.toml"], "line 2: `own` stands in the configuration too");
        assert!(said["5.toml"].contains("listed twice"));
    }
}
