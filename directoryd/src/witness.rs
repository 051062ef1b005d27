//! Witnessing: what this directory says, signed, of the largest head that it has seen of a catalog, and when it says nothing
//! (docs/directory.md § Witnessing).
//!
//! Invariants
//! - What is vouched for is durable in the ledger before, and the word itself before anybody hears it.
//! - Nothing is said below anything that was said before, here or, as peers remember it, before a backup was restored, nor below
//!   what anybody has shown with good signatures since the start.
//!
//! When to speak is a pure function; the task around it looks once a second, and when something happened.

mod freshness;

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CLOCK_SKEW_MAX, Cosig, Cosignature, Mark, Timestamp, Unverified};
use odi_store::CatalogTrust;
use odi_wire::chain;
use odi_wire::message::OwnWord;
use odi_wire::off_worker::off_worker;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::directory::Directory;

pub(crate) use freshness::judged;

/// How long after a start origin and peers are waited for before the first word.
pub(crate) const LISTEN: Duration = Duration::from_secs(60);
/// How often a word is renewed while nothing changes. It counts for 48 hours, so that a witness may be away for long.
pub(crate) const RENEW: Duration = Duration::from_secs(4 * 3600);
/// How often it is looked whether something is to be said.
const TICK: Duration = Duration::from_secs(1);

/// What a witness goes by.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// The largest head adopted, if it still stands and neither it nor the root has expired.
    pub(crate) held: Option<Mark>,
    /// The place of the largest head that anybody has shown since the start.
    pub(crate) shown: (u64, u64),
    /// What it said last, as far as it, or anybody, remembers.
    pub(crate) said: Option<Cosig>,
    /// Whether origin and peers have all been heard since the start.
    pub(crate) has_heard_all: bool,
    /// How long ago that was.
    pub(crate) running: Duration,
}

/// What a witness is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Vouch for this head.
    Vouch(Mark),
    /// The last word is still good.
    Said,
    /// There is no head, or it has expired or fallen.
    Nothing,
    /// Others have not been heard yet.
    Listening,
    /// A larger head was shown, or vouched for, than the one that is held.
    Behind,
    /// It vouched for another head of the same number.
    Divided,
}

impl From<Word> for OwnWord {
    fn from(word: Word) -> Self {
        match word {
            Word::Vouch(_) | Word::Said => Self::Said,
            Word::Nothing => Self::Nothing,
            Word::Listening => Self::Listening,
            Word::Behind => Self::Behind,
            Word::Divided => Self::Divided,
        }
    }
}

/// Decides what to say at `now`.
#[must_use]
pub(crate) fn word(sight: &Sight, now: Timestamp) -> Word {
    let Some(held) = sight.held else { return Word::Nothing };
    if let Some(said) = &sight.said {
        if (said.epoch, said.seq) > held.place() {
            return Word::Behind;
        }
        if (said.epoch, said.seq) == held.place() {
            if said.head != held.head {
                return Word::Divided;
            }
            // What a wrong clock said of the future counts for nobody, and is said again.
            let is_believable = said.t <= now.plus(CLOCK_SKEW_MAX);
            if is_believable && now.since(said.t) < RENEW {
                return Word::Said;
            }
        }
    }
    if sight.shown > held.place() {
        return Word::Behind;
    }
    if !sight.has_heard_all && sight.running < LISTEN {
        return Word::Listening;
    }
    Word::Vouch(held)
}

/// Speaks when there is something to say, until `stop` is cancelled.
pub(crate) async fn keep(directory: Arc<Directory>, stop: CancellationToken) {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = directory.to_witness.notified() => {}
        }
        let configured = directory.configured.now();
        for catalog in configured.values() {
            let Some(recorded) = catalog.recorded() else { continue };
            if !is_witness(&directory, &recorded) {
                continue;
            }
            let now = directory.clock.now();
            let sight = sight(&directory, catalog, &recorded, begun.elapsed(), now);
            let word = word(&sight, now);
            if let Word::Vouch(mark) = word {
                vouch(&directory, catalog, &recorded, &mark, now).await;
            }
            catalog.speaks(word.into());
        }
    }
}

/// Whether the catalog's maintainers count on this directory's word.
fn is_witness(directory: &Directory, recorded: &CatalogTrust) -> bool {
    recorded.trust.root().witnesses.iter().any(|witness| witness.key == directory.id)
}

fn sight(
    directory: &Directory,
    catalog: &Catalog,
    recorded: &CatalogTrust,
    running: Duration,
    now: Timestamp,
) -> Sight {
    let standing = recorded.standing().filter(|head| head.expires > now && !recorded.trust.is_expired(now));
    let own = |word: &&Cosignature| *word.witness() == directory.id;
    let origin_heard = catalog.config().origin.is_none() || catalog.standing().polled.is_some();
    Sight {
        held: standing.map(|head| Mark::of(&recorded.trust, head)),
        shown: catalog.followed().shown(),
        said: recorded.cosignatures.iter().find(own).map(|word| (**word.cosig()).clone()),
        has_heard_all: origin_heard && directory.peers.iter().all(|peer| peer.has_told_of(&catalog.id())),
        running,
    }
}

