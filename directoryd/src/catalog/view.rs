//! The states of a catalog that a directory can answer from: pure, replaced as a whole, shared by every request.
//!
//! Invariants
//! - `served` is newest first, and a state in it stays for as long as the catalog was granted after it was superseded, unless more
//!   than [`RETAINED_MAX`] others follow it in that time.
//! - An adopted state waits in `waiting`, oldest first, until the state rules let it be served; each ages on its own, so
//!   that a catalog published every second is not kept waiting for ever. One that a newer state overtook is in `overtaken`, for as
//!   long as a served one would stay: relays may be full at it, and what they hold is judged by it.
//! - No state in it is voided by a root that the catalog's trust has reached: see [`View::without_fallen`].
//! - A state comes in only after its head was verified, its tree recomputed and both are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odi_manifest::{BlobId, Entry, Head, HeadId, Mark, Pin, Timestamp, Tree, TrustRoot, Verified};
use odi_wire::sync::{RETAINED_MAX, RetainedHead};

use super::mutable::Mutable;
use crate::state_rules;

/// The most changed large blobs that a state remembers in order to wait for their holders. One with more waits for the
/// time to pass.
pub const CHANGED_MAX: usize = 20_000;

/// The most states that wait at once; the oldest but one goes first.
const WAITING_MAX: usize = 64;

/// One adopted head and its recomputed tree.
#[derive(Debug)]
pub struct State {
    /// The head.
    pub head: Verified<Head>,
    /// Its name.
    pub id: HeadId,
    /// Its name in URLs.
    pub pin: Pin,
    /// Its manifest.
    pub tree: Tree,
    /// When this directory adopted it.
    pub adopted: Timestamp,
    /// What it waits for. Another state that takes its place leaves it without: [`State::settled`].
    pub change: Change,
}

/// What an adopted state changes of the one that was served at that time.
#[derive(Debug)]
pub struct Change {
    /// The large blobs that the former state did not name at their paths; `None` if there are more than [`CHANGED_MAX`].
    pub large: Option<Vec<BlobId>>,
    /// Small artifacts that changed likewise, to be carried before the state is served; not all of very many.
    pub small: Vec<(String, Entry)>,
    /// Whether that has been done, as far as it could be.
    pub carried: AtomicBool,
}

impl Change {
    /// Nothing to wait for.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { large: Some(Vec::new()), small: Vec::new(), carried: AtomicBool::new(true) }
    }

    /// Whether what is small and changed was fetched, as far as it could be.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.carried.load(Ordering::Acquire)
    }
}

impl State {
    /// A state from which no change is to be waited for.
    #[must_use]
    pub fn unchanged(head: &RetainedHead) -> Self {
        Self {
            head: head.head.clone(),
            id: head.id,
            pin: head.pin,
            tree: head.tree,
            adopted: head.adopted,
            change: Change::nothing(),
        }
    }

    /// The state without what it waited for. A hundred former states are kept, and what each changed may be megabytes.
    #[must_use]
    fn settled(&self) -> Arc<Self> {
        let Self { head, id, pin, tree, adopted, change: _ } = self;
        let (head, change) = (head.clone(), Change::nothing());
        Arc::new(Self { head, id: *id, pin: *pin, tree: *tree, adopted: *adopted, change })
    }

    /// Whether a root has since voided its head.
    #[must_use]
    pub fn is_fallen(&self, trust: &TrustRoot) -> bool {
        Mark::of(trust, &self.head).is_fallen(trust)
    }

    /// Whether the present epoch sets in after it.
    #[must_use]
    pub fn is_floor(&self, trust: &TrustRoot) -> bool {
        trust.is_floor(self.head.seq, &self.id)
    }
}

/// A state that is servable, and since when.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The state.
    pub state: Arc<State>,
    /// When it became the newest served one; unknown where that was before a restart.
    pub since: Option<Timestamp>,
    /// When another one did, if so.
    pub superseded: Option<Timestamp>,
}

/// What a catalog can be answered from.
#[derive(Clone, Debug, Default)]
pub struct View {
    served: Vec<Kept>,
    waiting: Vec<Arc<State>>,
    /// Newest first; at most [`RETAINED_MAX`].
    overtaken: Vec<Kept>,
    /// The paths whose bytes the newest adopted state or one before it replaced.
    mutable: Arc<Mutable>,
}

