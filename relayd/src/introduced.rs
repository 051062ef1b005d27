//! Which directories this relay joins although its operator did not name them: those that configured ones work together with.
//!
//! Pure. Only a configured directory introduces, so the list does not grow by itself; few are taken, and each introducer's in
//! turn, so that none crowds out what another names by naming many. What an introducer said last counts until it says otherwise.
//! Where two contradict each other, about whose a URL is or where a key's owner is, the doubt is shown and not decided by vote.

use std::collections::{BTreeMap, BTreeSet};

use odi_manifest::PublicKey;
use odi_wire::message::PublicUrl;
use serde::{Deserialize, Serialize};

/// The most introduced directories that a relay joins.
pub const INTRODUCED_MAX: usize = 8;
/// The most that is remembered of one introducer's words.
pub const SAID_MAX: usize = 64;

/// A directory that is joined because another one named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// Its base URL.
    pub url: PublicUrl,
    /// The key that it has by its introducer's word.
    pub key: PublicKey,
}

/// A directory of the configuration, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its base URL.
    pub url: PublicUrl,
    /// Its key, once seen.
    pub key: Option<PublicKey>,
}

/// Whom each configured directory named when it last answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words(BTreeMap<PublicUrl, Vec<Introduced>>);

impl Words {
    /// Takes a directory's answer in the place of its former one. Where it knows a URL but not yet, or no longer, whose it is, the
    /// key that it said before stays; without one nobody is introduced. Whether there was a key for each.
    pub fn hear(&mut self, from: &PublicUrl, said: &[(PublicUrl, Option<PublicKey>)]) -> bool {
        let former = self.0.remove(from).unwrap_or_default();
        let key_before = |url: &PublicUrl| former.iter().find(|one| one.url == *url).map(|one| one.key);
        let with_key = said.iter().filter_map(|(url, key)| {
            Some(Introduced { url: url.clone(), key: key.or_else(|| key_before(url))? })
        });
        let with_key: Vec<Introduced> = with_key.collect();
        let is_complete = with_key.len() == said.len();
        self.0.insert(from.clone(), with_key.into_iter().take(SAID_MAX).collect());
        is_complete
    }

    /// Forgets what those said who are none of these, and cuts what is longer than it can be.
    #[must_use]
    pub fn of(mut self, introducers: &[PublicUrl]) -> Self {
        self.0.retain(|from, _| introducers.contains(from));
        self.0.values_mut().for_each(|said| said.truncate(SAID_MAX));
        self
    }
}

/// What comes of the words of all configured directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Those to join.
    pub taken: Vec<Introduced>,
    /// Those that are not joined, because two introducers say different keys of them, or another URL for the same key came first.
    pub disputed: BTreeSet<PublicUrl>,
}

