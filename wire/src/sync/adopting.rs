//! One adoption: proof of descent, revocation list, tree, then the ledger, then the world.
//!
//! No reclaim takes nodes from beginning to end. The right to change the catalog is needed for the last two only; what
//! was judged before is judged again if the catalog has changed meanwhile.
//!
//! | a crash after | leaves |
//! |---|---|
//! | the nodes | nodes that no state names; the next reclaim takes them |
//! | the ledger's mark | the new head, whose tree is durable: it is found at the next start |

use std::sync::Arc;

use odi_manifest::{
    Adopted, Adoption, Ancestors, Because, Equivocation, Floor, Head, HeadId, HeadRefusal, RevId,
    RevocationList, Timestamp, Tree, Unverified, Verified, judge,
};
use odi_store::{CatalogTrust, LedgerError};
use tokio::sync::MutexGuard;

use super::client::{Advance, SyncOutcome};
use super::followed::trust_of;
use super::head_line::HeadLine;
use super::records::Asker;
use super::tree_sync::{TreeSearch, apply};
use super::{CatalogState, FollowedCatalog, RetainedHead, SyncError, TreeFault};
use crate::layout::LayoutPath;
use crate::message::Push;
use crate::off_worker::off_worker;

/// Where the pieces of an adoption come from: a push first, then a source.
#[derive(Clone, Copy)]
pub(super) struct Supply<'a> {
    pub(super) asker: Option<Asker<'a>>,
    pub(super) push: Option<&'a Push>,
}

/// An adoption under way.
pub(super) struct Adopting<'a> {
    catalog: &'a Arc<FollowedCatalog>,
    /// The right to change the catalog, taken at the latest before the ledger is written.
    change: Option<MutexGuard<'a, ()>>,
    supply: Supply<'a>,
    line: HeadLine,
    proof: Ancestors,
    now: Timestamp,
}

enum Judged {
    /// The ledger has it, and its tree is missing here.
    Again,
    Adopt(Adopted),
}

impl<'a> Adopting<'a> {
    pub(super) fn new(catalog: &'a Arc<FollowedCatalog>, supply: Supply<'a>, now: Timestamp) -> Self {
        Self { catalog, change: None, supply, line: HeadLine::default(), proof: Ancestors::default(), now }
    }

    /// The same with the right to change the catalog from the beginning.
    pub(super) fn holding(mut self, change: MutexGuard<'a, ()>) -> Self {
        self.change = Some(change);
        self
    }

    /// The head that the present epoch's floor names, if what is held has fallen with the former epoch.
    pub(super) async fn floor(&mut self) -> Result<Option<Verified<Head>>, SyncError> {
        let state = self.catalog.state();
        let believed = trust_of(&state)?;
        let Some(floor) = believed.trust.floor().filter(|floor| floor.head != Floor::NO_HEAD) else {
            return Ok(None);
        };
        if believed.standing().is_some() {
            return Ok(None);
        }
        let head = self.ancestor(floor.seq, &floor.head).await?;
        Ok(Some(believed.trust.verify_head(&head)?))
    }

    /// Adopts a verified head, unless it must not be followed or is held already.
    pub(super) async fn adopt(&mut self, candidate: Verified<Head>) -> Result<SyncOutcome, SyncError> {
        // Until the state is shown no reclaim is told of its nodes, nor of those that it shares with what expires.
        let _nodes = self.catalog.store().hold_nodes();
        let state = self.catalog.state();
        let believed = Arc::clone(trust_of(&state)?);
        let Some(judged) = self.judge(&believed, &candidate).await? else {
            return Ok(SyncOutcome::Unchanged);
        };
        self.get_list(candidate.revocations).await?;
        let (tree, faults) = self.find_tree(&believed, &candidate, &state).await?;
        check_sums(&candidate, &tree)?;
        let store = self.catalog.store().clone();
        off_worker(move || store.flush()).await?;

        self.take_change().await;
        let state = self.catalog.state();
        let current = Arc::clone(trust_of(&state)?);
        let (candidate, judged) = if Arc::ptr_eq(&current, &believed) {
            (candidate, judged)
        } else {
            let candidate = current.trust.verify_head(&candidate.unverified())?;
            match self.judge(&current, &candidate).await? {
                Some(judged) => (candidate, judged),
                None => return Ok(SyncOutcome::Unchanged),
            }
        };
        let (believed, because) = match judged {
            Judged::Again => (current, Because::Descends),
            Judged::Adopt(adopted) => (self.record(&candidate, adopted).await?, adopted.because),
        };
        let to = Arc::new(RetainedHead::new(candidate, tree, self.now));
        self.catalog.advance(believed, Some(Arc::clone(&to)), self.now);
        Ok(SyncOutcome::Advanced(Advance { from: state.newest().cloned(), to, because, faults }))
    }

