//! The walk from a head back to a wanted ancestor, by `skip` where that does not overshoot, else by `prev`.

use super::Ancestors;
use crate::head::{Head, skip_target};
use crate::ids::HeadId;
use crate::root::Floor;
use crate::trust::{HeadRefusal, TrustRoot};

/// Where a walk ended.
pub(super) enum Descent {
    /// At the wanted head.
    Reached,
    /// Beside it, but a head on the way voids the held one.
    Voided,
    /// Before a head that has to be fetched first.
    Missing { seq: u64, head: HeadId },
    /// At another head where the wanted one should be.
    Elsewhere { theirs: HeadId },
}

/// Walks from `candidate` to the ancestor `(seq, id)` below it. Every step goes to a smaller number, and the number of
/// every ancestor is dictated by the line, so a false number or a loop ends the walk.
pub(super) fn descend(
    trust: &TrustRoot,
    candidate: &Head,
    target: (u64, HeadId),
    held: &HeadId,
    ancestors: &Ancestors,
) -> Result<Descent, HeadRefusal> {
    let mut at = candidate;
    let mut voided = false;
    loop {
        voided |= at.void.contains(held);
        let (seq, id) = step(trust, at, target.0);
        if seq <= target.0 {
            return Ok(match id {
                id if seq == target.0 && id == target.1 => Descent::Reached,
                _ if voided => Descent::Voided,
                theirs => Descent::Elsewhere { theirs },
            });
        }
        if id == target.1 {
            return Err(HeadRefusal::SequenceJump { expected: target.0, found: seq });
        }
        let Some(ancestor) = ancestors.find(&id) else {
            return Ok(Descent::Missing { seq, head: id });
        };
        at = ancestor.claims();
        check_place(trust, at, seq, id)?;
    }
}

/// The next ancestor on the way: its number, which the line dictates, and its id.
fn step(trust: &TrustRoot, at: &Head, target: u64) -> (u64, HeadId) {
    let skip = skip_target(at.seq).map(|seq| trust.ancestor(seq)).zip(at.skip);
    let prev = (trust.ancestor(at.seq.saturating_sub(1)), at.prev.unwrap_or(Floor::NO_HEAD));
    skip.filter(|(seq, _)| *seq >= target).unwrap_or(prev)
}

/// An ancestor must say what its place in the chain says of it.
pub(super) fn check_place(trust: &TrustRoot, head: &Head, seq: u64, id: HeadId) -> Result<(), HeadRefusal> {
    if head.catalog != *trust.catalog() {
        return Err(HeadRefusal::ForeignAncestor { head: id });
    }
    if head.seq != seq {
        return Err(HeadRefusal::SequenceJump { expected: seq, found: head.seq });
    }
    Ok(())
}
