//! How near a relay is to a client.

use std::fmt;

use serde::{Serialize, Serializer};

/// The nearest that a relay and a client have in common, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearness {
    /// The relay is there for the client's network: its operator says so.
    Prefix,
    /// The same autonomous system.
    System,
    /// The same country, and not far.
    NearInCountry,
    /// The same country.
    Country,
    /// Not far.
    Near,
    /// The same continent.
    Continent,
    /// The world.
    Anywhere,
}

impl Nearness {
    /// For programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::System => "as",
            Self::NearInCountry => "near-in-country",
            Self::Country => "country",
            Self::Near => "near",
            Self::Continent => "continent",
            Self::Anywhere => "anywhere",
        }
    }

    /// For people, of a relay.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Prefix => "there for your network",
            Self::System => "in your autonomous system",
            Self::NearInCountry => "near you, in your country",
            Self::Country => "in your country",
            Self::Near => "near you",
            Self::Continent => "on your continent",
            Self::Anywhere => "anywhere",
        }
    }

    /// A number of its own, so that a client which is sent on from one vicinity need not be from the next.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Prefix => 1,
            Self::System => 2,
            Self::NearInCountry => 3,
            Self::Country => 4,
            Self::Near => 5,
            Self::Continent => 6,
            Self::Anywhere => 7,
        }
    }
}

impl Serialize for Nearness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl fmt::Display for Nearness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