impl View {
    /// The view after a restart: former heads, newest first, count as superseded now, because nobody wrote down when
    /// they were.
    #[must_use]
    pub fn restored(states: Vec<Arc<State>>, now: Timestamp) -> Self {
        let served = states
            .into_iter()
            .enumerate()
            .map(|(age, state)| Kept { state, since: None, superseded: (age > 0).then_some(now) })
            .collect();
        Self { served, ..Self::default() }
    }

    /// The newest served state.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<State>> {
        self.served.first().map(|kept| &kept.state)
    }

    /// The newest adopted state, served or not.
    #[must_use]
    pub fn adopted(&self) -> Option<&Arc<State>> {
        self.waiting.last().or_else(|| self.newest())
    }

    /// The servable states, newest first.
    pub fn servable(&self) -> impl ExactSizeIterator<Item = &Arc<State>> {
        self.served.iter().map(|kept| &kept.state)
    }

    /// The same with their times.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.served
    }

    /// The states that wait to be served, newest first.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<State>> {
        self.waiting.iter().rev()
    }

    /// Every state that is known: those that wait, newest first, then the servable ones, then those that were overtaken.
    pub fn known(&self) -> impl Iterator<Item = &Arc<State>> {
        self.pending().chain(self.servable()).chain(self.overtaken())
    }

    /// The states that were never served, newest first.
    pub fn overtaken(&self) -> impl Iterator<Item = &Arc<State>> {
        self.overtaken.iter().map(|kept| &kept.state)
    }

    /// The servable state that a pin names.
    #[must_use]
    pub fn pinned(&self, pin: &Pin) -> Option<&Arc<State>> {
        self.servable().find(|state| state.pin == *pin)
    }

    /// The paths whose bytes were replaced, as far as this directory has seen.
    #[must_use]
    pub const fn mutable(&self) -> &Arc<Mutable> {
        &self.mutable
    }

    /// The view with a newly adopted state, and what is mutable since. The first one is served at once: there is no other.
    #[must_use]
    pub fn with_adopted(&self, state: Arc<State>, mutable: Arc<Mutable>) -> Self {
        let mut view = Self { mutable, ..self.clone() };
        if view.served.is_empty() {
            let since = Some(state.adopted);
            view.served.push(Kept { state, since, superseded: None });
            return view;
        }
        view.waiting.push(state);
        if view.waiting.len() > WAITING_MAX {
            // Not the oldest: that one is next to be served.
            let state = view.waiting.remove(1);
            let superseded = Some(state.adopted);
            view.overtake([Kept { state, since: None, superseded }]);
        }
        view
    }

    /// The view without what a new epoch has voided. The floor's state is served at once if it is known, and what is left
    /// of the served states otherwise: waiting for holders would keep voided bytes in use.
    #[must_use]
    pub fn without_fallen(&self, trust: &TrustRoot, now: Timestamp) -> Self {
        let mut view = self.clone();
        view.served.retain(|kept| !kept.state.is_fallen(trust));
        view.waiting.retain(|state| !state.is_fallen(trust));
        view.overtaken.retain(|kept| !kept.state.is_fallen(trust));
        let floor = view.waiting.iter().find(|state| state.is_floor(trust)).cloned();
        let next = floor.or_else(|| view.waiting.last().filter(|_| view.served.is_empty()).cloned());
        if let Some(state) = next {
            view = view.with_served(&state, now);
        }
        if let Some(newest) = view.served.first_mut() {
            newest.superseded = None;
        }
        let newest = view.adopted().map_or(0, |state| state.head.seq);
        Arc::make_mut(&mut view.mutable).forget_above(newest);
        view
    }

    /// Whether a new epoch has voided something in it.
    #[must_use]
    pub fn has_fallen(&self, trust: &TrustRoot) -> bool {
        self.known().any(|state| state.is_fallen(trust))
    }

    /// The newest waiting state for which `ready` holds, if there is one.
    #[must_use]
    pub fn next_served(&self, ready: impl Fn(&State) -> bool) -> Option<Arc<State>> {
        self.waiting.iter().rev().find(|state| ready(state)).cloned()
    }

    /// The view in which a waiting state is the newest served one. States that waited before it are overtaken.
    #[must_use]
    pub fn with_served(&self, state: &Arc<State>, now: Timestamp) -> Self {
        let mut view = self.clone();
        let Some(at) = view.waiting.iter().position(|waiting| waiting.id == state.id) else { return view };
        let left = view.waiting.split_off(at + 1);
        let passed =
            std::mem::replace(&mut view.waiting, left).into_iter().filter(|passed| passed.id != state.id);
        view.overtake(passed.map(|state| Kept { state, since: None, superseded: Some(now) }));
        if let Some(former) = view.served.first_mut() {
            (former.state, former.superseded) = (former.state.settled(), Some(now));
        }
        view.served.insert(0, Kept { state: Arc::clone(state), since: Some(now), superseded: None });
        view.served.truncate(RETAINED_MAX);
        view
    }

    /// Keeps states, the oldest first, as overtaken.
    fn overtake(&mut self, states: impl IntoIterator<Item = Kept>) {
        for kept in states {
            self.overtaken.insert(0, Kept { state: kept.state.settled(), ..kept });
        }
        self.overtaken.truncate(RETAINED_MAX);
    }

    /// The view without states that need not be servable any more, and which those are.
    #[must_use]
    pub fn pruned(&self, keep: Duration, now: Timestamp) -> (Self, Vec<Arc<State>>) {
        let stays = |kept: &Kept| {
            kept.superseded.is_none_or(|superseded| state_rules::is_retained(superseded, keep, now))
        };
        let (served, mut dropped): (Vec<Kept>, Vec<Kept>) = self.served.iter().cloned().partition(stays);
        let (overtaken, lapsed): (Vec<Kept>, Vec<Kept>) = self.overtaken.iter().cloned().partition(stays);
        dropped.extend(lapsed);
        let view = Self { served, overtaken, ..self.clone() };
        (view, dropped.into_iter().map(|kept| kept.state).collect())
    }

    /// How many states wait to be served.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::{HeadBuilder, RootBuilder, SigningKey};

    use super::*;

    /// States that change as much as a state may remember.
    fn states(count: u8) -> Vec<Arc<State>> {
        let key = SigningKey::from_seed(&[1; 32]);
        let root = RootBuilder::first("test", Timestamp(1), Timestamp(100))
            .root_keys(1, [key.public_key()])
            .release_keys(1, [key.public_key()])
            .build()
            .unwrap();
        let trust = TrustRoot::found(&root.signed_by(&key).unwrap()).unwrap();
        let head = HeadBuilder::after(&trust, None)
            .times(Timestamp(1), Timestamp(100))
            .tree(Tree::empty().root, 0, 0)
            .build()
            .unwrap();
        let head = trust.verify_head(&head.signed_by(&key).unwrap()).unwrap();
        let state = |number: u8| {
            let (id, pin, adopted) = (HeadId::from_bytes([number; 32]), head.pin(), Timestamp(number.into()));
            let retained = RetainedHead { head: head.clone(), id, pin, tree: Tree::empty(), adopted };
            let large = Some((0..CHANGED_MAX).map(|n| BlobId::of(&n.to_be_bytes())).collect());
            let change = Change { large, ..Change::nothing() };
            Arc::new(State { change, ..State::unchanged(&retained) })
        };
        (1..=count).map(state).collect()
    }

    #[test]
    fn a_state_that_another_took_the_place_of_remembers_no_change() {
        let mut view = View::default();
        for (state, at) in states(40).iter().zip(1_u64..) {
            view = view.with_adopted(Arc::clone(state), Arc::default());
            // One of four is served; those before it that waited are overtaken.
            if at % 4 == 0 {
                view = view.with_served(state, Timestamp(at));
            }
        }
        let remembered =
            |state: &&Arc<State>| state.change.large.as_ref().is_some_and(|large| !large.is_empty());
        assert_eq!(view.known().count(), 40);
        assert_eq!(view.known().filter(remembered).count(), 1, "the newest served one alone");
        assert!(view.newest().is_some_and(|newest| remembered(&newest)));
    }
}
