//! `odi-directoryd admin add`: another catalog, as a file of `catalogs.d/`, which the running directory then takes up.
//!
//! The file is judged beside everything that stands there already before it has its name, and it never takes the place of another one: a
//! crash leaves it whole or, under a hidden name that counts for nothing, in part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use odi_manifest::CatalogId;
use odi_wire::admin::operator_request;
use odi_wire::client::Client;
use odi_wire::daemon::EXIT_CONFIG;
use odi_wire::message::from_json;
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use url::Url;

use super::command::{Outcome, asked, print};
use super::operate::AdminCatalog;
use crate::config::{CATALOGS_FOLDER, Config, ConfigError, judge_file};

/// There is such a file already, or the folder cannot be written (EX_CANTCREAT of sysexits.h).
const EXIT_NOT_CREATED: u8 = 73;
/// How long the directory may take to follow it.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Which catalog.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Added {
    /// What it is to be called here.
    name: CatalogName,
    /// Its id, `odi1...`: what its maintainer says in public.
    id: CatalogId,
    /// The maintainer's web server, where its tree begins. Without one it is followed at peers alone.
    #[arg(long)]
    origin: Option<Url>,
}

impl Added {
    fn text(&self) -> String {
        let mut catalog = toml::Table::new();
        catalog.insert("name".into(), self.name.to_string().into());
        catalog.insert("id".into(), self.id.to_string().into());
        catalog.extend(self.origin.as_ref().map(|origin| ("origin".into(), origin.to_string().into())));
        let tables = toml::Table::from_iter([("catalog".into(), vec![toml::Value::Table(catalog)].into())]);
        tables.to_string()
    }
}

/// Writes the file, and has it taken up.
pub(crate) async fn add(config: &Config, file: &Path, added: &Added) -> anyhow::Result<ExitCode> {
    let folder = file.with_file_name(CATALOGS_FOLDER);
    let path = folder.join(format!("{}.toml", added.name));
    let text = added.text();
    match judge_file(&text, &path, &config.catalogs, config.private_addresses) {
        Ok(_) => {}
        Err(ConfigError::Faulty(faults)) => {
            for fault in faults {
                tracing::error!(what = fault.what, "the catalog is not added");
            }
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
        Err(error) => return Err(error.into()),
    }
    let written = {
        let path = path.clone();
        off_worker(move || write(&folder, &path, &text)).await
    };
    if let Err(error) = written {
        tracing::error!(path = %path.display(), %error, "cannot be written");
        return Ok(ExitCode::from(EXIT_NOT_CREATED));
    }
    print(&format!("{} is in {}", added.name, path.display()));
    let Some(admin) = config.admin else {
        print("the configuration has no `admin` listener: send the directory a SIGHUP, or start it");
        return Ok(ExitCode::SUCCESS);
    };
    let admin: Url = format!("http://{admin}/").parse().context("the admin listener has no URL")?;
    match tokio::time::timeout(PATIENCE, taken_up(&admin, &added.id)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            anyhow::bail!("the directory does not follow it after {} s: its log says why", PATIENCE.as_secs())
        }
    }
}

/// Has the directory read its configuration, and waits until it follows the catalog.
async fn taken_up(admin: &Url, id: &CatalogId) -> anyhow::Result<ExitCode> {
    let client = Client::new(super::command::policy())?;
    if let Outcome::Ended(code) =
        asked(&client, operator_request(admin, "reload", Some(Default::default()))).await?
    {
        return Ok(code);
    }
    loop {
        let listed = match asked(&client, operator_request(admin, "catalogs", None)).await? {
            Outcome::Answered(listed) => listed,
            Outcome::Ended(code) => return Ok(code),
        };
        let catalogs: Vec<AdminCatalog> = from_json(&listed, "the list of catalogs")?;
        if let Some(catalog) = catalogs.iter().find(|catalog| catalog.id == *id) {
            print(&format!("the directory follows {} as {}", catalog.id, catalog.name));
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Puts a file there that was not.
fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden: PathBuf = folder.join(format!(".{name}.{}", std::process::id()));
    // A crash may have left one, and numbers of processes come again.
    let _ = fs::remove_file(&hidden);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&hidden)?;
    let placed = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    // Unlike a rename, a link takes nobody's place.
    let placed = placed.and_then(|()| fs::hard_link(&hidden, path));
    // If it stays it counts for nothing.
    let _ = fs::remove_file(&hidden);
    placed.and_then(|()| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_was_said() {
        let added = Added {
            name: "debian".parse().unwrap(),
            id: CatalogId::of(b"debian"),
            origin: Some("https://deb.example/a'b\"c/".parse().unwrap()),
        };
        let text: toml::Table = added.text().parse().unwrap();
        let catalog = &text["catalog"][0];
        assert_eq!(catalog["name"].as_str(), Some("debian"));
        assert_eq!(catalog["id"].as_str(), Some(&*CatalogId::of(b"debian").to_string()));
        assert_eq!(catalog["origin"].as_str(), Some("https://deb.example/a'b%22c/"));
        assert!(added.text().starts_with("[[catalog]]\n"), "{}", added.text());
    }

    #[test]
    fn no_file_takes_anothers_place_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, path) = (folder.path().join("catalogs.d"), folder.path().join("catalogs.d/a.toml"));
        write(&folder, &path, "first").unwrap();
        assert_eq!(write(&folder, &path, "second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
