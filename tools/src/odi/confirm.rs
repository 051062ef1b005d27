//! Who vouches that a catalog's newest head is the newest: what directories pass on of its witnesses, verified by their keys.
//!
//! Witnesses vouch within a second of adopting a head, so whoever asks right after a publish asks a few times before it counts
//! as stale.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CatalogId, Clock as _, Freshness, Staleness, SystemClock, freshness};
use odi_store::CatalogTrust;
use odi_wire::chain;
use odi_wire::sync::{FollowedCatalog, SyncClient, SyncSource};
use tokio::time::Instant;

use super::directories::Directory;
use super::failure::Failure;

/// How long a quorum is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Asks until enough witnesses vouch for the head that the ledger has, or nobody can say more.
pub(super) async fn confirm(
    sync: &SyncClient,
    followed: &Arc<FollowedCatalog>,
    directories: &[Directory],
) -> Result<(), Failure> {
    let catalog = *followed.id();
    let end = Instant::now() + PATIENCE;
    loop {
        let faults = gather(sync, followed, directories).await;
        let Some(believed) = followed.ledger().load(&catalog) else { return Ok(()) };
        match judged(&believed) {
            Freshness::Fresh { .. } | Freshness::Unprotected { .. } => return Ok(()),
            Freshness::Stale(Staleness::TooFewWitnesses { .. }) if Instant::now() < end => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Freshness::Stale(staleness) => {
                faults.iter().for_each(|fault| eprintln!("odi: {fault}"));
                return Err(Failure::Stale { catalog, staleness });
            }
        }
    }
}

fn judged(believed: &CatalogTrust) -> Freshness {
    let Some(head) = believed.standing() else { return Freshness::Stale(Staleness::HeadExpired) };
    freshness(&believed.trust, head, &believed.cosignatures, SystemClock.now())
}

/// Keeps what each directory passes on; why some passed on nothing.
async fn gather(
    sync: &SyncClient,
    followed: &Arc<FollowedCatalog>,
    directories: &[Directory],
) -> Vec<String> {
    let catalog: &CatalogId = followed.id();
    let needs =
        followed.ledger().load(catalog).is_some_and(|believed| believed.trust.root().witness_quorum > 0);
    let mut faults = Vec::new();
    for Directory { base, .. } in directories.iter().filter(|_| needs) {
        let source = SyncSource::directory(base.clone(), catalog);
        let kept = match sync.testimony(&source, None).await {
            Ok(Some(said)) => sync.keep_cosignatures(followed, &said.testimony, SystemClock.now()).await,
            Ok(None) => Ok(0),
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            faults.push(format!("{base} does not say who vouches for its head: {}", chain::of(&error)));
        }
    }
    faults
}
