//! Refuses to publish an `odi-catalog.toml` that nobody could read: daemons would go on with the former one, and only say
//! so in their status.

use std::ffi::OsStr;
use std::fs;

use odi_manifest::BlobId;
use odi_wire::catalog_settings::{CatalogSettings, SETTINGS_BYTES_MAX, SETTINGS_PATH, SettingsError};

use super::odi_folder::OdiFolder;
use super::scan::{Problem, Problems, Why};
use super::survey::Surveyed;

/// Reads the settings of a surveyed tree, if it has any.
pub(crate) fn check(odi: &OdiFolder, files: &[Surveyed]) -> Result<(), Problems> {
    let Some(file) = files.iter().find(|file| file.path.as_str() == SETTINGS_PATH) else { return Ok(()) };
    let problem = |why| Problems::none(vec![why]);
    let path = OsStr::new(SETTINGS_PATH);
    if file.stamp.size > SETTINGS_BYTES_MAX {
        return problem(Problem::new(path, Why::Settings(SettingsError::TooLarge(file.stamp.size))));
    }
    match fs::read(odi.tree().join(SETTINGS_PATH)) {
        Err(error) => problem(Problem::reading(path, error)),
        // What is judged must be what is signed.
        Ok(bytes) if BlobId::of(&bytes) != file.blob => problem(Problem::new(path, Why::Changed)),
        Ok(bytes) => match CatalogSettings::read(&bytes) {
            Ok(_) => Ok(()),
            Err(error) => problem(Problem::new(path, Why::Settings(error))),
        },
    }
}
