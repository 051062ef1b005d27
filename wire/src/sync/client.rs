//! The client as daemons and tools hold it: one look at a source, or one push, and what came of it.

use std::sync::Arc;

use odi_manifest::{
    Because, Head, HeadId, HeadRefusal, Mark, ROOTS_MAX, Root, Timestamp, Unverified, Verified,
};

use odi_store::LedgerError;

use super::adopting::{Adopting, Supply};
use super::records::{Asker, record};
use super::{FollowedCatalog, RetainedHead, SyncError, SyncSource, TreeFault};
use crate::fetch::Fetcher;
use crate::layout::LayoutPath;
use crate::message::Push;

/// What following a catalog once came to.
#[derive(Debug)]
pub enum SyncOutcome {
    /// There is no newer head than the one that is held.
    Unchanged,
    /// A newer head is held now.
    Advanced(Advance),
}

/// A step forward.
#[derive(Debug)]
pub struct Advance {
    /// What was newest before, if anything was.
    pub from: Option<Arc<RetainedHead>>,
    /// What is newest now.
    pub to: Arc<RetainedHead>,
    /// Why one follows the other.
    pub because: Because,
    /// What failed on the way. One that [condemns](TreeFault::condemns_source) is the source's guilt.
    pub faults: Vec<TreeFault>,
}

/// What a push came to.
#[derive(Debug)]
pub enum PushOutcome {
    /// As if it had been fetched.
    Taken(SyncOutcome),
    /// The pushed head does not follow the one that is held: the pusher must build on this envelope.
    Conflict(Vec<u8>),
}

/// The one client that follows catalogs. Cheap to clone.
#[derive(Clone)]
pub struct SyncClient {
    pub(super) fetcher: Fetcher,
    most: Most,
}

/// How large a catalog may say that it is.
#[derive(Clone, Copy, Debug)]
struct Most {
    entries: u64,
    bytes: u64,
}

impl SyncClient {
    /// A client that asks through this fetcher.
    #[must_use]
    pub const fn new(fetcher: Fetcher) -> Self {
        Self { fetcher, most: Most { entries: u64::MAX, bytes: u64::MAX } }
    }

    /// The same for catalogs of so many artifacts and bytes: a head that says more is refused before anything else of it
    /// is asked for.
    #[must_use]
    pub fn at_most(self, entries: u64, bytes: u64) -> Self {
        Self { most: Most { entries, bytes }, ..self }
    }

    /// Looks once at a source and adopts what is newer there. `now` is the time of the whole look.
    ///
    /// # Errors
    /// [`SyncError`] says what was refused, or what failed. The former state stays.
    pub async fn follow(
        &self,
        catalog: &Arc<FollowedCatalog>,
        source: &SyncSource,
        now: Timestamp,
    ) -> Result<SyncOutcome, SyncError> {
        let asker = Asker { fetcher: &self.fetcher, source };
        follow_roots(catalog, &asker, now).await?;
        let held = catalog.state().newest().map(|head| head.seq());
        let head = tokio::select! {
            biased;
            // What is lost is fetched again under the same head, for which no source need wait.
            () = catalog.torn() => asker.newest_head(None).await?,
            head = asker.newest_head(held) => head?,
        };
        let Some(head) = head else { return Ok(SyncOutcome::Unchanged) };
        let mut adopting = Adopting::new(catalog, Supply { asker: Some(asker), push: None }, now);
        let candidate = candidate(catalog, &head, &mut adopting).await?;
        let Most { entries, bytes } = self.most;
        if candidate.entries > entries || candidate.bytes > bytes {
            return Err(SyncError::TooLarge { entries: candidate.entries, bytes: candidate.bytes });
        }
        adopting.adopt(candidate).await
    }

    /// Looks once at a source and adopts what is newer there for its signatures alone: no tree is fetched. For a
    /// client that takes single entries by proof; the newest head is then the ledger's.
    ///
    /// # Errors
    /// [`SyncError`] says what was refused, or what failed. The former state stays.
    pub async fn follow_heads(
        &self,
        catalog: &Arc<FollowedCatalog>,
        source: &SyncSource,
        now: Timestamp,
    ) -> Result<(), SyncError> {
        let asker = Asker { fetcher: &self.fetcher, source };
        follow_roots(catalog, &asker, now).await?;
        let Some(head) = asker.newest_head(None).await? else { return Ok(()) };
        let mut adopting = Adopting::new(catalog, Supply { asker: Some(asker), push: None }, now);
        let candidate = candidate(catalog, &head, &mut adopting).await?;
        adopting.adopt_head(&candidate).await
    }

