//! Adopting a head: lists and heads first, the mark last.
//!
//! | a crash after | leaves |
//! |---|---|
//! | the list, or a head | files above the mark, swept at the next start; the former head counts |
//! | the mark's rename | the new head counts; its list and the heads that lead to it are durable already |
//! | nothing swept yet | heads off the line, recognised by the links from the mark down |

use std::sync::Arc;

use odi_manifest::{
    Adopted, Ancestors, Because, CatalogId, Head, HeadId, RevId, RevocationList, Unverified, Verified,
    skip_target,
};

use super::files::{head_name, list_name};
use super::{CatalogTrust, Change, Ledger, LedgerError, records};

impl Ledger {
    /// Keeps a revocation list, so that a head which names it can be adopted.
    ///
    /// # Errors
    /// It is no list, the catalog is unknown, or the disk failed.
    pub fn put_list(&self, catalog: &CatalogId, encoded: &[u8]) -> Result<RevId, LedgerError> {
        let _change = self.change();
        self.known(catalog)?;
        RevocationList::decode(encoded)?;
        let id = RevId::of(encoded);
        self.files.put(catalog, &list_name(&id), encoded)?;
        Ok(id)
    }

    /// Adopts a head that [`judge`](odi_manifest::judge) said to adopt. When this returns, no crash and no restart goes
    /// back behind it, and a witness may cosign it. Its tree must be durable before.
    ///
    /// # Errors
    /// The mark would not grow, a revocation list is missing or lost an entry, the line that is held is left and a head
    /// that leads back to it is missing, or the disk failed.
    pub fn adopt(
        &self,
        catalog: &CatalogId,
        head: &Verified<Head>,
        adopted: &Adopted,
        ancestors: &Ancestors,
    ) -> Result<Arc<CatalogTrust>, LedgerError> {
        let mut change = self.change();
        let held = self.known(catalog)?;
        self.clean_up(&mut change, &held)?;
        let mark = adopted.mark;
        if mark.head != head.id() || head.catalog != *catalog {
            return Err(LedgerError::OtherHead);
        }
        if let Some(former) = held.mark.filter(|former| former.place() >= mark.place())
            && former != mark
        {
            return Err(LedgerError::GoesBack { held: former, offered: mark });
        }
        let mut next = CatalogTrust::clone(&held);
        next.revocations = Arc::new(self.check_lists(catalog, head, adopted)?);
        let between = lead_down(&mut next, head, adopted, ancestors)?;
        next.mark = Some(mark);
        next.newest = Some(head.clone());
        change.unclean.insert(*catalog);
        for (seq, id, encoded) in between {
            self.files.put(catalog, &head_name(seq, &id), &encoded)?;
        }
        self.files.put(catalog, &head_name(mark.seq, &mark.head), &head.encode())?;
        self.files.put_mark(catalog, Some(&mark))?;
        change.unclean.remove(catalog);
        self.publish(&change, *catalog, next.clone());
        if adopted.because != Because::Descends {
            records::sweep(&self.files, &next);
        }
        Ok(Arc::new(next))
    }

    /// Undoes what a failed adoption may have left on the disk, its mark included: it was never acknowledged, and its
    /// heads must not be taken for heads of the line after the next one is adopted.
    fn clean_up(&self, change: &mut Change<'_>, held: &CatalogTrust) -> Result<(), LedgerError> {
        let catalog = held.trust.catalog();
        if change.unclean.contains(catalog) {
            self.files.put_mark(catalog, held.mark.as_ref())?;
            records::try_sweep(&self.files, held)?;
            change.unclean.remove(catalog);
        }
        Ok(())
    }

