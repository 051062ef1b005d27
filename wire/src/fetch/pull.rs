//! What a relay asks another relay for while both fill: the chunks that are there, and word of those on their way
//! (PROTOCOL.md § Pulls).

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// The header field of a pull, and of the answer that there is nothing yet.
pub const PULL: HeaderName = HeaderName::from_static("odi-pull");
/// How long the first chunk of an answer is waited for before the answer is that it is coming. Shorter than any
/// patience, so that silence means trouble and slowness of the origin does not.
pub const PULL_HOLD: Duration = Duration::from_millis(1500);

const COMING: &str = "coming";

/// What the relay that is asked may do for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// It answers from its store or, as the stripe's home, from the origin; never from a third relay.
    Home,
    /// It answers from its store, and does nothing that it would not do anyway.
    Held,
    /// The blob's chunk list instead of its bytes; the home fetches it from the origin.
    List,
}

impl Pull {
    /// As the header field has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Held => "held",
            Self::List => "list",
        }
    }

    /// The pull that a request is, if it is one. An unknown word is none: the request is served like any other.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let word = headers.get(PULL)?.as_bytes();
        [Self::Home, Self::Held, Self::List].into_iter().find(|pull| pull.as_str().as_bytes() == word)
    }

    /// The field that makes a request this pull.
    #[must_use]
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    /// The field that makes a 503 the answer that the bytes are on their way.
    #[must_use]
    pub const fn coming() -> HeaderValue {
        HeaderValue::from_static(COMING)
    }

    /// Whether an answer says that the bytes are on their way.
    pub(super) fn is_coming(headers: &HeaderMap) -> bool {
        headers.get(PULL).is_some_and(|word| word == COMING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_one_of_three_words() {
        for (word, pull) in [
            ("home", Some(Pull::Home)),
            ("held", Some(Pull::Held)),
            ("list", Some(Pull::List)),
            ("Home", None),
            ("coming", None),
        ] {
            let headers = HeaderMap::from_iter([(PULL, HeaderValue::from_static(word))]);
            assert_eq!(Pull::of(&headers), pull, "{word}");
        }
        assert_eq!(Pull::of(&HeaderMap::new()), None);
    }
}
