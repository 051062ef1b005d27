//! The last answer to whether it is known of all content if it is denied, and what it was an answer about.
//!
//! Anybody may ask for any content, and nobody's pace holds them back. So the states of the catalogs are gone through once for each change,
//! not once for each request: those only compare which states there are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use odi_wire::denylist::Denied;
use odi_wire::sync::CatalogState;

use crate::catalog::Catalog;
use crate::catalog::view::View;
use crate::configured::Catalogs;

/// What the answer follows from. What these point to never changes; while they are kept nothing else lies there.
#[derive(Debug, Default)]
pub(super) struct Basis {
    revision: u64,
    states: Vec<(Weak<View>, Weak<CatalogState>)>,
}

impl Basis {
    /// As things stand. Later changes make another one.
    pub(super) fn of(denied: &Denied, catalogs: &Catalogs) -> Self {
        let states =
            |catalog: &Arc<Catalog>| (Arc::downgrade(&catalog.view()), Arc::downgrade(&catalog.believed()));
        Self { revision: denied.revision(), states: catalogs.values().map(states).collect() }
    }
}

impl PartialEq for Basis {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.states.iter().zip(&other.states);
        self.revision == other.revision
            && self.states.len() == other.states.len()
            && pairs.all(|(a, b)| a.0.ptr_eq(&b.0) && a.1.ptr_eq(&b.1))
    }
}

/// The last answer.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<(Basis, bool)>>);

impl Known {
    /// The answer on a basis that was taken before: the last one if that was about the same.
    pub(super) fn on(&self, basis: Basis, find: impl FnOnce() -> bool) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, answer)) = last.as_ref()
            && *known == basis
        {
            return *answer;
        }
        let answer = find();
        *last = Some((basis, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_answer_is_found_once_for_what_it_follows_from() {
        let (known, found) = (Known::default(), Cell::new(0));
        let ask = |revision: u64, states: &[&Arc<CatalogState>], answer: bool| {
            let states = states.iter().map(|state| (Weak::new(), Arc::downgrade(state))).collect();
            known.on(Basis { revision, states }, || {
                found.set(found.get() + 1);
                answer
            })
        };
        let (first, other) = (Arc::default(), Arc::default());
        assert!(!ask(1, &[&first], false) && !ask(1, &[&first], true), "the same question");
        assert_eq!(found.get(), 1);
        assert!(ask(2, &[&first], true), "more is known");
        assert!(!ask(2, &[&other], false), "another state");
        assert!(ask(2, &[&other, &first], true), "another catalog");
        assert_eq!(found.get(), 4);
        drop(first);
        // What was let go of is never mistaken for what came after it.
        assert!((0..100).all(|_| !ask(2, &[&other, &Arc::default()], false)));
        assert_eq!(found.get(), 104);
    }
}