    /// Adopts a verified head for its signatures alone, without its tree.
    pub(super) async fn adopt_head(&mut self, candidate: &Verified<Head>) -> Result<(), SyncError> {
        self.take_change().await;
        let believed = Arc::clone(trust_of(&self.catalog.state())?);
        let Some(Judged::Adopt(adopted)) = self.judge(&believed, candidate).await? else { return Ok(()) };
        self.get_list(candidate.revocations).await?;
        let believed = self.record(candidate, adopted).await?;
        self.catalog.advance(believed, None, self.now);
        Ok(())
    }

    async fn take_change(&mut self) {
        if self.change.is_none() {
            self.change = Some(self.catalog.change().await);
        }
    }

    /// The judgement over a head; nothing if it is held, tree and all.
    async fn judge(
        &mut self,
        believed: &CatalogTrust,
        candidate: &Verified<Head>,
    ) -> Result<Option<Judged>, SyncError> {
        let state = self.catalog.state();
        let newest = state.newest().filter(|newest| !state.is_torn(&newest.id));
        let held = newest.is_some_and(|newest| newest.id == candidate.id());
        loop {
            let judged = judge(&believed.trust, believed.newest.as_ref(), candidate, &self.proof, self.now);
            if let Err(HeadRefusal::Divergent { seq, theirs, .. }) = &judged
                && let Some(proof) = self.evidence(believed, *seq, theirs).await
            {
                return self.show_equivocation(Box::new(proof)).await;
            }
            match judged? {
                Adoption::Same if held => return Ok(None),
                Adoption::Same => return Ok(Some(Judged::Again)),
                Adoption::Adopt(adopted) => return Ok(Some(Judged::Adopt(adopted))),
                Adoption::NeedsAncestor { seq, head } => {
                    let ancestor = self.ancestor(seq, &head).await?;
                    self.proof.insert(&head, ancestor)?;
                }
                Adoption::Equivocation(proof) => return self.show_equivocation(proof).await,
            }
        }
    }

    /// Where a head descends from another one than ours: the proof that both of that number were signed, if they were.
    async fn evidence(&mut self, believed: &CatalogTrust, seq: u64, theirs: &HeadId) -> Option<Equivocation> {
        let ours = believed.newest.as_ref().filter(|newest| newest.seq == seq)?;
        let theirs = match self.proof.find(theirs) {
            Some(head) => head.clone(),
            None => self.ancestor(seq, theirs).await.ok()?,
        };
        Equivocation::between(&believed.trust, ours, &believed.trust.verify_head(&theirs).ok()?)
    }

    /// Keeps and reports a proof that the release keys contradict themselves. What is held stays.
    async fn show_equivocation<T>(&mut self, proof: Box<Equivocation>) -> Result<T, SyncError> {
        let kept = proof.clone();
        self.take_change().await;
        self.catalog.with_ledger(move |ledger, id| ledger.put_equivocation(id, &kept)).await?;
        if let Some(believed) = self.catalog.ledger().load(self.catalog.id()) {
            self.catalog.advance(believed, None, self.now);
        }
        let [first, _] = proof.heads();
        Err(SyncError::Equivocation { seq: first.claims().seq, proof })
    }

    async fn ancestor(&mut self, seq: u64, id: &HeadId) -> Result<Unverified<Head>, SyncError> {
        // What the ledger keeps need not be asked for.
        let kept = self.catalog.with_ledger(move |ledger, catalog| ledger.head(catalog, seq)).await?;
        let kept = kept.and_then(|envelope| Unverified::<Head>::decode(&envelope).ok());
        if let Some(head) = kept.filter(|head| head.id() == *id) {
            return Ok(head);
        }
        match &self.supply.asker {
            Some(asker) => self.line.named(asker, seq, id).await,
            None => Err(SyncError::Lacking { item: LayoutPath::HeadAt(seq) }),
        }
    }

