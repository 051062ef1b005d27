//! The continent of each country (ISO 3166-1 and the United Nations' M49 regions), for databases that say none.

use odi_wire::message::Country;

/// A continent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Continent {
    /// Africa.
    Africa,
    /// Antarctica and the islands around it.
    Antarctica,
    /// Asia.
    Asia,
    /// Europe.
    Europe,
    /// North America, Central America and the Caribbean.
    NorthAmerica,
    /// Oceania.
    Oceania,
    /// South America.
    SouthAmerica,
}

/// Countries by continent, their letters one after the other.
const COUNTRIES: [(Continent, &str); 7] = [
    (
        Continent::Africa,
        "AOBFBIBJBWCDCFCGCICMCVDJDZEGEHERETGAGHGMGNGQGWKEKMLRLSLYMAMGMLMRMUMWMZNANENGRERWSCSDSHSLSNSOSSSTSZTDTGTNTZUGYTZAZMZW",
    ),
    (Continent::Antarctica, "AQBVGSHMTF"),
    (
        Continent::Asia,
        "AEAFAMAZBDBHBNBTCNCYGEHKIDILINIOIQIRJOJPKGKHKPKRKWKZLALBLKMMMNMOMVMYNPOMPHPKPSQASASGSYTHTJTLTMTRTWUZVNYE",
    ),
    (
        Continent::Europe,
        "ADALATAXBABEBGBYCHCZDEDKEEESFIFOFRGBGGGIGRHRHUIEIMISITJELILTLULVMCMDMEMKMTNLNOPLPTRORSRUSESISJSKSMUAVAXK",
    ),
    (
        Continent::NorthAmerica,
        "AGAIAWBBBLBMBQBSBZCACRCUCWDMDOGDGLGPGTHNHTJMKNKYLCMFMQMSMXNIPAPMPRSVSXTCTTUSVCVGVI",
    ),
    (Continent::Oceania, "ASAUCCCKCXFJFMGUKIMHMPNCNFNRNUNZPFPGPNPWSBTKTOTVUMVUWFWS"),
    (Continent::SouthAmerica, "ARBOBRCLCOECFKGFGYPEPYSRUYVE"),
];

impl Continent {
    /// The continent that a country counts as part of.
    #[must_use]
    pub fn of(country: Country) -> Option<Self> {
        let has = |letters: &str| letters.as_bytes().chunks_exact(2).any(|pair| pair == country.letters());
        COUNTRIES.iter().find(|(_, letters)| has(letters)).map(|(continent, _)| *continent)
    }

    /// A continent by the two letters that databases have for it.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "AF" => Self::Africa,
            "AN" => Self::Antarctica,
            "AS" => Self::Asia,
            "EU" => Self::Europe,
            "NA" => Self::NorthAmerica,
            "OC" => Self::Oceania,
            "SA" => Self::SouthAmerica,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_of_one_continent() {
        let all: Vec<&[u8]> =
            COUNTRIES.iter().flat_map(|(_, letters)| letters.as_bytes().chunks(2)).collect();
        let distinct: std::collections::BTreeSet<&[u8]> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (250, 250));
        for (country, continent) in
            [("DE", Continent::Europe), ("ZW", Continent::Africa), ("CL", Continent::SouthAmerica)]
        {
            assert_eq!(Continent::of(country.parse().unwrap()), Some(continent));
        }
        assert_eq!(Continent::of("ZZ".parse().unwrap()), None);
    }
}
