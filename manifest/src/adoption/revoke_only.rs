//! Heads that revoke keys signed: they may change `seq`, `prev`, `skip`, `ct` and `rev`, and nothing else.
//!
//! "Nothing else" is measured against a head that is trusted by itself: the held one, or the nearest ancestor that
//! release keys signed. The heads between must keep to it as well, or a stolen revoke key could bring its own tree in
//! through an unsigned head below its signed one.

use super::descent::check_place;
use super::{ANCESTORS_MAX, Ancestors};
use crate::head::Head;
use crate::ids::HeadId;
use crate::trust::{HeadRefusal, TrustRoot};
use crate::verify::{Basis, RoleName, Verified};

/// Walks down to the head that vouches for all but the revocations. `Some` names an ancestor that is not there yet.
pub(super) fn find_base(
    trust: &TrustRoot,
    held: Option<&Verified<Head>>,
    candidate: &Verified<Head>,
    ancestors: &Ancestors,
) -> Result<Option<(u64, HeadId)>, HeadRefusal> {
    let held = held.map(|head| (head.id(), head));
    let mut at = candidate.value();
    for _ in 0..ANCESTORS_MAX {
        let prev = at.prev.ok_or(HeadRefusal::RevokeChangesMore)?;
        let seq = trust.ancestor(at.seq.saturating_sub(1));
        if let Some((id, head)) = held
            && id == prev
        {
            return same_but_for_revocations(head, candidate).map(|()| None);
        }
        let Some(ancestor) = ancestors.find(&prev) else { return Ok(Some((seq, prev))) };
        at = ancestor.claims();
        check_place(trust, at, seq, prev)?;
        same_but_for_revocations(at, candidate)?;
        if trust.verify_head(ancestor).is_ok_and(|head| head.basis() == Basis::Signed(RoleName::Release)) {
            return Ok(None);
        }
    }
    Err(HeadRefusal::TooFar(ANCESTORS_MAX))
}

fn same_but_for_revocations(base: &Head, candidate: &Head) -> Result<(), HeadRefusal> {
    let expected = Head {
        seq: candidate.seq,
        prev: candidate.prev,
        skip: candidate.skip,
        created: candidate.created,
        revocations: candidate.revocations,
        ..base.clone()
    };
    if expected == *candidate { Ok(()) } else { Err(HeadRefusal::RevokeChangesMore) }
}