    fn check_lists(
        &self,
        catalog: &CatalogId,
        head: &Verified<Head>,
        adopted: &Adopted,
    ) -> Result<RevocationList, LedgerError> {
        let read = |id: RevId| match self.files.read(catalog, &list_name(&id))? {
            Some(bytes) => Ok(RevocationList::decode_named(&bytes, &id)?),
            None => Err(LedgerError::MissingList(id)),
        };
        let list = head.revocations.map(read).transpose()?.unwrap_or_default();
        if let Some(former) = adopted.list_extends {
            let lost = || LedgerError::RevocationLost { former, new: head.revocations.unwrap_or(former) };
            if list.lost(&read(former)?).is_some() {
                return Err(lost());
            }
        }
        Ok(list)
    }

    /// Keeps an older head that the line names, as when the gaps of a long absence are filled. Says whether it was new.
    ///
    /// # Errors
    /// The next kept head above it names another, or none is there; or the disk failed.
    pub fn put_ancestor(&self, catalog: &CatalogId, head: &Unverified<Head>) -> Result<bool, LedgerError> {
        let change = self.change();
        let held = self.known(catalog)?;
        let (seq, id) = (head.claims().seq, head.id());
        if held.line.get(&seq) == Some(&id) {
            return Ok(false);
        }
        let above = held.line.range(seq.saturating_add(1)..).next();
        let above = match above {
            Some((above, above_id)) => super::recover::read_head(&self.files, catalog, *above, above_id)?,
            None => None,
        };
        let named = above.is_some_and(|above| above.prev == Some(id) || above.skip == Some(id));
        if !named || head.claims().catalog != *catalog {
            return Err(LedgerError::NotNamed { seq, head: id });
        }
        self.files.put(catalog, &head_name(seq, &id), &head.encode())?;
        let mut next = CatalogTrust::clone(&held);
        Arc::make_mut(&mut next.line).insert(seq, id);
        self.publish(&change, *catalog, next);
        Ok(true)
    }
}

/// A head to write: its number, id and envelope.
type Kept = (u64, HeadId, Vec<u8>);

/// Puts the new head and the ancestors that it names on the line. Where the head leaves the line that is held, the
/// way down by `prev` to the place where it joins must be complete, and what is beside it leaves the line.
fn lead_down(
    next: &mut CatalogTrust,
    head: &Verified<Head>,
    adopted: &Adopted,
    ancestors: &Ancestors,
) -> Result<Vec<Kept>, LedgerError> {
    let mut kept = Vec::new();
    let line = Arc::make_mut(&mut next.line);
    if adopted.because == Because::First {
        // Nothing is held, or what was is damaged: of the kept heads those stay to which the new one leads.
        let below = |target: Option<u64>| target.map_or(0, |seq| next.trust.ancestor(seq));
        let links = [(below(head.seq.checked_sub(1)), head.prev), (below(skip_target(head.seq)), head.skip)];
        let kept = links.into_iter().filter(|(seq, id)| id.is_some() && line.get(seq) == id.as_ref());
        let join = kept.map(|(seq, _)| seq).max().unwrap_or(0);
        line.retain(|seq, _| *seq <= join);
    }
    if adopted.because == Because::Voids {
        let mut at = (head.prev, head.seq);
        while let (Some(prev), above) = at {
            let seq = next.trust.ancestor(above.saturating_sub(1));
            if line.get(&seq) == Some(&prev) || seq == 0 {
                break;
            }
            let ancestor = ancestors.find(&prev).ok_or(LedgerError::NeedsAncestor { seq, head: prev })?;
            at = (ancestor.claims().prev, seq);
        }
        let join = at.0.map_or(0, |_| next.trust.ancestor(at.1.saturating_sub(1)));
        line.retain(|seq, _| *seq <= join);
    }
    let mut wanted: Vec<HeadId> = head.prev.into_iter().chain(head.skip).collect();
    while let Some(id) = wanted.pop() {
        let Some(ancestor) = ancestors.find(&id) else { continue };
        let claims = ancestor.claims();
        if line.insert(claims.seq, id) != Some(id) {
            kept.push((claims.seq, id, ancestor.encode()));
            wanted.extend(claims.prev.into_iter().chain(claims.skip));
        }
    }
    line.insert(head.seq, head.id());
    Ok(kept)
}
