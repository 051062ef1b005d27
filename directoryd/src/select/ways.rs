//! Over which schemes and address families relays are reached.

use odi_wire::client::Family;
use odi_wire::message::PublicUrl;
use odi_wire::serve::Scheme;

/// Over which families each URL of a relay has answered a probe or the self-test. The last look at each counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    seen: Vec<(PublicUrl, Family)>,
}

impl Reach {
    /// Nothing has been seen yet.
    pub const NOTHING: Self = Self { seen: Vec::new() };

    /// A URL answered over a family, or did not. Whether that is news.
    pub fn note(&mut self, url: &PublicUrl, family: Family, answered: bool) -> bool {
        if answered == self.has(url, family) {
            return false;
        }
        if answered {
            self.seen.push((url.clone(), family));
        } else {
            self.seen.retain(|(known, over)| (known, *over) != (url, family));
        }
        true
    }

    /// What was seen at other URLs counts no more.
    pub fn keep(&mut self, urls: &[PublicUrl]) {
        self.seen.retain(|(url, _)| urls.contains(url));
    }

    /// Whether a URL answers over a family.
    #[must_use]
    pub fn has(&self, url: &PublicUrl, family: Family) -> bool {
        self.seen.iter().any(|(known, over)| *over == family && known == url)
    }
}

/// The same in few bits, for all URLs of a relay at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways(u8);

impl Ways {
    /// Those of a relay.
    #[must_use]
    pub fn of(urls: &[PublicUrl], reach: &Reach) -> Self {
        let mut ways = Self::default();
        for url in urls {
            let scheme = if url.is_https() { Scheme::Https } else { Scheme::Http };
            ways.0 |= bit(scheme, None);
            for family in [Family::V4, Family::V6] {
                ways.0 |= if reach.has(url, family) { bit(scheme, Some(family)) } else { 0 };
            }
        }
        ways
    }

    /// Those of two relays together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether some URL of a scheme answers over a family; over whichever, if none is named.
    #[must_use]
    pub const fn has(self, scheme: Scheme, family: Option<Family>) -> bool {
        self.0 & bit(scheme, family) != 0
    }
}

const fn bit(scheme: Scheme, family: Option<Family>) -> u8 {
    let of_family = match family {
        None => 1,
        Some(Family::V4) => 2,
        Some(Family::V6) => 4,
    };
    match scheme {
        Scheme::Http => of_family,
        Scheme::Https => of_family << 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_of_each_url_counts() {
        let url = |text: &str| PublicUrl::parse(text).unwrap();
        let (plain, secure) = (url("http://r.example"), url("https://r.example"));
        let mut reach = Reach::default();
        assert!(reach.note(&plain, Family::V4, true) && !reach.note(&plain, Family::V4, true));
        assert!(reach.note(&secure, Family::V6, true));
        let ways = |reach: &Reach| Ways::of(&[plain.clone(), secure.clone()], reach);
        assert!(ways(&reach).has(Scheme::Http, Some(Family::V4)) && ways(&reach).has(Scheme::Https, None));
        assert!(!ways(&reach).has(Scheme::Http, Some(Family::V6)), "only with TLS");
        assert!(reach.note(&secure, Family::V6, false));
        assert!(!ways(&reach).has(Scheme::Https, Some(Family::V6)));
        reach.keep(std::slice::from_ref(&secure));
        assert!(!reach.has(&plain, Family::V4));
    }
}
