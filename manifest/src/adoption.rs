//! Which head to follow: one pure decision, [`judge`], over what is held and what is offered (FORMAT.md § Adoption).
//!
//! A newer head is adopted only if it descends from the held one, so nothing is ever skipped, rolled back or forked
//! away from unseen. The proof is a walk along `skip` and `prev`; `judge` names the one ancestor it lacks, the caller
//! fetches that and asks again. Ancestors need no signatures: the heads above them name their hashes.

mod descent;
mod mark;
mod revoke_only;

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::equivocation::Equivocation;
use crate::head::Head;
use crate::ids::{HeadId, RevId};
use crate::record::Unverified;
use crate::trust::{HeadRefusal, TrustRoot};
use crate::verify::{Basis, RoleName, Verified};
use descent::{Descent, descend};

pub use mark::Mark;

/// The most ancestors that one decision looks at. A walk over 2^32 heads takes under 600.
pub const ANCESTORS_MAX: usize = 2048;

/// Heads that were fetched to prove a descent, by their ids. They count for nothing until a head names them.
#[derive(Clone, Debug, Default)]
pub struct Ancestors(HashMap<HeadId, Unverified<Head>>);

impl Ancestors {
    /// Adds the head that [`judge`] asked for.
    ///
    /// # Errors
    /// It is another head, which is the source's fault, or there are [`ANCESTORS_MAX`] already.
    pub fn insert(&mut self, wanted: &HeadId, head: Unverified<Head>) -> Result<(), HeadRefusal> {
        if head.id() != *wanted {
            return Err(HeadRefusal::ForeignAncestor { head: *wanted });
        }
        self.offer(head)
    }

    /// Adds a head that may be asked for later, as when a source hands out many at once.
    ///
    /// # Errors
    /// There are [`ANCESTORS_MAX`] already.
    pub fn offer(&mut self, head: Unverified<Head>) -> Result<(), HeadRefusal> {
        if self.0.len() >= ANCESTORS_MAX {
            return Err(HeadRefusal::TooFar(ANCESTORS_MAX));
        }
        self.0.insert(head.id(), head);
        Ok(())
    }

    /// A head that was added.
    #[must_use]
    pub fn find(&self, id: &HeadId) -> Option<&Unverified<Head>> {
        self.0.get(id)
    }
}

/// What to do with a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It is the one that is held.
    Same,
    /// Follow it.
    Adopt(Adopted),
    /// Fetch this ancestor, add it to [`Ancestors`], and ask again.
    NeedsAncestor {
        /// Its sequence number, which is where a source keeps it.
        seq: u64,
        /// Its id.
        head: HeadId,
    },
    /// The release keys signed two heads of one number. Keep following the held one; keep and publish the proof.
    Equivocation(Box<Equivocation>),
}

/// A head that may be followed, once its tree and revocation list have been checked as well. Only [`judge`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adopted {
    /// Its place in the order, above every one held before.
    pub mark: Mark,
    /// Why it follows what is held.
    pub because: Because,
    /// The revocation list whose every entry its own must repeat.
    pub list_extends: Option<RevId>,
}

/// Why a head follows what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Nothing was held.
    First,
    /// It descends from the held head.
    Descends,
    /// A root opened an epoch, and it descends from, or is, that epoch's floor.
    NewEpoch,
    /// It, or a head between, voids the held one.
    Voids,
}

