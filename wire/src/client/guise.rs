//! How programs that people use ask for files: for whoever looks at a relay and must not be known by it.
//!
//! None of them asks for a compressed answer, so that what comes is the bytes that are signed.

use http::HeaderValue;
use http::header::{ACCEPT, HeaderName, USER_AGENT};

/// One such program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guise(&'static Program);

#[derive(Debug, PartialEq, Eq)]
struct Program {
    agent: &'static str,
    accept: Option<&'static str>,
    /// Whether it says `Accept-Encoding: identity`; the others say nothing.
    names_encodings: bool,
    further: Option<(&'static str, &'static str)>,
}

static PROGRAMS: [Program; 9] = [
    program("curl/8.5.0", Some("*/*"), false),
    program("curl/7.88.1", Some("*/*"), false),
    program("Wget/1.21.4", Some("*/*"), true),
    program("Debian APT-HTTP/1.3 (2.6.1)", None, false),
    Program {
        further: Some(("cache-control", "max-age=0")),
        ..program("Debian APT-HTTP/1.3 (2.4.13)", None, false)
    },
    program("libdnf (Fedora Linux 42; server; Linux.x86_64)", Some("*/*"), false),
    program("aria2/1.37.0", Some("*/*"), false),
    program("pip/24.2 {\"installer\":{\"name\":\"pip\",\"version\":\"24.2\"}}", Some("*/*"), true),
    Program {
        further: Some(("accept-language", "en-US,en;q=0.5")),
        ..program("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", Some("*/*"), true)
    },
];

const fn program(agent: &'static str, accept: Option<&'static str>, names_encodings: bool) -> Program {
    Program { agent, accept, names_encodings, further: None }
}

impl Guise {
    /// The one that a random number draws.
    #[must_use]
    pub fn drawn(draw: u32) -> Self {
        let [first, ..] = &PROGRAMS;
        let at = usize::try_from(draw).unwrap_or(0) % PROGRAMS.len();
        Self(PROGRAMS.get(at).unwrap_or(first))
    }

    pub(super) const fn names_encodings(self) -> bool {
        self.0.names_encodings
    }

    pub(super) fn fields(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let agent = (USER_AGENT, self.0.agent);
        let accept = self.0.accept.map(|accept| (ACCEPT, accept));
        let further = self.0.further.map(|(name, value)| (HeaderName::from_static(name), value));
        let fields = [Some(agent), accept, further].into_iter().flatten();
        fields.map(|(name, value)| (name, HeaderValue::from_static(value)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_drawn_and_none_names_this_program() {
        let agents: BTreeSet<&str> = (0..100).map(|draw| Guise::drawn(draw).0.agent).collect();
        assert_eq!(agents.len(), PROGRAMS.len());
        assert!(agents.iter().all(|agent| !agent.contains("odi")));
        assert!(Guise::drawn(u32::MAX).fields().count() >= 1);
    }
}
