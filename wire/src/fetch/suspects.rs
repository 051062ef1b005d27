//! Who is to blame for a wrong chunk: a source, or the catalog's entry?
//!
//! One wrong chunk proves nothing, because the entry may be at fault. A source is guilty once another one has had the
//! right bytes for the same place; the entry is bad once every source was asked in vain and two independent ones
//! disagree with it at the same place. Until then liars could stop a fetch just by being two.

use std::collections::BTreeMap;

use url::Url;

/// What a disagreement was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// One chunk.
    Chunk(u32),
    /// The length, or the blob as a whole.
    Whole,
}

/// The host, in the sense of two URLs being one party: scheme, name and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party(String);

impl Party {
    /// Who answers at a URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// `scheme://host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sources that had something else than the catalog says, by place.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    places: BTreeMap<Place, Vec<Party>>,
}

impl Suspects {
    /// Notes a disagreement.
    pub(crate) fn accuse(&mut self, place: Place, party: &Party) {
        let parties = self.places.entry(place).or_default();
        if !parties.contains(party) {
            parties.push(party.clone());
        }
    }

    /// Whether two independent parties disagree at one place where nobody has had the right bytes. It says something
    /// of the entry only when no source is left to ask.
    pub(crate) fn condemn_entry(&self) -> bool {
        self.places.values().any(|parties| parties.len() >= 2)
    }

    /// Notes that the right bytes for a place came from `party`, and returns who is thereby guilty. A party that had
    /// it wrong once and right later was caught while its file changed; it convicts nobody, itself least.
    pub(crate) fn satisfied(&mut self, place: Place, party: &Party) -> Vec<Party> {
        let mut parties = self.places.remove(&place).unwrap_or_default();
        parties.retain(|suspect| suspect != party);
        parties
    }

    /// Whether `party` is under suspicion anywhere: it should be asked last.
    pub(crate) fn suspects(&self, party: &Party) -> bool {
        self.places.values().any(|parties| parties.contains(party))
    }

    /// Whether nobody is under suspicion.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(host: &str) -> Party {
        Party::of(&Url::parse(&format!("http://{host}/some/path")).unwrap())
    }

    #[test]
    fn a_source_is_guilty_only_once_another_had_it_right() {
        let mut suspects = Suspects::default();
        suspects.accuse(Place::Chunk(3), &party("a"));
        assert!(suspects.suspects(&party("a")));
        assert_eq!(suspects.satisfied(Place::Chunk(4), &party("b")), []);
        assert_eq!(suspects.satisfied(Place::Chunk(3), &party("b")), [party("a")]);
        assert!(suspects.is_empty());
    }

    #[test]
    fn two_disagreements_condemn_the_entry_until_somebody_has_it_right() {
        let mut suspects = Suspects::default();
        suspects.accuse(Place::Chunk(3), &party("a"));
        suspects.accuse(Place::Chunk(3), &party("a"));
        suspects.accuse(Place::Chunk(5), &party("b"));
        assert!(!suspects.condemn_entry());
        suspects.accuse(Place::Chunk(3), &party("b"));
        assert!(suspects.condemn_entry());
        assert_eq!(suspects.satisfied(Place::Chunk(3), &party("c")), [party("a"), party("b")]);
        assert!(!suspects.condemn_entry());
    }

    #[test]
    fn nobody_is_convicted_by_its_own_second_answer() {
        let mut suspects = Suspects::default();
        suspects.accuse(Place::Whole, &party("a"));
        assert_eq!(suspects.satisfied(Place::Whole, &party("a")), []);
    }
}
