//! What another directory shows beside what is held here: pure, over both and the times of our own adoptions.
//!
//! Only a directory that answers is compared. Its head is a claim, and one against itself: whoever shows an older head than
//! it has harms only its own name.

use odi_manifest::{HeadId, Mark, Timestamp};
use odi_wire::message::DifferenceKind;

/// The newest head that another directory claims to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its epoch and number; zeros for none.
    pub(crate) place: (u64, u64),
    /// Its id.
    pub(crate) head: Option<HeadId>,
    /// Since when it shows that one.
    pub(crate) since: Timestamp,
}

impl Shown {
    /// The same, or another one from `now` on.
    pub(crate) fn then(
        before: Option<Self>,
        place: (u64, u64),
        head: Option<HeadId>,
        now: Timestamp,
    ) -> Self {
        before.filter(|before| before.head == head).unwrap_or(Self { place, head, since: now })
    }
}

/// How it differs from the head held here, and since when. `adopted` are the places of the heads known here and when each
/// was adopted.
#[must_use]
pub(crate) fn difference(
    shown: &Shown,
    held: &Mark,
    adopted: impl Iterator<Item = ((u64, u64), Timestamp)>,
) -> Option<(DifferenceKind, Timestamp)> {
    if shown.head == Some(held.head) || shown.place > held.place() {
        return None;
    }
    if shown.place == held.place() {
        return Some((DifferenceKind::Divided, shown.since));
    }
    // It could have had what came after its own since we have it, and did not, since it said so.
    let newer = adopted.filter(|(place, _)| *place > shown.place).map(|(_, at)| at).min();
    Some((DifferenceKind::Behind, newer.map_or(shown.since, |at| at.max(shown.since))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp(1_790_000_000 + seconds)
    }

    fn head(seq: u64) -> HeadId {
        HeadId::of(&seq.to_be_bytes())
    }

    fn shown(seq: u64, since: u64) -> Shown {
        Shown { place: (1, seq), head: Some(head(seq)), since: at(since) }
    }

    fn judged(shown: &Shown, held: u64) -> Option<(DifferenceKind, Timestamp)> {
        let held = Mark { epoch: 1, seq: held, head: head(held) };
        // Head N was adopted at ten times N.
        difference(shown, &held, (1..=held.seq).map(|seq| ((1, seq), at(10 * seq))))
    }

    #[test]
    fn a_directory_is_behind_since_we_have_what_it_lacks_or_since_it_shows_it() {
        assert_eq!(judged(&shown(7, 0), 7), None);
        assert_eq!(judged(&shown(8, 0), 7), None, "it is ahead");
        assert_eq!(judged(&shown(7, 0), 8), Some((DifferenceKind::Behind, at(80))));
        assert_eq!(judged(&shown(7, 0), 12), Some((DifferenceKind::Behind, at(80))));
        assert_eq!(judged(&shown(7, 100), 8), Some((DifferenceKind::Behind, at(100))));
        let nothing = Shown { place: (0, 0), head: None, since: at(0) };
        assert_eq!(judged(&nothing, 1), Some((DifferenceKind::Behind, at(10))));
    }

    #[test]
    fn another_head_of_the_same_number_is_another_history() {
        let other = Shown { head: Some(head(99)), ..shown(7, 3) };
        assert_eq!(judged(&other, 7), Some((DifferenceKind::Divided, at(3))));
    }

    #[test]
    fn what_is_shown_counts_from_when_it_first_was() {
        let first = Shown::then(None, (1, 7), Some(head(7)), at(1));
        assert_eq!(Shown::then(Some(first), (1, 7), Some(head(7)), at(9)), first);
        assert_eq!(Shown::then(Some(first), (1, 8), Some(head(8)), at(9)), shown(8, 9));
    }
}
