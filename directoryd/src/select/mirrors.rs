//! Which plain mirrors come after the relays, and in which order: one judgement behind redirects, metalinks, lists and `?explain`.
//!
//! Invariants
//! - One is named only for content that a look of the last minute got there, and only if the operator says that clients may go.
//! - Never from https to http.
//! - A network keeps its order, and networks spread.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use odi_wire::client::Family;
use odi_wire::serve::Scheme;

use crate::config::MirrorConfig;
use crate::network::Network;

/// What a client asked for, as far as mirrors go.
#[derive(Clone, Copy, Debug)]
pub struct MirrorAsk<'a> {
    /// Where the client sits.
    pub client: Network,
    /// How it came.
    pub scheme: Scheme,
    /// The only address family that it takes, if it says so: looks go over that family then.
    pub only_family: Option<Family>,
    /// Whom it asks to be spared, by a URL's host or its authority.
    pub avoid: &'a [String],
    /// Whether it takes one relay only: a mirror is none.
    pub only_relay: bool,
    /// What speaks against every mirror, whatever it has.
    pub artifact: Option<Against>,
}

/// What was seen of one blob at one mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No look yet, or one that does not count any more and found nothing.
    Never,
    /// The right bytes, too long ago.
    Before,
    /// The right bytes, lately.
    Has,
    /// Lately, other bytes or none.
    Lacks,
}

/// The first reason that speaks against a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Against {
    /// `redirect` is not set: the operator names it as a source only.
    NotATarget,
    /// The client asks for it to be spared.
    Avoided,
    /// The client asks for one relay.
    NotAskedFor,
    /// It is plain HTTP, and the request came by https.
    OtherScheme,
    /// The catalog's maintainers keep these bytes elsewhere than in the tree that mirrors copy.
    Elsewhere,
    /// The path's bytes are replaced in place.
    Replaced,
    /// The newest head names other bytes there, or none.
    NotNewest,
    /// No look over the address family that was asked for got the right bytes.
    OtherFamily,
    /// The last look did not get the right bytes.
    NotHeld,
    /// Nobody has looked.
    Unproved,
    /// The last proof is too old, or of a former head.
    Expired,
}

impl Against {
    /// Whether a look may do away with it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Unproved | Self::Expired)
    }

    /// For programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotATarget => "not-a-target",
            Self::Avoided => "avoided",
            Self::NotAskedFor => "not-asked-for",
            Self::OtherScheme => "other-scheme",
            Self::Elsewhere => "elsewhere",
            Self::Replaced => "replaced",
            Self::NotNewest => "not-newest",
            Self::OtherFamily => "other-family",
            Self::NotHeld => "not-held",
            Self::Unproved => "unproved",
            Self::Expired => "expired",
        }
    }

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotATarget => "this directory's operator names it as a source only",
            Self::Avoided => "the request asks for it to be spared",
            Self::NotAskedFor => "the request asks for one relay",
            Self::OtherScheme => "it is plain HTTP, and the request came by https",
            Self::Elsewhere => "mirrors copy the tree, and this content lies elsewhere",
            Self::Replaced => "maintainers replace this path in place, and mirrors follow when they do",
            Self::NotNewest => "the newest head does not name this content there",
            Self::OtherFamily => {
                "it was not seen to give this content over the address family that was asked for"
            }
            Self::NotHeld => "the last probe did not get this content there",
            Self::Unproved => "no probe has looked for this content there yet",
            Self::Expired => {
                "a probe got this content there, but over a minute ago or before the newest head"
            }
        }
    }
}

/// Judges every mirror, in the client's order.
pub fn judge<'a>(
    ask: &MirrorAsk<'_>,
    mirrors: &'a [MirrorConfig],
    seen: impl Fn(&MirrorConfig) -> Seen,
) -> Vec<(&'a MirrorConfig, Option<Against>)> {
    let mut judged: Vec<(&MirrorConfig, Option<Against>)> = mirrors
        .iter()
        .map(|mirror| (mirror, ask.against(mirror).or_else(|| of(seen(mirror), ask.only_family))))
        .collect();
    judged.sort_by_cached_key(|(mirror, _)| {
        let mut hasher = DefaultHasher::new();
        (ask.client, mirror.url.as_str()).hash(&mut hasher);
        hasher.finish()
    });
    judged
}

