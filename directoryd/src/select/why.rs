//! Why a relay does not answer a request.

/// The first reason that speaks against a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its URLs have not proved both keys.
    Unproven,
    /// It has not announced itself within its lease.
    Silent,
    /// It gave wrong bytes.
    Quarantined,
    /// The directory's operator has shut it out.
    Barred,
    /// Its self-test has not passed.
    Untested,
    /// No probe of the last minutes matched.
    Unprobed,
    /// It gives nothing now: its budget is used up, or it leaves.
    Spent,
    /// It does not follow the catalog.
    NotFollowed,
    /// It does not hold the content that the path names.
    NotHeld,
    /// It holds only a part of the catalog.
    NotWhole,
    /// It serves no state in which the path has that content.
    OtherState,
    /// It has no URL of the scheme that was asked for.
    OtherScheme,
    /// It was not seen to answer over the address family that was asked for.
    OtherFamily,
    /// The client asks for it to be spared.
    Avoided,
    /// The client asks for another one.
    NotAskedFor,
}

impl Why {
    /// For programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Silent => "silent",
            Self::Quarantined => "quarantined",
            Self::Barred => "barred",
            Self::Untested => "untested",
            Self::Unprobed => "unprobed",
            Self::Spent => "spent",
            Self::NotFollowed => "not-followed",
            Self::NotHeld => "not-held",
            Self::NotWhole => "not-whole",
            Self::OtherState => "other-state",
            Self::OtherScheme => "other-scheme",
            Self::OtherFamily => "other-family",
            Self::Avoided => "avoided",
            Self::NotAskedFor => "not-asked-for",
        }
    }

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unproven => "its URLs have not proved that they are its own",
            Self::Silent => "it has not been heard of for a minute",
            Self::Quarantined => "it gave wrong bytes",
            Self::Barred => "this directory's operator has shut it out",
            Self::Untested => "its self-test has not passed",
            Self::Unprobed => "no probe of the last five minutes matched",
            Self::Spent => "it gives nothing now: its budget is used up, or it leaves",
            Self::NotFollowed => "it does not follow this catalog",
            Self::NotHeld => "it does not hold this content",
            Self::NotWhole => "it holds only a part of this catalog",
            Self::OtherState => "it serves no state in which the path has this content",
            Self::OtherScheme => "it has no URL of the scheme that was asked for",
            Self::OtherFamily => "it was not seen to answer over the address family that was asked for",
            Self::Avoided => "the request asks for it to be spared",
            Self::NotAskedFor => "the request asks for another one",
        }
    }
}
