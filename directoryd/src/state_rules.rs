//! The state rules (docs/directory.md): which heads are served, for how long, and what a path means among them.
//!
//! Invariants
//! - A client that follows the final URL stays in one state: a path whose blob differs among the retained heads, or was ever
//!   seen to be replaced, is never answered at its unpinned URL.
//! - A head that was served once stays servable for as long as the catalog was granted after another took its place.
//! - Nothing here reads a clock or a tree: the caller passes what each retained head has at the path.

use std::time::Duration;

use odi_manifest::{BlobId, Timestamp};

/// How many live relays have to hold each changed large blob before a head is served.
pub const HOLDERS_MIN: usize = 2;
/// How long a head waits for them at most.
pub const SERVE_AFTER: Duration = Duration::from_secs(60);
/// The largest artifact that a directory carries itself; a larger one is a relay's.
pub const CARRIED_BYTES_MAX: u64 = 64 * 1024;

/// Whether an adopted head may be served now.
///
/// `carried` says whether its small artifacts are here. `holders` has, for each changed large blob, how many live relays hold it; it is not asked for more than it takes to
/// decide. `relays` live relays follow the catalog: if there are fewer than [`HOLDERS_MIN`], as many have to suffice.
pub fn may_serve(
    adopted: Timestamp,
    now: Timestamp,
    carried: bool,
    relays: usize,
    mut holders: impl Iterator<Item = usize>,
) -> bool {
    let enough = HOLDERS_MIN.min(relays);
    now.since(adopted) >= SERVE_AFTER || carried && (enough == 0 || holders.all(|count| count >= enough))
}

/// Whether a head that was superseded at that time is still servable, where replaced ones are kept for so long.
#[must_use]
pub fn is_retained(superseded: Timestamp, keep: Duration, now: Timestamp) -> bool {
    now.since(superseded) < keep
}

/// What a path means among the retained heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Every retained head that has the path has this blob there: the unpinned URL may answer. The newest such head.
    Settled(usize),
    /// Retained heads differ: the newest one's pin answers.
    Differs(usize),
    /// The newest head has it no more; this is the newest that still has it.
    Former(usize),
    /// It was withdrawn: 410.
    Withdrawn,
    /// No retained head has it: 404.
    Absent,
}

/// What one retained head has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHead {
    /// Nothing.
    Nothing,
    /// This blob.
    Blob(BlobId),
    /// An entry that has been revoked.
    Revoked,
}

/// What a path means, given what each retained head has there, the newest served one first.
#[must_use]
pub fn meaning(states: &[AtHead]) -> Meaning {
    let mut live = states.iter().enumerate().filter_map(|(at, state)| match state {
        AtHead::Blob(blob) => Some((at, *blob)),
        AtHead::Nothing | AtHead::Revoked => None,
    });
    // A revocation acts at every sequence: what the newest head has revoked does not come back from a former one.
    if states.first() == Some(&AtHead::Revoked) {
        return Meaning::Withdrawn;
    }
    match live.next() {
        None if states.contains(&AtHead::Revoked) => Meaning::Withdrawn,
        None => Meaning::Absent,
        Some((0, newest)) if live.all(|(_, blob)| blob == newest) => Meaning::Settled(0),
        Some((0, _)) => Meaning::Differs(0),
        Some((at, _)) => Meaning::Former(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AtHead = AtHead::Blob(BlobId::from_bytes([1; 32]));
    const B: AtHead = AtHead::Blob(BlobId::from_bytes([2; 32]));
    const NONE: AtHead = AtHead::Nothing;
    const GONE: AtHead = AtHead::Revoked;

    #[test]
    fn a_path_means_what_the_table_says() {
        for (states, expected) in [
            (&[][..], Meaning::Absent),
            (&[NONE, NONE], Meaning::Absent),
            (&[A], Meaning::Settled(0)),
            (&[A, A, A], Meaning::Settled(0)),
            (&[A, NONE], Meaning::Settled(0)),
            (&[A, B], Meaning::Differs(0)),
            (&[A, A, B], Meaning::Differs(0)),
            (&[A, NONE, B], Meaning::Differs(0)),
            (&[NONE, A], Meaning::Former(1)),
            (&[NONE, NONE, A, B], Meaning::Former(2)),
            (&[GONE], Meaning::Withdrawn),
            (&[GONE, A], Meaning::Withdrawn),
            (&[NONE, GONE], Meaning::Withdrawn),
            (&[NONE, GONE, A], Meaning::Former(2)),
            (&[A, GONE], Meaning::Settled(0)),
        ] {
            assert_eq!(meaning(states), expected, "{states:?}");
        }
    }

    #[test]
    fn a_head_is_served_when_its_blobs_have_holders_or_time_is_up() {
        let adopted = Timestamp(1000);
        let at = |seconds: u64, relays, holders: &[usize]| {
            may_serve(adopted, Timestamp(1000 + seconds), true, relays, holders.iter().copied())
        };
        for (seconds, relays, holders, expected) in [
            (0, 0, &[0, 0][..], true),
            (0, 1, &[1, 0], false),
            (0, 1, &[1, 1], true),
            (0, 2, &[2, 1], false),
            (0, 2, &[2, 2], true),
            (0, 9, &[2, 2], true),
            (0, 9, &[], true),
            (59, 9, &[0], false),
            (60, 9, &[0], true),
        ] {
            assert_eq!(at(seconds, relays, holders), expected, "{seconds} s, {relays} relays, {holders:?}");
        }
        // A clock that jumped back makes a head wait for its holders, never longer than the clock is wrong.
        assert!(!may_serve(adopted, Timestamp(0), true, 2, [0].into_iter()));
        // Small artifacts come first, relays or not.
        assert!(!may_serve(adopted, adopted, false, 0, std::iter::empty()));
        assert!(may_serve(adopted, Timestamp(1060), false, 2, [0].into_iter()));
    }

    #[test]
    fn a_superseded_head_stays_for_two_hours() {
        let keep = Duration::from_secs(7200);
        assert!(is_retained(Timestamp(0), keep, Timestamp(7199)));
        assert!(!is_retained(Timestamp(0), keep, Timestamp(7200)));
        assert!(is_retained(Timestamp(100), keep, Timestamp(0)));
    }
}
