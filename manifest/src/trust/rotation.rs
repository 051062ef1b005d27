//! One root after another: exactly the next version, signed by the old keys and by the new.
//!
//! Each rule closes a hole that an update system had: "not lower" instead of "exactly one more", old
//! keys alone, new keys alone. An expired root may be passed over on the way; only the newest one's date counts.

use super::{ROOTS_MAX, RootRefusal, TrustRoot};
use crate::record::Unverified;
use crate::root::{Floor, Root};
use crate::verify::{Role, RoleName, verify};

/// Every root has a root role, by the rules that it was decoded under.
pub(super) fn root_role(root: &Root) -> Role {
    root.role(RoleName::Root).expect("every root defines its root role")
}

impl TrustRoot {
    /// Takes the next root. On a refusal nothing has changed, and a better copy of that root may still come.
    ///
    /// # Errors
    /// The root is not the next one, not bound to the newest, not signed by the old or by its own threshold, or breaks
    /// a rule about epochs.
    pub fn rotate(&mut self, next: &Unverified<Root>) -> Result<(), RootRefusal> {
        let claims = next.claims();
        let expected = self.newest.version.saturating_add(1);
        if self.is_fork(next) {
            return Err(RootRefusal::Forked { version: claims.version });
        }
        if claims.version != expected {
            return Err(RootRefusal::NotTheNext { expected, found: claims.version });
        }
        if self.roots.len() >= ROOTS_MAX {
            return Err(RootRefusal::TooMany);
        }
        if claims.prev != Some(self.newest.id()) {
            return Err(RootRefusal::WrongPrevious { version: claims.version });
        }
        verify(next, &root_role(&self.newest)).map_err(RootRefusal::OldKeys)?;
        let verified = verify(next, &root_role(claims)).map_err(RootRefusal::NewKeys)?;
        if claims.moved == Some(self.catalog) {
            return Err(RootRefusal::MovedToItself);
        }
        let floor = self.check_epoch(claims)?;
        if let Some(floor) = floor {
            self.lineage.cut(&floor);
            self.floor = Some(floor);
        }
        self.roots.push(verified.clone());
        self.newest = verified;
        Ok(())
    }

    /// Whether this is a second, properly signed root of a version that is held: whoever has the root keys told others
    /// something else. The two envelopes prove it; nothing in-band can repair it.
    fn is_fork(&self, other: &Unverified<Root>) -> bool {
        let index = other.claims().version.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let held = index.and_then(|index| self.roots.get(index));
        let former = index.and_then(|index| index.checked_sub(1)).and_then(|index| self.roots.get(index));
        held.zip(former).is_some_and(|(held, former)| {
            held.payload() != other.payload()
                && [former.value(), other.claims()]
                    .into_iter()
                    .all(|root| verify(other, &root_role(root)).is_ok())
        })
    }

    /// The floor of the epoch that `next` opens; `None` if it opens none.
    fn check_epoch(&self, next: &Root) -> Result<Option<Floor>, RootRefusal> {
        let (from, to) = (self.newest.epoch, next.epoch);
        match (next.floor, to.checked_sub(from)) {
            (None, Some(0)) if takes_release_power_away(&self.newest, next) => Err(RootRefusal::EpochNeeded),
            (None, Some(0)) => Ok(None),
            (Some(floor), Some(1)) => self.check_floor(&floor).map(|()| Some(floor)),
            (Some(_), Some(0)) => Err(RootRefusal::FloorWithoutEpoch),
            (None, Some(1)) => Err(RootRefusal::EpochWithoutFloor),
            _ => Err(RootRefusal::EpochJump { from, to }),
        }
    }

    fn check_floor(&self, floor: &Floor) -> Result<(), RootRefusal> {
        if !self.lineage.contains(floor.seq) {
            return Err(RootRefusal::FloorOffTheLine { seq: floor.seq });
        }
        if floor.next <= self.lineage.open() {
            return Err(RootRefusal::SequenceReused { next: floor.next, used: self.lineage.open() });
        }
        Ok(())
    }
}

/// Whether heads that the old root allowed would not be allowed under the new one.
fn takes_release_power_away(old: &Root, new: &Root) -> bool {
    match (old.role(RoleName::Release), new.role(RoleName::Release)) {
        (Some(old), Some(new)) => {
            new.threshold() > old.threshold() || old.keys().iter().any(|key| !new.keys().contains(key))
        }
        _ => true,
    }
}
