//! Telling relays that there is news: a newer head of a catalog that they follow, or another assignment.
//!
//! One small signed request each, at most once in [`GAP`]; relays look after a moment of their own choice. Nobody depends
//! on it: long polls and announcements bring the same, later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use odi_manifest::{CatalogId, HeadId, PublicKey};
use odi_wire::client::Ask;
use odi_wire::message::{CBOR, NOTIFY_CATALOGS_MAX, Notify};
use odi_wire::request_signature::{key_id, sign};
use odi_wire::route::location;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::probe::told;
use crate::roster::{Registration, Standing};

/// Between two rounds at least, so that news which come together are told together.
const GAP: Duration = Duration::from_millis(250);
/// Relays that are told at once.
const AT_ONCE: usize = 64;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where at a relay.
const PATH: &str = "/odi/v1/notify";

/// What was told last.
#[derive(Debug, Default)]
struct Told {
    heads: BTreeMap<CatalogId, HeadId>,
    assignments: BTreeMap<PublicKey, u64>,
}

/// Tells until `stop` is cancelled.
pub(crate) async fn tell(directory: Arc<Directory>, stop: CancellationToken) {
    let mut last = Told { heads: heads(&directory), assignments: BTreeMap::new() };
    stop.run_until_cancelled(async {
        loop {
            directory.news.notified().await;
            tokio::time::sleep(GAP).await;
            let notices = notices(&directory, &mut last).await;
            let errands =
                notices.into_iter().map(|(registration, notice)| notify(&directory, registration, notice));
            futures_util::stream::iter(errands).buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    })
    .await;
}

fn heads(directory: &Directory) -> BTreeMap<CatalogId, HeadId> {
    let head = |catalog: &Arc<crate::catalog::Catalog>| Some((catalog.id(), catalog.view().adopted()?.id));
    directory.catalogs().iter().filter_map(head).collect()
}

/// Whom to tell what.
async fn notices(directory: &Directory, last: &mut Told) -> Vec<(Registration, Notify)> {
    let plan = directory.plan().await;
    let now = directory.clock.now();
    let heads = heads(directory);
    let changed: BTreeSet<CatalogId> =
        heads.iter().filter(|(id, head)| last.heads.get(id) != Some(head)).map(|(id, _)| *id).collect();
    last.heads = heads;
    let live: Vec<(Registration, Vec<CatalogId>)> = {
        let roster = directory.relays.roster();
        let honest = roster.live(now).filter(|member| member.standing(now) != Standing::Quarantined);
        honest
            .filter_map(|member| {
                let follows = |id: &&CatalogId| member.holding(id).is_some();
                let news = changed.iter().filter(follows).copied().take(NOTIFY_CATALOGS_MAX).collect();
                Some((member.registration()?.clone(), news))
            })
            .collect()
    };
    let former = std::mem::take(&mut last.assignments);
    let mut notices = Vec::new();
    for (registration, catalogs) in live {
        let relay = registration.relay;
        let assignment_gen = plan.generation(&relay);
        last.assignments.insert(relay, assignment_gen);
        let reassigned = former.get(&relay).is_some_and(|former| *former != assignment_gen);
        if reassigned || !catalogs.is_empty() {
            notices.push((registration, Notify { v: 1, dir: directory.id, catalogs, assignment_gen }));
        }
    }
    notices
}

async fn notify(directory: &Directory, registration: Registration, notice: Notify) {
    let relay = registration.relay;
    match tokio::time::timeout(PATIENCE, send(directory, &registration, &notice)).await {
        Ok(Ok(())) => tracing::debug!(%relay, "told of news"),
        // It hears by its long poll.
        Ok(Err(why)) => tracing::debug!(%relay, why, "a relay could not be told of news"),
        Err(_) => tracing::debug!(%relay, "a relay takes too long to be told of news"),
    }
}

async fn send(directory: &Directory, registration: &Registration, notice: &Notify) -> Result<(), String> {
    let url = registration.urls.first().ok_or("it has no URL")?;
    let target = location(&url.to_url(), PATH).parse().map_err(|_| "its URL cannot be asked")?;
    let ask =
        Ask::post(&target, CBOR, notice.encode().map_err(|error| error.to_string())?).reply_bytes_max(1024);
    let key = key_id(&directory.id, registration.generation);
    let signed = sign(ask, &registration.request_key, key, directory.clock.now(), directory.random());
    let reply = directory.client.send(signed).await.map_err(|error| told(&error))?;
    if reply.status.is_success() { Ok(()) } else { Err(format!("it answered {}", reply.status)) }
}
