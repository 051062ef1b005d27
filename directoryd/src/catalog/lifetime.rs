//! How long what a catalog stands on still holds (manifest/FORMAT.md § Expiry): its newest head and its newest root of trust
//! each end at a date, and the operator hears of it while its maintainers have time to act.
//!
//! The verdict is a pure function of the dates, and a change of it is logged once. It decides nothing: what is served is
//! served on.

use odi_manifest::Timestamp;
use odi_wire::message::Lifetime;
use odi_wire::sync::CatalogState;

use super::Catalog;

/// Of a statement's life, the part that is left when it counts as ending: one third.
const ENDING: u64 = 3;

/// How much of its life a statement has left that was made at `created` and holds until `expires`.
#[must_use]
pub(crate) const fn lifetime(created: Timestamp, expires: Timestamp, now: Timestamp) -> Lifetime {
    let (life, left) = (expires.since(created).as_secs(), expires.since(now).as_secs());
    if left == 0 {
        Lifetime::Ended
    } else if left <= life / ENDING {
        Lifetime::Ending
    } else {
        Lifetime::Good
    }
}

/// A statement that ends at a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) expires: Timestamp,
    pub(crate) lifetime: Lifetime,
}

impl Term {
    const fn new(created: Timestamp, expires: Timestamp, now: Timestamp) -> Self {
        Self { expires, lifetime: lifetime(created, expires, now) }
    }
}

/// What a catalog stands on now; nothing of it before its first root and head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) head: Option<Term>,
    pub(crate) root: Option<Term>,
}

impl Terms {
    pub(crate) fn of(state: &CatalogState, now: Timestamp) -> Self {
        let root = state.trust().map(|trust| trust.root());
        Self {
            head: state.newest().map(|held| Term::new(held.head.created, held.head.expires, now)),
            root: root.map(|root| Term::new(root.created, root.expires, now)),
        }
    }

    /// How much is left of what is nearer to its end.
    pub(crate) fn nearest(&self) -> Option<Lifetime> {
        [self.head, self.root].into_iter().flatten().map(|term| term.lifetime).max()
    }
}

/// What the operator has been told of a catalog, so that nothing is said twice. At the start all is thought to be good.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    head: Lifetime,
    root: Lifetime,
}

impl Told {
    /// What is news, with its name; from now on it has been told.
    fn news(&mut self, terms: &Terms) -> impl Iterator<Item = (&'static str, Term)> + use<> {
        let changed = |told: &mut Lifetime, term: Option<Term>| {
            let term = term?;
            (std::mem::replace(told, term.lifetime) != term.lifetime).then_some(term)
        };
        let head = changed(&mut self.head, terms.head).map(|term| ("head", term));
        let root = changed(&mut self.root, terms.root).map(|term| ("root of trust", term));
        head.into_iter().chain(root)
    }
}

/// Logs what of a catalog has come nearer to its end, or was renewed, since the last look.
pub(crate) fn look(catalog: &Catalog, now: Timestamp) {
    let terms = Terms::of(&catalog.believed(), now);
    let news = super::lock(&catalog.told).news(&terms);
    for (what, term) in news {
        let (catalog, expires) = (catalog.name(), term.expires);
        match term.lifetime {
            Lifetime::Good => tracing::info!(%catalog, %expires, "its newest {what} is good for long again"),
            Lifetime::Ending => {
                tracing::warn!(%catalog, %expires, "its newest {what} ends soon: its maintainers should sign the next one");
            }
            Lifetime::Ended => {
                tracing::warn!(%catalog, %expires, "its newest {what} has expired: what was adopted is served on, and marked stale");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Timestamp = Timestamp(1_000_000);
    const ENDS: Timestamp = Timestamp(1_000_900);

    fn at(seconds: u64) -> Lifetime {
        lifetime(MADE, ENDS, Timestamp(MADE.0 + seconds))
    }

    #[test]
    fn a_third_of_the_life_is_ending_and_the_date_itself_is_the_end() {
        assert_eq!([at(0), at(599)], [Lifetime::Good; 2]);
        assert_eq!([at(600), at(899)], [Lifetime::Ending; 2]);
        assert_eq!([at(900), at(1 << 40)], [Lifetime::Ended; 2]);
        let before = lifetime(MADE, ENDS, Timestamp(0));
        assert_eq!(before, Lifetime::Good, "a clock behind the maintainer's is no reason to warn");
        let shortest = lifetime(MADE, Timestamp(MADE.0 + 1), MADE);
        assert_eq!(shortest, Lifetime::Good, "a life of a second has no third of one");
    }

    fn terms(head: Option<Lifetime>, root: Option<Lifetime>) -> Terms {
        let term = |lifetime| Term { expires: ENDS, lifetime };
        Terms { head: head.map(term), root: root.map(term) }
    }

    #[test]
    fn what_is_nearer_to_its_end_counts() {
        let nearest = |head, root| terms(head, root).nearest();
        assert_eq!(nearest(None, None), None);
        assert_eq!(nearest(None, Some(Lifetime::Good)), Some(Lifetime::Good));
        assert_eq!(nearest(Some(Lifetime::Ending), Some(Lifetime::Good)), Some(Lifetime::Ending));
        assert_eq!(nearest(Some(Lifetime::Ending), Some(Lifetime::Ended)), Some(Lifetime::Ended));
    }

    #[test]
    fn every_change_is_told_once() {
        let mut told = Told::default();
        let mut said = |head, root| {
            let news: Vec<_> = told.news(&terms(head, root)).collect();
            news.into_iter().map(|(what, term)| (what, term.lifetime)).collect::<Vec<_>>()
        };
        let (good, ending, ended) = (Some(Lifetime::Good), Some(Lifetime::Ending), Some(Lifetime::Ended));
        assert_eq!(said(None, None), [], "nothing is known of it yet");
        assert_eq!(said(good, good), [], "that all is well is no news at the start");
        assert_eq!(said(ending, good), [("head", Lifetime::Ending)]);
        assert_eq!(said(ending, good), []);
        assert_eq!(said(ended, ending), [("head", Lifetime::Ended), ("root of trust", Lifetime::Ending)]);
        assert_eq!(said(ended, ending), []);
        assert_eq!(said(good, ending), [("head", Lifetime::Good)]);
        assert_eq!(said(good, good), [("root of trust", Lifetime::Good)]);
    }
}
