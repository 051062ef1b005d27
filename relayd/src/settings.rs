//! A catalog's own settings, read whenever its newest state has others. They are an artifact like any: fetched if they are
//! not held, verified, and whatever is wrong with them the former ones go on.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{ArtifactPath, Entry, NodesError};
use odi_wire::catalog_settings::{CatalogSettings, SETTINGS_BYTES_MAX, SETTINGS_PATH, SettingsError};
use odi_wire::off_worker::off_worker;
use odi_wire::sync::RetainedHead;

use crate::catalog::Catalog;
use crate::fill::Job;
use crate::relay::Relay;

/// When settings that were not to be had are asked for again.
const RETRY: Duration = Duration::from_secs(30);

/// Keeps the settings those of the newest state, for ever.
pub async fn keep(relay: &Relay, catalog: &Arc<Catalog>) {
    let mut news = catalog.followed.news();
    loop {
        news.mark_unchanged();
        let read = read_newest(relay, catalog).await;
        catalog.followed.grant_retention(catalog.settings.now().keep());
        if read.is_some() {
            // The sender lives in the catalog: this ends with news.
            let _ = news.changed().await;
        } else {
            let _ = tokio::time::timeout(RETRY, news.changed()).await;
        }
    }
}

/// Takes in the newest state's settings; nothing if they are not to be had now.
async fn read_newest(relay: &Relay, catalog: &Arc<Catalog>) -> Option<()> {
    let state = catalog.state();
    let Some(head) = state.newest() else { return Some(()) };
    let entry = entry(relay, head).await.ok()?;
    let Some(entry) = entry.filter(|entry| state.revokes(SETTINGS_PATH, entry, head.seq()).is_none()) else {
        catalog.settings.take_none();
        return Some(());
    };
    if catalog.settings.has_read(&entry.blob) {
        return Some(());
    }
    let read = if entry.size > SETTINGS_BYTES_MAX {
        Err(SettingsError::TooLarge(entry.size))
    } else {
        CatalogSettings::read(&bytes(relay, catalog, head, &entry).await?)
    };
    if let Err(fault) = &read {
        tracing::warn!(catalog = %catalog.name, %fault, "the catalog's settings are not taken");
    }
    catalog.settings.take(entry.blob, read);
    // What lies elsewhere could not be asked for before.
    catalog.changed.ring();
    Some(())
}

async fn entry(relay: &Relay, head: &Arc<RetainedHead>) -> Result<Option<Entry>, NodesError> {
    let (nodes, tree) = (relay.store.nodes(), head.tree);
    off_worker(move || tree.get(&nodes, SETTINGS_PATH)).await
}

/// The file, from the store or else fetched into it. It is one chunk at most.
async fn bytes(
    relay: &Relay,
    catalog: &Arc<Catalog>,
    head: &RetainedHead,
    entry: &Entry,
) -> Option<bytes::Bytes> {
    if relay.open_blob(&entry.blob).await.ok()?.is_none() {
        let path = ArtifactPath::parse(SETTINGS_PATH).ok()?;
        let mut fetched = relay.fill.ask_now(Job::new(catalog, head, path, entry)).ok()?;
        if !fetched.landed().await {
            return None;
        }
    }
    let reader = relay.open_blob(&entry.blob).await.ok()??;
    if reader.chunk_count() == 0 {
        return Some(bytes::Bytes::new());
    }
    off_worker(move || reader.chunk(0)).await.ok()
}
