//! Content that a new epoch voids leaves the disk (promise P5 of ARCHITECTURE.md): it is what a thief of the release key published, and
//! it would be given out by its hash for as long as there is room for it.
//!
//! Its states fall when the root is adopted, so no path leads there any more. Here the bytes go, once a state of the new epoch stands:
//! before that nobody can say what of the rest is still needed. After a start this is done again: the process may have ended between.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::relay::Relay;

/// In which nothing has been voided.
const FIRST_EPOCH: u64 = 1;

/// Has what fell reclaimed, for as long as the catalog is followed.
pub async fn keep(relay: &Relay, catalog: &Arc<Catalog>) {
    let mut news = catalog.followed.news();
    let mut swept = None;
    loop {
        let state = catalog.state();
        let epoch = state.believed().map_or(FIRST_EPOCH, |believed| believed.trust.epoch());
        if state.newest().is_some() && swept.is_none_or(|swept| epoch > swept) {
            if swept.is_some() {
                tracing::warn!(catalog = %catalog.name, epoch, "a new epoch: what it voids goes");
            }
            if epoch > FIRST_EPOCH {
                relay.unneeded.ring();
            }
            swept = Some(epoch);
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}
