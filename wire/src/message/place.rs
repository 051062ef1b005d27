//! Where a relay says that it stands, and whom it is there for. A directory orders relays by it for a client, and spreads copies;
//! nobody is trusted for it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use odi_manifest::BrokenRule;
use serde::{Deserialize, Serialize};

/// How many served prefixes a relay may name.
pub const PREFIXES_MAX: usize = 64;
/// The longest name of an operator, in bytes.
pub const OPERATOR_BYTES_MAX: usize = 64;
/// The widest served prefix of IPv4: with the most of them, a thousandth of all addresses.
const PREFIX_V4_BITS: std::ops::RangeInclusive<u8> = 16..=24;
/// The widest of IPv6: what a provider gets.
const PREFIX_V6_BITS: std::ops::RangeInclusive<u8> = 32..=48;

/// A country by its two capital letters (ISO 3166-1), which nobody looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// A text that is no country.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country is two capital letters (ISO 3166-1), such as `DE`")]
pub struct CountryError;

impl Country {
    /// A country by its letters, if they are capital ones.
    #[must_use]
    pub const fn of(letters: [u8; 2]) -> Option<Self> {
        let [a, b] = letters;
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() { Some(Self(letters)) } else { None }
    }

    /// Its letters.
    #[must_use]
    pub const fn letters(self) -> [u8; 2] {
        self.0
    }
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        let letters = text.as_bytes().try_into().map_err(|_| CountryError)?;
        Self::of(letters).ok_or(CountryError)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(text: String) -> Result<Self, CountryError> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

/// A network that a relay is there for: not so wide that one relay takes over a country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

/// A text that is no prefix which a relay may serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a served prefix is a network such as `192.0.2.0/24` or `2001:db8::/32`, of /16 to /24 or /32 to /48"
)]
pub struct PrefixError;

impl Prefix {
    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match &self.0 {
            IpNet::V4(net) => IpAddr::V4(net.addr()),
            IpNet::V6(net) => IpAddr::V6(net.addr()),
        }
    }

    /// How many bits its addresses have in common.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let net: IpNet = text.parse().map_err(|_| PrefixError)?;
        let bits = if net.addr().is_ipv4() { PREFIX_V4_BITS } else { PREFIX_V6_BITS };
        let is_served = net == net.trunc() && bits.contains(&net.prefix_len());
        if is_served { Ok(Self(net)) } else { Err(PrefixError) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

/// `{as?, at?, country?, operator?, prefixes?}`: what an operator says of where a relay stands. All of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayPlace {
    /// The autonomous system that it is in, or that pays for it.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Latitude and longitude in hundredths of a degree: a kilometre is near enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(i16, i16)>,
    /// The country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Who runs it, by a name that is the same for all relays of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Networks whose clients it is there for first of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<Prefix>,
}

impl RelayPlace {
    /// The rules of PROTOCOL.md for it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), BrokenRule> {
        let on_earth =
            self.at.is_none_or(|(lat, lon)| lat.unsigned_abs() <= 9000 && lon.unsigned_abs() <= 18_000);
        BrokenRule::unless(on_earth, "`at` is a latitude and a longitude in hundredths of a degree")?;
        let operator = self.operator.as_deref();
        let is_named = operator.is_none_or(|name| (1..=OPERATOR_BYTES_MAX).contains(&name.len()));
        BrokenRule::unless(is_named, "an operator's name has 1 to 64 bytes")?;
        BrokenRule::unless(self.prefixes.len() <= PREFIXES_MAX, "a relay names at most 64 prefixes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_served_prefix_is_neither_wide_nor_narrow_and_has_one_spelling() {
        for good in ["141.20.0.0/16", "192.0.2.0/24", "2001:db8::/32", "2001:db8:7::/48"] {
            assert_eq!(good.parse::<Prefix>().unwrap().to_string(), good);
        }
        let bad =
            ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/25", "192.0.2.1/24", "2000::/3", "::/0", "192.0.2.0", ""];
        for bad in bad {
            assert_eq!(bad.parse::<Prefix>(), Err(PrefixError), "{bad}");
        }
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!("DE".parse::<Country>().unwrap().to_string(), "DE");
        for bad in ["de", "D", "DEU", "D1", ""] {
            assert_eq!(bad.parse::<Country>(), Err(CountryError), "{bad}");
        }
    }

    #[test]
    fn a_place_is_on_earth() {
        let at = |at| RelayPlace { at: Some(at), ..RelayPlace::default() }.check().is_ok();
        assert!(at((9000, -18_000)) && at((-3386, 15_120)));
        assert!(!at((9001, 0)) && !at((0, 18_001)) && !at((i16::MIN, i16::MIN)));
    }
}
