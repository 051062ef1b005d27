//! Filling the gaps that a jump leaves in the line of kept heads, so that whoever follows here finds every ancestor.

use std::sync::Arc;

use odi_manifest::{Head, HeadId, Unverified};

use super::followed::trust_of;
use super::head_line::HeadLine;
use super::records::Asker;
use super::{FollowedCatalog, SyncError};

/// Walks down by `prev` from the newest kept head and keeps what is missing.
pub(super) async fn fill(
    catalog: &Arc<FollowedCatalog>,
    asker: &Asker<'_>,
    heads_max: usize,
) -> Result<usize, SyncError> {
    let mut line = HeadLine::default();
    let mut filled = 0;
    let mut above: Option<(u64, HeadId)> = None;
    while filled < heads_max {
        let Some((seq, id)) = next_gap(catalog, above).await? else { break };
        let head = line.named(asker, seq, &id).await?;
        catalog.with_ledger(move |ledger, catalog| ledger.put_ancestor(catalog, &head)).await?;
        above = Some((seq, id));
        filled += 1;
    }
    Ok(filled)
}

/// The number and id of the first head at or below `from` whose `prev` is not kept.
async fn next_gap(
    catalog: &Arc<FollowedCatalog>,
    from: Option<(u64, HeadId)>,
) -> Result<Option<(u64, HeadId)>, SyncError> {
    let Some(believed) = catalog.ledger().load(catalog.id()) else { return Ok(None) };
    let state = catalog.state();
    let trust = &trust_of(&state)?.trust;
    let mut at = from.map(|(seq, _)| seq).or_else(|| believed.line.keys().next_back().copied());
    while let Some(seq) = at.filter(|seq| *seq > 1) {
        let below = trust.ancestor(seq - 1);
        if below == 0 {
            return Ok(None);
        }
        if believed.line.contains_key(&below) {
            at = Some(below);
            continue;
        }
        let envelope = catalog.with_ledger(move |ledger, catalog| ledger.head(catalog, seq)).await?;
        let head = envelope.and_then(|envelope| Unverified::<Head>::decode(&envelope).ok());
        return Ok(head.and_then(|head| head.claims().prev).map(|prev| (below, prev)));
    }
    Ok(None)
}