/// Signs, keeps, and only then shows.
async fn vouch(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    recorded: &Arc<CatalogTrust>,
    mark: &Mark,
    now: Timestamp,
) {
    let cosig = Cosig::of(catalog.id(), mark, now);
    let (directory, recorded) = (Arc::clone(directory), Arc::clone(recorded));
    let kept = off_worker(move || {
        let cosig = Unverified::draft(cosig).map_err(|error| chain::of(&error))?;
        let cosig = cosig.signed_by(&directory.identity).map_err(|error| chain::of(&error))?;
        let cosig = recorded.trust.verify_cosig(&cosig).map_err(|error| chain::of(&error))?;
        let put = directory.ledger.put_cosignature(recorded.trust.catalog(), &cosig, now);
        put.map_err(|error| chain::of(&error))
    })
    .await;
    match kept {
        Ok(true) => {
            tracing::debug!(catalog = %catalog.name(), seq = mark.seq, "vouched for the newest head");
            catalog.told_more();
        }
        // Within the second of the former word; the next look says it.
        Ok(false) => {}
        Err(error) => tracing::error!(catalog = %catalog.name(), error, "a cosignature could not be kept"),
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::{CatalogId, HeadId};

    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn mark(epoch: u64, seq: u64) -> Mark {
        Mark { epoch, seq, head: HeadId::of(&seq.to_be_bytes()) }
    }

    fn said(mark: &Mark, t: Timestamp) -> Option<Cosig> {
        Some(Cosig::of(CatalogId::of(b"root"), mark, t))
    }

    fn holding(held: Mark) -> Sight {
        Sight {
            held: Some(held),
            shown: held.place(),
            said: None,
            has_heard_all: true,
            running: Duration::ZERO,
        }
    }

    #[test]
    fn the_held_head_is_vouched_for_once_all_are_heard_or_a_minute_is_over() {
        let seven = mark(1, 7);
        let heard = holding(seven);
        assert_eq!(word(&heard, NOW), Word::Vouch(seven));
        let deaf = |running| Sight { has_heard_all: false, running, ..holding(seven) };
        assert_eq!(word(&deaf(Duration::ZERO), NOW), Word::Listening);
        assert_eq!(word(&deaf(Duration::from_millis(59_999)), NOW), Word::Listening);
        assert_eq!(word(&deaf(LISTEN), NOW), Word::Vouch(seven));
        assert_eq!(word(&Sight { held: None, ..heard }, NOW), Word::Nothing);
    }

    #[test]
    fn a_word_is_renewed_while_nothing_changes_and_at_once_for_a_newer_head() {
        let (seven, eight) = (mark(1, 7), mark(1, 8));
        let at = |held, now| word(&Sight { said: said(&seven, NOW), ..holding(held) }, now);
        assert_eq!(at(seven, NOW), Word::Said);
        assert_eq!(at(seven, Timestamp(NOW.0 + RENEW.as_secs() - 1)), Word::Said);
        assert_eq!(at(seven, NOW.plus(RENEW)), Word::Vouch(seven));
        assert_eq!(at(eight, NOW), Word::Vouch(eight));
    }

    #[test]
    fn nothing_is_said_below_what_was_said_or_shown() {
        let (seven, nine) = (mark(1, 7), mark(1, 9));
        let restored = Sight { said: said(&nine, NOW), ..holding(seven) };
        let later = NOW.plus(LISTEN * 1000);
        assert_eq!(word(&Sight { running: LISTEN * 2, ..restored }, later), Word::Behind);
        let shown = Sight { shown: (1, 9), running: LISTEN * 2, ..holding(seven) };
        assert_eq!(word(&shown, NOW), Word::Behind);
        let floor = mark(2, 5);
        let fallen_back = Sight { said: said(&nine, NOW), shown: (1, 9), ..holding(floor) };
        assert_eq!(word(&fallen_back, NOW), Word::Vouch(floor), "an epoch's floor is a step up");
    }

    #[test]
    fn of_two_heads_of_one_number_only_the_first_is_vouched_for() {
        let seven = mark(1, 7);
        let other = Mark { head: HeadId::of(b"another"), ..seven };
        let torn = Sight { said: said(&seven, NOW), ..holding(other) };
        assert_eq!(word(&torn, NOW.plus(RENEW * 10)), Word::Divided);
        let after = mark(1, 8);
        assert_eq!(word(&Sight { held: Some(after), ..torn }, NOW), Word::Vouch(after));
    }

    #[test]
    fn what_a_wrong_clock_said_is_said_again_when_it_is_right() {
        let seven = mark(1, 7);
        let at = |now| word(&Sight { said: said(&seven, NOW), ..holding(seven) }, now);
        assert_eq!(at(Timestamp(NOW.0 - CLOCK_SKEW_MAX.as_secs())), Word::Said);
        assert_eq!(at(Timestamp(NOW.0 - CLOCK_SKEW_MAX.as_secs() - 1)), Word::Vouch(seven));
    }
}