/// Decides about a verified head: what is held, what has been fetched to prove a descent, and what time it is.
///
/// # Errors
/// The head must not be followed, for the reason given; the held one keeps its place.
pub fn judge(
    trust: &TrustRoot,
    held: Option<&Verified<Head>>,
    candidate: &Verified<Head>,
    ancestors: &Ancestors,
    now: Timestamp,
) -> Result<Adoption, HeadRefusal> {
    let mark = Mark::of(trust, candidate);
    if let Some(held) = held {
        let former = Mark::of(trust, held);
        if former.head == mark.head {
            return Ok(Adoption::Same);
        }
        if former.place() == mark.place() {
            return Ok(match Equivocation::between(trust, held, candidate) {
                Some(proof) => Adoption::Equivocation(Box::new(proof)),
                None => return Err(divergent(former.seq, former.head, mark.head)),
            });
        }
        if former.place() > mark.place() {
            return Err(HeadRefusal::Rollback { held: former.seq, found: mark.seq });
        }
    }
    check_dates(trust, candidate, now)?;
    let because = match connect(trust, held, candidate, ancestors)? {
        Connection::Made(because) => because,
        Connection::Needs(seq, head) => return Ok(Adoption::NeedsAncestor { seq, head }),
    };
    if candidate.basis() == Basis::Signed(RoleName::Revoke)
        && let Some((seq, head)) = revoke_only::find_base(trust, held, candidate, ancestors)?
    {
        return Ok(Adoption::NeedsAncestor { seq, head });
    }
    match list_to_extend(trust, held, candidate, ancestors, because) {
        Extends::List(list_extends) => Ok(Adoption::Adopt(Adopted { mark, because, list_extends })),
        Extends::Unknown(seq, head) => Ok(Adoption::NeedsAncestor { seq, head }),
        Extends::Dropped => Err(HeadRefusal::RevocationLost),
    }
}

const fn divergent(seq: u64, held: HeadId, theirs: HeadId) -> HeadRefusal {
    HeadRefusal::Divergent { seq, held, theirs }
}

/// What has expired is not newly adopted; what is held stays, and is shown as stale.
fn check_dates(trust: &TrustRoot, candidate: &Head, now: Timestamp) -> Result<(), HeadRefusal> {
    if trust.is_expired(now) {
        return Err(HeadRefusal::RootExpired { expired: trust.root().expires });
    }
    if candidate.expires <= now {
        return Err(HeadRefusal::Expired { expired: candidate.expires });
    }
    Ok(())
}

enum Connection {
    Made(Because),
    Needs(u64, HeadId),
}

/// Shows how the candidate follows what is held. In a new epoch the root's floor takes the held head's place.
fn connect(
    trust: &TrustRoot,
    held: Option<&Verified<Head>>,
    candidate: &Verified<Head>,
    ancestors: &Ancestors,
) -> Result<Connection, HeadRefusal> {
    let first = trust.floor().map_or(1, |floor| floor.next);
    let is_floor = trust.is_floor(candidate.seq, &candidate.id());
    if candidate.seq < first && !is_floor {
        return Err(HeadRefusal::SequenceJump { expected: first, found: candidate.seq });
    }
    let Some(held) = held else { return Ok(Connection::Made(Because::First)) };
    let (target, because) = match trust.floor() {
        Some(_) if is_floor => return Ok(Connection::Made(Because::NewEpoch)),
        Some(floor) if Mark::of(trust, held).epoch < trust.epoch() => {
            ((floor.seq, floor.head), Because::NewEpoch)
        }
        _ => ((held.seq, held.id()), Because::Descends),
    };
    match descend(trust, candidate, target, &held.id(), ancestors)? {
        Descent::Reached => Ok(Connection::Made(because)),
        Descent::Voided => Ok(Connection::Made(Because::Voids)),
        Descent::Missing { seq, head } => Ok(Connection::Needs(seq, head)),
        Descent::Elsewhere { theirs } => Err(divergent(target.0, target.1, theirs)),
    }
}

enum Extends {
    List(Option<RevId>),
    Unknown(u64, HeadId),
    Dropped,
}

/// Lists grow within an epoch; a new epoch starts from the floor's.
fn list_to_extend(
    trust: &TrustRoot,
    held: Option<&Verified<Head>>,
    candidate: &Verified<Head>,
    ancestors: &Ancestors,
    because: Because,
) -> Extends {
    let former = match (because, held, trust.floor()) {
        (Because::First, ..) | (_, None, _) => None,
        (Because::NewEpoch, Some(held), Some(floor)) if held.id() != floor.head => {
            let is_floor = candidate.id() == floor.head;
            match ancestors.find(&floor.head) {
                _ if floor.seq == 0 || is_floor => None,
                Some(head) => head.claims().revocations,
                None => return Extends::Unknown(floor.seq, floor.head),
            }
        }
        (_, Some(held), _) => held.revocations,
    };
    if former.is_some() && candidate.revocations.is_none() {
        return Extends::Dropped;
    }
    Extends::List(former)
}
