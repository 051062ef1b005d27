//! What this directory testifies of a catalog, to directories that compare and to clients that want it confirmed.

use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, HeadId};
use odi_wire::http::StatusCode;
use odi_wire::refusal::Refusal;
use odi_wire::serve::Response;
use tokio::time::Instant;

use super::catalogs::records;
use crate::catalog::Catalog;
use crate::directory::Directory;

/// The testimony; with `unlike`, once it has another hash than that or the time is up (204).
pub(super) async fn testimony(
    directory: &Directory,
    catalog: &CatalogId,
    unlike: Option<BlobId>,
    wait: Duration,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    let (mut views, mut words) = (catalog.watch(), catalog.watch_words());
    let end = Instant::now() + wait;
    loop {
        let answer = catalog.testimony(&directory.id).encode();
        if unlike.is_none_or(|known| BlobId::of(&answer) != known) {
            return Ok(records(answer));
        }
        tokio::select! {
            () = tokio::time::sleep_until(end) => return Ok(Response::new(StatusCode::NO_CONTENT)),
            // The senders live in the catalog.
            _ = views.changed() => {}
            _ = words.changed() => {}
        }
    }
}

/// The proof that two heads contradict each other, if it is kept here.
pub(super) fn equivocation(catalog: &Catalog, first: HeadId, second: HeadId) -> Result<Response, Refusal> {
    let recorded = catalog.recorded().ok_or(Refusal::NotFound)?;
    let proof = recorded.equivocations.iter().find(|proof| proof.head_ids() == [first, second]);
    proof.map(|proof| records(proof.encode())).ok_or(Refusal::NotFound)
}
