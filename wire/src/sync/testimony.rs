//! What directories testify of a catalog beside its line of heads (PROTOCOL.md § Testimony): who vouches for which head, and
//! proofs that the release keys contradict themselves.
//!
//! A directory is believed nothing here either: cosignatures count by the witnesses' keys, proofs by themselves.

use std::sync::Arc;

use odi_manifest::{
    BlobId, CLOCK_SKEW_MAX, Cosig, EQUIVOCATION_BYTES_MAX, Equivocation, Head, HeadId, Timestamp, Unverified,
};
use odi_store::CatalogTrust;

use super::{FollowedCatalog, SyncClient, SyncError, SyncSource};
use crate::layout::LayoutPath;
use crate::message::{TESTIMONY_BYTES_MAX, TESTIMONY_PROOFS_MAX, Testimony};
use crate::off_worker::off_worker;

/// A directory's testimony as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testified {
    /// What it says.
    pub testimony: Testimony,
    /// The hash of the answer, by which the next one is told from it.
    pub hash: BlobId,
}

impl Testified {
    /// The newest head that the directory shows, unverified.
    #[must_use]
    pub fn head(&self) -> Option<Unverified<Head>> {
        self.testimony.head.as_deref().and_then(|head| Unverified::decode(head).ok())
    }
}

impl SyncClient {
    /// What a directory testifies of a catalog; nothing if it waited in vain, as the source says, for another answer than `known`.
    ///
    /// # Errors
    /// The directory does not answer, or not as it should.
    pub async fn testimony(
        &self,
        source: &SyncSource,
        known: Option<&BlobId>,
    ) -> Result<Option<Testified>, SyncError> {
        let (place, wait) = source.testimony(known);
        let answer = self.fetcher.waiting(wait).small(&place, TESTIMONY_BYTES_MAX as u64).await;
        let answer = answer.map_err(|source| SyncError::Source { item: LayoutPath::Testimony, source })?;
        if answer.is_empty() {
            return Ok(None);
        }
        let testimony = Testimony::decode(&answer).map_err(SyncError::Testimony)?;
        Ok(Some(Testified { testimony, hash: BlobId::of(&answer) }))
    }

    /// Keeps the cosignatures of a testimony that listed witnesses made and that say more than those which are held; how many.
    /// Others are passed over. One that is ahead of `now` by more than clocks may differ is not kept.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn keep_cosignatures(
        &self,
        catalog: &Arc<FollowedCatalog>,
        testimony: &Testimony,
        now: Timestamp,
    ) -> Result<usize, SyncError> {
        let words: Vec<Unverified<Cosig>> =
            testimony.cosigs.iter().filter_map(|word| Unverified::decode(word).ok()).collect();
        catalog
            .with_ledger(move |ledger, id| {
                let Some(believed) = ledger.load(id) else { return Ok(0) };
                let mut kept = 0;
                for word in words.iter().filter(|word| word.claims().t <= now.plus(CLOCK_SKEW_MAX)) {
                    if let Ok(cosignature) = believed.trust.verify_cosig(word) {
                        kept += usize::from(ledger.put_cosignature(id, &cosignature, now)?);
                    }
                }
                Ok(kept)
            })
            .await
    }

    /// Fetches the proofs of equivocation that a testimony names and that are not held, and keeps those that prove something;
    /// how many.
    ///
    /// # Errors
    /// A proof does not come or proves nothing, or the ledger failed. Those before it are kept.
    pub async fn keep_proofs(
        &self,
        catalog: &Arc<FollowedCatalog>,
        source: &SyncSource,
        testimony: &Testimony,
    ) -> Result<usize, SyncError> {
        let mut kept = 0;
        for [first, second] in &testimony.proofs {
            let Some(believed) = catalog.ledger().load(catalog.id()) else { break };
            if is_proven(&believed, first, second) {
                continue;
            }
            let item = LayoutPath::Equivocation { first: *first, second: *second };
            let bytes = self.fetcher.small(&source.item(item), EQUIVOCATION_BYTES_MAX as u64).await;
            let bytes = bytes.map_err(|source| SyncError::Source { item, source })?;
            let id = *catalog.id();
            let proof = off_worker(move || {
                let proof = Equivocation::decode(&bytes)?;
                proof.verify(id).map(|_| proof)
            })
            .await
            .map_err(|source| SyncError::Proof { item, source: Box::new(source) })?;
            // Another proof than was named is as good as the one that was.
            let put = catalog.with_ledger(move |ledger, id| ledger.put_equivocation(id, &proof));
            kept += usize::from(put.await?);
        }
        Ok(kept)
    }
}

/// Whether a proof that these heads contradict each other is held, or as many others as are kept.
fn is_proven(believed: &CatalogTrust, first: &HeadId, second: &HeadId) -> bool {
    believed.equivocations.len() >= TESTIMONY_PROOFS_MAX
        || believed.equivocations.iter().any(|proof| proof.head_ids() == [*first, *second])
}
