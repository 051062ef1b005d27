//! Words that surround the line: cosignatures, proofs, self-revocations, and reading back what is kept.

use std::sync::Arc;

use odi_manifest::{
    CLOCK_SKEW_MAX, CatalogId, Cosig, Cosignature, Equivocation, RevId, RevocationList, SelfRevocation,
    Timestamp, TrustRoot, Unverified,
};

use super::files::{Files, cosignature_name, head_name, list_name, parse_head_name, retirement_name};
use super::{CatalogTrust, Ledger, LedgerError};

/// The most proofs of equivocation that are kept per catalog; one is enough to show.
const EQUIVOCATIONS_MAX: usize = 16;

impl Ledger {
    /// Keeps a witness's cosignature unless one of it is held that says as much as late; says whether it was kept. A larger head
    /// counts before a later time, so that a witness's word for it is not forgotten over a later one for a smaller head. A
    /// held word from beyond `now` and the tolerated skew was said by a wrong clock, and yields to any other for that head.
    ///
    /// # Errors
    /// The catalog is unknown, or the disk failed.
    pub fn put_cosignature(
        &self,
        catalog: &CatalogId,
        cosignature: &Cosignature,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let change = self.change();
        let held = self.known(catalog)?;
        let latest = now.plus(CLOCK_SKEW_MAX);
        let rank = |word: &Cosignature| {
            let Cosig { t, seq, epoch, .. } = **word.cosig();
            (epoch, seq, if t <= latest { t } else { Timestamp(0) })
        };
        let same = |known: &&Cosignature| known.witness() == cosignature.witness();
        if held.cosignatures.iter().find(same).is_some_and(|known| rank(known) >= rank(cosignature)) {
            return Ok(false);
        }
        let name = cosignature_name(cosignature.witness());
        self.files.put(catalog, &name, &cosignature.cosig().encode())?;
        let mut next = CatalogTrust::clone(&held);
        next.cosignatures.retain(|known| known.witness() != cosignature.witness());
        next.cosignatures.push(cosignature.clone());
        self.publish(&change, *catalog, next);
        Ok(true)
    }

    /// Keeps a proof that the catalog's release keys signed two heads of one number; says whether it was new.
    ///
    /// # Errors
    /// It proves nothing, the catalog is unknown, or the disk failed.
    pub fn put_equivocation(&self, catalog: &CatalogId, proof: &Equivocation) -> Result<bool, LedgerError> {
        let change = self.change();
        let held = self.known(catalog)?;
        let seq = proof.verify(*catalog)?;
        let [a, b] = proof.head_ids();
        let known = held.equivocations.iter().any(|known| known.head_ids() == [a, b]);
        if known || held.equivocations.len() >= EQUIVOCATIONS_MAX {
            return Ok(false);
        }
        let name = format!("equivocation-{seq}-{:.16}-{:.16}", a.to_string(), b.to_string());
        self.files.put(catalog, &name, &proof.encode())?;
        let mut next = CatalogTrust::clone(&held);
        next.equivocations.push(proof.clone());
        self.publish(&change, *catalog, next);
        Ok(true)
    }

    /// Stops believing a key at its own word, for good.
    ///
    /// # Errors
    /// The key did not sign it, the catalog is unknown, or the disk failed.
    pub fn put_self_revocation(
        &self,
        catalog: &CatalogId,
        words: &Unverified<SelfRevocation>,
    ) -> Result<(), LedgerError> {
        let change = self.change();
        let mut next = CatalogTrust::clone(&*self.known(catalog)?);
        next.trust.retire(words)?;
        self.files.put(catalog, &retirement_name(&words.claims().key), &words.encode())?;
        self.publish(&change, *catalog, next);
        Ok(())
    }

    /// The envelope of a kept head of the line; `None` if none is kept at that number.
    ///
    /// # Errors
    /// The disk failed.
    pub fn head(&self, catalog: &CatalogId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some(state) = self.load(catalog) else { return Ok(None) };
        let Some(id) = state.line.get(&seq) else { return Ok(None) };
        self.files.read(catalog, &head_name(seq, id))
    }

    /// A kept revocation list, as it came.
    ///
    /// # Errors
    /// The disk failed.
    pub fn list(&self, catalog: &CatalogId, id: &RevId) -> Result<Option<Vec<u8>>, LedgerError> {
        self.files.read(catalog, &list_name(id))
    }
}

/// A catalog of which only the roots are known.
pub(super) fn fresh(trust: TrustRoot) -> CatalogTrust {
    CatalogTrust {
        trust,
        mark: None,
        newest: None,
        revocations: Arc::new(RevocationList::default()),
        line: Arc::default(),
        cosignatures: Vec::new(),
        equivocations: Vec::new(),
    }
}

/// Takes off the line what the present epoch's floor has cut off.
pub(super) fn cut_line(state: &mut CatalogTrust) {
    let trust = &state.trust;
    let cut = |seq: u64| trust.ancestor(seq) != seq;
    let other = |seq, id| trust.floor().is_some_and(|floor| floor.seq == seq && floor.head != id);
    if state.line.iter().any(|(seq, id)| cut(*seq) || other(*seq, *id)) {
        Arc::make_mut(&mut state.line).retain(|seq, id| !cut(*seq) && !other(*seq, *id));
    }
}

/// Removes heads that are neither on the line nor the mark's own. What it fails to remove, the next sweep meets.
pub(super) fn sweep(files: &Files, state: &CatalogTrust) {
    let catalog = state.trust.catalog();
    if let Err(error) = try_sweep(files, state) {
        tracing::warn!(%catalog, error = &error as &dyn std::error::Error, "stray heads stay in the ledger");
    }
}

pub(super) fn try_sweep(files: &Files, state: &CatalogTrust) -> Result<(), LedgerError> {
    let catalog = state.trust.catalog();
    let stray = |name: &String| {
        parse_head_name(name).is_some_and(|(seq, id)| {
            state.line.get(&seq) != Some(&id) && state.mark.is_none_or(|mark| mark.head != id)
        })
    };
    let strays: Vec<String> = files.names(catalog)?.into_iter().filter(stray).collect();
    files.remove(catalog, &strays)
}
