//! What the witnesses' words come to, for people and tools: pure, over what the ledger has and the time.

use odi_manifest::{
    CLOCK_SKEW_MAX, COSIGNATURE_LIFE, Cosignature, Freshness, Head, PublicKey, Staleness, Timestamp,
    Verified, freshness,
};
use odi_store::CatalogTrust;
use odi_wire::message::{CatalogFreshness, FreshnessState, OwnWord, WitnessWord};

/// Judges the newest head, adopted at a time; nothing before the first. `own` is what this directory itself does.
#[must_use]
pub(crate) fn judged(
    recorded: &CatalogTrust,
    adopted: Timestamp,
    own: Option<OwnWord>,
    now: Timestamp,
) -> Option<CatalogFreshness> {
    let head = recorded.standing()?;
    let root = recorded.trust.root();
    let fresh = freshness(&recorded.trust, head, &recorded.cosignatures, now);
    let witnesses: Vec<WitnessWord> = root
        .witnesses
        .iter()
        .map(|witness| spoken(recorded, head, &witness.key, &witness.name, now))
        .collect();
    let counting = || witnesses.iter().filter(|witness| witness.counts);
    let (state, until, since) = match fresh {
        Freshness::Fresh { until, .. } => (FreshnessState::Fresh, Some(until), None),
        Freshness::Unprotected { until } => (FreshnessState::Unprotected, Some(until), None),
        Freshness::Stale(why) => {
            let since = match why {
                Staleness::HeadExpired => head.expires,
                Staleness::RootExpired => root.expires,
                Staleness::TooFewWitnesses { needed, .. } => {
                    lapsed(recorded, head, needed, now).unwrap_or(adopted)
                }
            };
            (FreshnessState::Stale, None, Some(since))
        }
    };
    Some(CatalogFreshness {
        state,
        quorum: root.witness_quorum,
        vouching: u32::try_from(counting().count()).unwrap_or(u32::MAX),
        newest: counting().filter_map(|witness| witness.t).max(),
        until,
        since,
        witnesses,
        own,
    })
}

/// What one witness said last, and whether it counts for this head.
fn spoken(
    recorded: &CatalogTrust,
    head: &Verified<Head>,
    key: &PublicKey,
    name: &str,
    now: Timestamp,
) -> WitnessWord {
    let word = recorded.cosignatures.iter().find(|word| word.witness() == key);
    let counts =
        |word: &Cosignature| is_for(word, head, now) && now.since(word.cosig().t) <= COSIGNATURE_LIFE;
    WitnessWord {
        name: name.to_owned(),
        key: *key,
        seq: word.map(|word| word.cosig().seq),
        t: word.map(|word| word.cosig().t),
        counts: word.is_some_and(counts),
    }
}

fn is_for(word: &Cosignature, head: &Verified<Head>, now: Timestamp) -> bool {
    word.cosig().head == head.id() && word.cosig().t <= now.plus(CLOCK_SKEW_MAX)
}

/// When a quorum that this head once had was over; `None` if it never had one that is known here.
fn lapsed(
    recorded: &CatalogTrust,
    head: &Verified<Head>,
    needed: usize,
    now: Timestamp,
) -> Option<Timestamp> {
    let listed = |word: &&Cosignature| {
        recorded.trust.root().witnesses.iter().any(|witness| witness.key == *word.witness())
    };
    let words = recorded.cosignatures.iter().filter(listed).filter(|word| is_for(word, head, now));
    let mut times: Vec<Timestamp> = words.map(|word| word.cosig().t).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(needed.checked_sub(1)?).map(|t| t.plus(COSIGNATURE_LIFE))
}