    /// Has the ledger keep the revocation list that a head names.
    async fn get_list(&self, id: Option<RevId>) -> Result<(), SyncError> {
        let Some(id) = id else { return Ok(()) };
        if self.catalog.with_ledger(move |ledger, catalog| ledger.list(catalog, &id)).await?.is_some() {
            return Ok(());
        }
        let encoded = match (self.supply.push.and_then(|push| push.rev.as_ref()), &self.supply.asker) {
            (Some(pushed), _) if RevId::of(pushed) == id => pushed.clone(),
            (_, Some(asker)) => asker.revocations(id).await?,
            _ => return Err(SyncError::Lacking { item: LayoutPath::Revocations(id) }),
        };
        let list = RevocationList::decode_named(&encoded, &id);
        list.map_err(|source| SyncError::Revocations { id, source: Box::new(source) })?;
        self.catalog.with_ledger(move |ledger, catalog| ledger.put_list(catalog, &encoded)).await.map(|_| ())
    }

    async fn find_tree(
        &mut self,
        believed: &CatalogTrust,
        candidate: &Verified<Head>,
        state: &CatalogState,
    ) -> Result<(Tree, Vec<TreeFault>), SyncError> {
        let held = state.intact();
        let mut tried = Vec::new();
        // Whoever holds nothing starts from the empty manifest and from no head.
        if let Some(diff) = self.supply.push.and_then(|push| push.diff.clone()) {
            let (catalog, nodes) = (*self.catalog.id(), self.catalog.nodes());
            let nothing = || (Floor::NO_HEAD, Tree::empty());
            let (from, tree) = held.first().map_or_else(nothing, |base| (base.id, base.tree));
            let (to, root) = (candidate.id(), candidate.tree);
            match off_worker(move || apply(&diff, catalog, (from, to), nodes, &tree, &root)).await {
                Ok(tree) => return Ok((tree, tried)),
                Err(fault) => tried.push(fault),
            }
        }
        let wanted = candidate.unverified();
        let Some(asker) = self.supply.asker else {
            let same = held.iter().find(|held| held.tree.root == candidate.tree).map(|held| held.tree);
            return same.map(|tree| (tree, Vec::new())).ok_or(SyncError::NoTree { tried });
        };
        let (trust, store, line) = (&believed.trust, self.catalog.store(), &mut self.line);
        let mut search = TreeSearch { asker, trust, store, line, tried };
        let tree = search.find(&wanted, &held, held.len() < state.retained().len()).await?;
        Ok((tree, search.tried))
    }

    /// Makes the adoption durable. From here on no crash goes back behind it.
    async fn record(
        &mut self,
        candidate: &Verified<Head>,
        adopted: Adopted,
    ) -> Result<Arc<CatalogTrust>, SyncError> {
        loop {
            let (head, proof) = (candidate.clone(), self.proof.clone());
            let recorded = self
                .catalog
                .with_ledger(move |ledger, catalog| ledger.adopt(catalog, &head, &adopted, &proof))
                .await;
            match recorded {
                Err(SyncError::Ledger { catalog, source }) => match *source {
                    LedgerError::NeedsAncestor { seq, head } => {
                        let ancestor = self.ancestor(seq, &head).await?;
                        self.proof.insert(&head, ancestor)?;
                    }
                    other => return Err(SyncError::Ledger { catalog, source: Box::new(other) }),
                },
                recorded => return recorded,
            }
        }
    }
}

/// What the head says of the tree in sum must hold, as placement and pages rely on it.
fn check_sums(head: &Verified<Head>, tree: &Tree) -> Result<(), SyncError> {
    if (head.entries, head.bytes) == (tree.entries, tree.bytes) {
        return Ok(());
    }
    let (said, said_bytes) = (head.entries, head.bytes);
    Err(SyncError::Sums { said, said_bytes, has: tree.entries, has_bytes: tree.bytes })
}
