//! The settings that a daemon acts on: the newest that could be read.

use std::sync::{Arc, PoisonError, RwLock};

use odi_manifest::BlobId;

use super::{CatalogSettings, SettingsError};

/// A catalog's settings at one daemon. A file that cannot be read changes nothing but [`Self::fault`].
#[derive(Debug, Default)]
pub struct SettingsInForce(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    settings: Arc<CatalogSettings>,
    /// What was read last, be it good or bad; `None` if the catalog has no such file, or before the first look.
    read: Option<BlobId>,
    fault: Option<String>,
}

impl SettingsInForce {
    /// What holds now.
    #[must_use]
    pub fn now(&self) -> Arc<CatalogSettings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).settings)
    }

    /// Why the newest file is not what holds now, if so.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    /// Whether this very file has been read already.
    #[must_use]
    pub fn has_read(&self, blob: &BlobId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).read.as_ref() == Some(blob)
    }

    /// Takes in the newest state's file, or a reason for which it was not even read.
    pub fn take(&self, blob: BlobId, read: Result<CatalogSettings, SettingsError>) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.read = Some(blob);
        match read {
            Ok(settings) => (inner.settings, inner.fault) = (Arc::new(settings), None),
            Err(error) => inner.fault = Some(format!("{}: {error}", super::SETTINGS_PATH)),
        }
    }

    /// The newest state has no such file: what a catalog that says nothing wants holds.
    pub fn take_none(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_changes_nothing_and_says_so() {
        let settings = SettingsInForce::default();
        let read =
            |text: &str| settings.take(BlobId::of(text.as_bytes()), CatalogSettings::read(text.as_bytes()));
        read("index = [\"home.html\"]");
        assert_eq!((settings.now().index(), settings.fault()), (&["home.html".to_owned()][..], None));
        read("index = 5");
        assert_eq!(settings.now().index(), ["home.html"]);
        let fault = settings.fault().unwrap();
        assert_eq!(fault, "odi-catalog.toml: line 1, key `index`: must be a list of strings");
        assert!(settings.has_read(&BlobId::of(b"index = 5")));
        settings.take_none();
        assert_eq!((settings.now().index(), settings.fault()), (&["index.html".to_owned()][..], None));
    }
}
