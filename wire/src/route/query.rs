//! The knobs after `?` on a catalog's paths.

use super::percent::decode;
use crate::limits::{AVOID_MAX, QUERY_PARAMETERS_MAX};

/// The form of a list of mirrors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ListForm {
    /// A URL a line: dnf, zypper, people.
    #[default]
    Text,
    /// An array of objects, each with a `url`: zypper, tools.
    Json,
    /// A URL a line with its priority: apt's `mirror+http` and `mirror+https`.
    Apt,
    /// `Server = URL$repo/os/$arch`: pacman.
    Pacman,
}

impl ListForm {
    /// What follows `mirrorlist=`. What is no form is the plain one: a list that cannot be read helps nobody.
    fn parse(text: &str) -> Self {
        match text {
            "json" => Self::Json,
            "apt" => Self::Apt,
            "pacman" => Self::Pacman,
            _ => Self::Text,
        }
    }
}

/// How a caller wants a path answered. Unknown or malformed parameters are passed over: package managers append
/// their own, and a knob never decides what the bytes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// `?mirrorlist`: the choice of relays as a list, instead of one redirect.
    pub mirrorlist: Option<ListForm>,
    /// `?json`: lists and explanations as JSON.
    pub json: bool,
    /// `?explain`: why the choice fell as it did.
    pub explain: bool,
    /// `?origin`: from the origin, not from a relay.
    pub origin: bool,
    /// `?https`: over TLS only.
    pub https: bool,
    /// `?ipv4`: over IPv4 only.
    pub ipv4: bool,
    /// `?ipv6`: over IPv6 only.
    pub ipv6: bool,
    /// `?relay=`: from this relay only.
    pub relay: Option<String>,
    /// `?avoid=`: not from this relay. At most eight, of at most 64 bytes each.
    pub avoid: Vec<String>,
    /// `?after=NAME`: the page of a listing that begins after this name.
    pub after: Option<String>,
}

impl Query {
    /// Reads what follows `?`; never fails.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in parameters(text) {
            let (avoids_max, avoid_bytes_max) = AVOID_MAX;
            match key {
                "mirrorlist" => query.mirrorlist = Some(ListForm::parse(&value)),
                "json" => query.json = true,
                "explain" => query.explain = true,
                "origin" => query.origin = true,
                "https" => query.https = value != "0",
                "ipv4" => query.ipv4 = true,
                "ipv6" => query.ipv6 = true,
                "relay" if value.len() <= avoid_bytes_max => query.relay = Some(value),
                "avoid" if query.avoid.len() < avoids_max && value.len() <= avoid_bytes_max => {
                    query.avoid.push(value);
                }
                "after" => query.after = Some(value),
                _ => {}
            }
        }
        if query.json && query.mirrorlist == Some(ListForm::Text) {
            query.mirrorlist = Some(ListForm::Json);
        }
        query
    }
}

/// The parameters of a query with their values decoded; one without `=` has an empty value.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split('&').filter(|part| !part.is_empty()).take(QUERY_PARAMETERS_MAX).filter_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Some((key, decode(value).ok()?.into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_knobs_and_passes_over_the_rest() {
        let query = Query::parse(
            "countme=3&mirrorlist&json&avoid=r1&avoid=AS%20680&after=a%2Fb&&=&%zz&avoid=%zz&https=0",
        );
        let expected = Query {
            mirrorlist: Some(ListForm::Json),
            json: true,
            avoid: vec!["r1".to_owned(), "AS 680".to_owned()],
            after: Some("a/b".to_owned()),
            ..Query::default()
        };
        assert_eq!(query, expected);
    }

    #[test]
    fn a_list_has_a_form() {
        for (text, form) in [
            ("", None),
            ("json", None),
            ("mirrorlist", Some(ListForm::Text)),
            ("mirrorlist=1&json", Some(ListForm::Json)),
            ("json&mirrorlist=apt", Some(ListForm::Apt)),
            ("mirrorlist=pacman", Some(ListForm::Pacman)),
        ] {
            assert_eq!(Query::parse(text).mirrorlist, form, "{text}");
        }
    }

    #[test]
    fn is_bounded() {
        let many: Vec<String> = (0..100).map(|i| format!("avoid={i}")).collect();
        assert_eq!(Query::parse(&many.join("&")).avoid.len(), AVOID_MAX.0);
        let long = format!("avoid={}", "x".repeat(AVOID_MAX.1 + 1));
        assert!(Query::parse(&long).avoid.is_empty());
    }
}
