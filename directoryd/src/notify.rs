//! Telling relays that there is news: a newer head of a catalog that they follow, or another assignment.
//!
//! One small signed request each, at most once in [`GAP`]; relays look after a moment of their own choice. Nobody depends
//! on it: long polls and announcements bring the same, later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use odi_manifest::{CatalogId, HeadId, PublicKey};
use odi_wire::message::{NOTIFY_CATALOGS_MAX, Notify};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::roster::{Member, Registration, Standing};
use crate::to_relay::{Post, refused};

/// Between two rounds at least, so that news which come together are told together.
const GAP: Duration = Duration::from_millis(250);
/// Relays that are told at once.
const AT_ONCE: usize = 64;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where at a relay.
const PATH: &str = "/odi/v1/notify";
/// Of its answer, which says nothing.
const REPLY_BYTES_MAX: usize = 1024;

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
    let former = std::mem::take(&mut last.assignments);
    let roster = directory.relays.roster();
    let honest = roster.live(now).filter(|member| member.standing(now) != Standing::Quarantined);
    let notice = |member: &Member| {
        let registration = member.registration()?;
        let follows = |id: &&CatalogId| member.holding(id).is_some();
        let catalogs: Vec<CatalogId> =
            changed.iter().filter(follows).copied().take(NOTIFY_CATALOGS_MAX).collect();
        let assignment_gen = plan.generation(&registration.relay);
        last.assignments.insert(registration.relay, assignment_gen);
        let reassigned = former.get(&registration.relay).is_some_and(|former| *former != assignment_gen);
        // Most have nothing to hear, and are not copied.
        (reassigned || !catalogs.is_empty())
            .then(|| (registration.clone(), Notify { v: 1, dir: directory.id, catalogs, assignment_gen }))
    };
    honest.filter_map(notice).collect()
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
    let body = notice.encode().map_err(|error| error.to_string())?;
    let post = Post { path: PATH, body, reply_bytes_max: REPLY_BYTES_MAX };
    let reply = post.send_first(directory, registration).await?;
    if reply.status.is_success() { Ok(()) } else { Err(refused(reply.status)) }
}