/// Judges the words. `may_be` says of a URL whether it can be a directory's at all.
#[must_use]
pub fn introduced(configured: &[Known], words: &Words, may_be: impl Fn(&PublicUrl) -> bool) -> Outcome {
    let is_configured = |one: &Introduced| {
        configured.iter().any(|known| known.url == one.url || known.key.is_some_and(|key| key == one.key))
    };
    let said_by = |known: &Known| words.0.get(&known.url).map_or(&[][..], Vec::as_slice);
    let lists: Vec<Vec<&Introduced>> = configured
        .iter()
        .map(|known| said_by(known).iter().filter(|one| !is_configured(one) && may_be(&one.url)).collect())
        .collect();
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    // Everybody's first, then everybody's second.
    let in_turn = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at).copied()));
    let is_disputed =
        |one: &Introduced| lists.iter().flatten().any(|other| other.url == one.url && other.key != one.key);
    let mut outcome = Outcome::default();
    for one in in_turn {
        if is_disputed(one) {
            outcome.disputed.insert(one.url.clone());
        } else if let Some(taken) = outcome.taken.iter().find(|taken| taken.key == one.key) {
            if taken.url != one.url {
                outcome.disputed.insert(one.url.clone());
            }
        } else if outcome.taken.len() < INTRODUCED_MAX {
            outcome.taken.push(one.clone());
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public_key()
    }

    fn url(name: &str) -> PublicUrl {
        PublicUrl::parse(&format!("https://{name}.example")).unwrap()
    }

    fn known(name: &str, seed: Option<u8>) -> Known {
        Known { url: url(name), key: seed.map(key) }
    }

    type Said<'s> = (&'s str, &'s [(&'s str, Option<u8>)]);

    fn words(all: &[Said<'_>]) -> Words {
        let mut words = Words::default();
        for (from, said) in all {
            let said: Vec<_> = said.iter().map(|(name, seed)| (url(name), seed.map(key))).collect();
            words.hear(&url(from), &said);
        }
        words
    }

    fn taken(configured: &[Known], words: &Words) -> Vec<String> {
        let outcome = introduced(configured, words, |url| !url.as_str().contains("bad"));
        outcome.taken.iter().map(|one| one.url.as_str()["https://".len()..].replace(".example", "")).collect()
    }

    #[test]
    fn those_are_taken_that_configured_directories_name_and_that_are_not_configured() {
        let both = [known("a", Some(1)), known("b", None)];
        for (why, said, expected) in [
            ("nobody said anything", &[][..], &[][..]),
            (
                "both words count, each once",
                &[("a", &[("c", Some(3))][..]), ("b", &[("c", Some(3)), ("d", Some(4))])],
                &["c", "d"],
            ),
            ("configured by URL", &[("a", &[("b", Some(2))])], &[]),
            (
                "configured by key, under another name",
                &[("b", &[("other-a", Some(1)), ("c", Some(3))])],
                &["c"],
            ),
            ("the same one by two names", &[("a", &[("c", Some(3)), ("c2", Some(3))])], &["c"]),
            ("whose it is was never seen", &[("a", &[("c", None)])], &[]),
            ("a URL that can be none", &[("a", &[("bad", Some(9)), ("c", Some(3))])], &["c"]),
            (
                "who is not configured introduces nobody",
                &[("a", &[("c", Some(3))]), ("c", &[("d", Some(4))])],
                &["c"],
            ),
        ] {
            assert_eq!(taken(&both, &words(said)), expected, "{why}");
        }
    }

    #[test]
    fn two_introducers_that_say_different_keys_introduce_nobody() {
        let both = [known("a", Some(1)), known("b", Some(2))];
        let words = words(&[("a", &[("c", Some(3)), ("d", Some(4))]), ("b", &[("c", Some(5))])]);
        let outcome = introduced(&both, &words, |_| true);
        assert_eq!(outcome.taken, [Introduced { url: url("d"), key: key(4) }]);
        assert_eq!(outcome.disputed, BTreeSet::from([url("c")]));
    }

    #[test]
    fn a_hundred_names_are_cut_and_crowd_out_nobody_elses() {
        let names: Vec<String> = (0..100).map(|n| format!("many-{n}")).collect();
        let many: Vec<(&str, Option<u8>)> = (10..).zip(&names).map(|(n, name)| (&**name, Some(n))).collect();
        let both = [known("a", Some(1)), known("b", Some(2))];
        let words = words(&[("a", &many), ("b", &[("c", Some(3)), ("d", Some(4))])]);
        let taken = taken(&both, &words);
        assert_eq!(taken.len(), INTRODUCED_MAX);
        assert_eq!(&taken[..4], ["many-0", "c", "many-1", "d"]);
        assert_eq!(words.0[&url("a")].len(), SAID_MAX);
    }

    #[test]
    fn the_last_word_counts_until_there_is_another() {
        let only = [known("a", Some(1))];
        let mut words = words(&[("a", &[("c", Some(3)), ("d", Some(4))])]);
        assert_eq!(taken(&only, &words), ["c", "d"]);
        assert!(words.hear(&url("a"), &[(url("d"), None)]));
        assert_eq!(taken(&only, &words), ["d"], "it is known whose it was");
        assert!(words.hear(&url("a"), &[]));
        assert_eq!(taken(&only, &words), [""; 0]);
        assert_eq!(taken(&[known("b", None)], &words), [""; 0]);
        assert!(!words.hear(&url("a"), &[(url("d"), None)]));
        assert_eq!(taken(&only, &words), [""; 0], "it is forgotten whose it was");
        assert_eq!(words.of(&[url("b")]), Words::default());
    }
}
