//! Heads of one line that a source gave, by number and by id. Those found by id are the line's own; those found by
//! number are claims, good enough to look for a way to a tree that a signed root then judges.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use odi_manifest::{Head, HeadId, HeadRefusal, Unverified};

use super::SyncError;
use super::records::Asker;

/// The most heads that are remembered during one sync; a merged file has 1024.
const REMEMBERED_MAX: usize = 4096;

/// Heads that came during one sync.
#[derive(Debug, Default)]
pub(super) struct HeadLine {
    by_id: HashMap<HeadId, Unverified<Head>>,
    by_seq: BTreeMap<u64, HeadId>,
}

impl HeadLine {
    /// Remembers a head.
    pub(super) fn remember(&mut self, head: Unverified<Head>) {
        if self.by_id.len() >= REMEMBERED_MAX {
            self.by_id.clear();
            self.by_seq.clear();
        }
        let id = head.id();
        self.by_seq.insert(head.claims().seq, id);
        self.by_id.insert(id, head);
    }

    /// The head with this id, which the source keeps under this number.
    pub(super) async fn named(
        &mut self,
        asker: &Asker<'_>,
        seq: u64,
        id: &HeadId,
    ) -> Result<Unverified<Head>, SyncError> {
        if !self.by_id.contains_key(id) {
            asker.head_at(seq).await?.into_iter().for_each(|head| self.remember(head));
        }
        let found = self.by_id.get(id).cloned();
        found.ok_or_else(|| HeadRefusal::ForeignAncestor { head: *id }.into())
    }

    /// The head that the source says has this number.
    pub(super) async fn numbered(
        &mut self,
        asker: &Asker<'_>,
        seq: u64,
    ) -> Result<Unverified<Head>, SyncError> {
        if !self.by_seq.contains_key(&seq) {
            asker.head_at(seq).await?.into_iter().for_each(|head| self.remember(head));
        }
        let found = self.by_seq.get(&seq).and_then(|id| self.by_id.get(id)).cloned();
        found.ok_or_else(|| HeadRefusal::SequenceJump { expected: seq, found: 0 }.into())
    }

    /// Asks for several numbers at once. What does not come is asked for again when it is needed.
    pub(super) async fn prefetch(&mut self, asker: &Asker<'_>, seqs: impl IntoIterator<Item = u64>) {
        let unknown = seqs.into_iter().filter(|seq| !self.by_seq.contains_key(seq));
        let asked: Vec<_> = unknown.map(|seq| asker.head_at(seq)).collect();
        for heads in join_all(asked).await.into_iter().flatten() {
            heads.into_iter().for_each(|head| self.remember(head));
        }
    }
}