    /// Takes what a maintainer pushed, through the same judgement. What the push lacks is fetched from `fallback`.
    ///
    /// # Errors
    /// [`SyncError`] says what was refused, or what failed. The former state stays.
    pub async fn receive(
        &self,
        catalog: &Arc<FollowedCatalog>,
        push: &Push,
        fallback: Option<&SyncSource>,
        now: Timestamp,
    ) -> Result<PushOutcome, SyncError> {
        let head: Unverified<Head> = record(LayoutPath::Head, &push.head)?;
        for (position, root) in push.roots.iter().enumerate() {
            let root = record(LayoutPath::Root(position as u64 + 1), root)?;
            put_root(catalog, root).await?;
        }
        // Held from the comparison to the swap.
        let change = catalog.change().await;
        show_roots(catalog, now);
        let candidate = verify(catalog, &head)?;
        let asker = fallback.map(|source| Asker { fetcher: &self.fetcher, source });
        let mut adopting = Adopting::new(catalog, Supply { asker, push: Some(push) }, now).holding(change);
        if let Some(held) = conflict(catalog, &candidate) {
            return Ok(PushOutcome::Conflict(held));
        }
        adopting.adopt(candidate).await.map(PushOutcome::Taken)
    }

    /// Fills gaps in the line of heads that is kept, from the newest down, so that others can follow here; at most
    /// `heads_max` of them. Returns how many came.
    ///
    /// # Errors
    /// The source has no such head, or another; or the ledger failed.
    pub async fn fill_line(
        &self,
        catalog: &Arc<FollowedCatalog>,
        source: &SyncSource,
        heads_max: usize,
    ) -> Result<usize, SyncError> {
        let asker = Asker { fetcher: &self.fetcher, source };
        super::backfill::fill(catalog, &asker, heads_max).await
    }
}

/// The head that a source offers, or the present epoch's floor where it still offers one of the former epoch.
async fn candidate(
    catalog: &FollowedCatalog,
    head: &Unverified<Head>,
    adopting: &mut Adopting<'_>,
) -> Result<Verified<Head>, SyncError> {
    match verify(catalog, head) {
        Err(refusal @ HeadRefusal::FormerEpoch { .. }) => {
            adopting.floor().await?.ok_or_else(|| refusal.into())
        }
        verified => Ok(verified?),
    }
}

fn verify(catalog: &FollowedCatalog, head: &Unverified<Head>) -> Result<Verified<Head>, HeadRefusal> {
    let state = catalog.state();
    let trust = state.trust().ok_or(HeadRefusal::UnknownRoot { wanted: 1, known: 0 })?;
    let head = trust.verify_head(head)?;
    catalog.saw(&Mark::of(trust, &head));
    Ok(head)
}

/// A push is compare-and-swap: a head that neither is nor follows the newest loses. Heads of a new epoch, and heads
/// that void the held one, are judged instead.
fn conflict(catalog: &FollowedCatalog, candidate: &Verified<Head>) -> Option<Vec<u8>> {
    let state = catalog.state();
    let believed = state.believed()?;
    let held = believed.standing()?;
    let held_id: HeadId = held.id();
    let follows = candidate.id() == held_id
        || candidate.prev == Some(held_id)
        || candidate.epoch > held.epoch
        || candidate.void.contains(&held_id);
    (!follows).then(|| held.encode())
}

/// Takes every root that the source has beyond those held, one by one, each durable before the next is asked for.
async fn follow_roots(
    catalog: &Arc<FollowedCatalog>,
    asker: &Asker<'_>,
    now: Timestamp,
) -> Result<(), SyncError> {
    let mut taken = false;
    for _ in 0..ROOTS_MAX {
        let known = catalog.ledger().load(catalog.id()).map_or(0, |believed| believed.trust.root().version);
        let version = known + 1;
        let Some(root) = asker.root(version).await? else {
            if known > 0 {
                break;
            }
            let absent = crate::fetch::SourceFault::Absent(http::StatusCode::NOT_FOUND);
            return Err(SyncError::Source { item: LayoutPath::Root(version), source: absent });
        };
        put_root(catalog, root).await?;
        taken = true;
    }
    if taken {
        let _change = catalog.change().await;
        show_roots(catalog, now);
    }
    Ok(())
}

async fn put_root(catalog: &Arc<FollowedCatalog>, root: Unverified<Root>) -> Result<(), SyncError> {
    let version = root.claims().version;
    let put = catalog.with_ledger(move |ledger, id| ledger.put_root(id, &root)).await;
    let Err(SyncError::Ledger { catalog, source }) = put else { return put };
    Err(match *source {
        LedgerError::Root(refusal) => SyncError::Root { version, source: Box::new(refusal) },
        other => SyncError::Ledger { catalog, source: Box::new(other) },
    })
}

/// Shows what the ledger believes after new roots: states that they void are not served any more.
fn show_roots(catalog: &FollowedCatalog, now: Timestamp) {
    if let Some(believed) = catalog.ledger().load(catalog.id()) {
        catalog.advance(believed, None, now);
    }
}