impl MirrorAsk<'_> {
    /// What speaks against a mirror whatever it has.
    fn against(&self, mirror: &MirrorConfig) -> Option<Against> {
        let url = &mirror.url;
        let is_called = |word: &String| url.host_str() == Some(word) || url.authority() == word;
        if !mirror.redirect {
            return Some(Against::NotATarget);
        }
        if self.avoid.iter().any(is_called) {
            return Some(Against::Avoided);
        }
        if self.only_relay {
            return Some(Against::NotAskedFor);
        }
        if self.scheme == Scheme::Https && url.scheme() != "https" {
            return Some(Against::OtherScheme);
        }
        self.artifact
    }
}

const fn of(seen: Seen, only_family: Option<Family>) -> Option<Against> {
    match (seen, only_family) {
        (Seen::Has, _) => None,
        (Seen::Lacks, None) => Some(Against::NotHeld),
        (Seen::Lacks, Some(_)) => Some(Against::OtherFamily),
        (Seen::Never, _) => Some(Against::Unproved),
        (Seen::Before, _) => Some(Against::Expired),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn mirrors() -> [MirrorConfig; 4] {
        let mirror = |url: &str, redirect| MirrorConfig { url: url.parse().unwrap(), redirect };
        [
            mirror("https://a.example/d/", true),
            mirror("http://b.example:8080/d/", true),
            mirror("https://c.example/d/", true),
            mirror("https://source-only.example/d/", false),
        ]
    }

    fn ask(last: u8, scheme: Scheme) -> MirrorAsk<'static> {
        let client = Network::of([192, 0, last, 1].into());
        MirrorAsk { client, scheme, only_family: None, avoid: &[], only_relay: false, artifact: None }
    }

    /// What speaks against each, in the order of the configuration.
    fn against(ask: &MirrorAsk<'_>, seen: Seen) -> Vec<Option<Against>> {
        let mirrors = mirrors();
        let judged = judge(ask, &mirrors, |_| seen);
        let of = |mirror: &MirrorConfig| judged.iter().find(|(judged, _)| *judged == mirror).unwrap().1;
        mirrors.iter().map(of).collect()
    }

    #[test]
    fn networks_spread_and_stay() {
        let mirrors = mirrors();
        let of = |last| judge(&ask(last, Scheme::Http), &mirrors, |_| Seen::Has);
        let firsts: HashSet<&str> = (0..50)
            .filter_map(|last| {
                let judged = of(last);
                Some(judged.iter().find(|(_, against)| against.is_none())?.0.url.as_str())
            })
            .collect();
        assert_eq!(firsts.len(), 3, "each mirror is somebody's first: {firsts:?}");
        assert_eq!(of(7), of(7));
    }

    #[test]
    fn each_reason_is_told_and_the_operators_word_is_the_first() {
        let not_a_target = Some(Against::NotATarget);
        let plain = ask(1, Scheme::Http);
        assert_eq!(against(&plain, Seen::Has), [None, None, None, not_a_target]);
        let tls = against(&ask(1, Scheme::Https), Seen::Has);
        assert_eq!(tls, [None, Some(Against::OtherScheme), None, not_a_target]);
        let avoid = ["a.example".to_owned(), "b.example:8080".to_owned(), "c.example:1".to_owned()];
        let avoided = Some(Against::Avoided);
        let spared = against(&MirrorAsk { avoid: &avoid, ..plain }, Seen::Has);
        assert_eq!(spared, [avoided, avoided, None, not_a_target]);
        for (ask, seen, expected) in [
            (MirrorAsk { only_relay: true, ..plain }, Seen::Has, Against::NotAskedFor),
            (MirrorAsk { artifact: Some(Against::Replaced), ..plain }, Seen::Has, Against::Replaced),
            (plain, Seen::Lacks, Against::NotHeld),
            (MirrorAsk { only_family: Some(Family::V6), ..plain }, Seen::Lacks, Against::OtherFamily),
            (plain, Seen::Never, Against::Unproved),
            (plain, Seen::Before, Against::Expired),
        ] {
            let expected = Some(expected);
            assert_eq!(against(&ask, seen), [expected, expected, expected, not_a_target]);
        }
    }
}
