//! The same few words and colours on every page: how fresh a catalog is, where a relay stands.

use maud::{Markup, html};
use odi_wire::message::{DifferenceKind, FreshnessState, Lifetime, PeerDifference, PeerStatus, RelayState};
use odi_wire::page::date;
use serde::Serialize;

use crate::select::Why;

/// How much is left of what a catalog stands on, and whether somebody vouches that nothing is newer; nothing before its first head.
pub(super) fn catalog(lifetime: Option<Lifetime>, freshness: Option<FreshnessState>) -> Markup {
    match (lifetime, freshness) {
        (Some(Lifetime::Ended), _) | (Some(_), Some(FreshnessState::Stale)) => mark("bad", "stale"),
        (Some(Lifetime::Ending), _) => mark("warn", "expires soon"),
        (Some(Lifetime::Good), _) => mark("good", "fresh"),
        (None, _) => mark("off", "nothing yet"),
    }
}

/// Why a relay is not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub words: &'static str,
}

impl From<Why> for Verdict {
    fn from(why: Why) -> Self {
        Self { code: why.code(), words: why.words() }
    }
}

/// Where a relay stands, and whether it is heard of.
pub(super) fn standing(state: RelayState, shut: Option<Verdict>) -> Markup {
    match (state, shut) {
        (RelayState::Ready, None) => mark("good", "ready"),
        (RelayState::Probation, None) => mark("warn", "on probation"),
        (RelayState::Quarantined, _) => mark("bad", "quarantined"),
        (RelayState::Unknown | RelayState::Unproven, _) => mark("off", "unproven"),
        (RelayState::Probation | RelayState::Ready, Some(why)) => mark("off", why.code),
    }
}

/// Whether another directory is followed now.
pub(super) fn followed(peer: &PeerStatus) -> Markup {
    let is_behind = peer.differs.iter().any(|differs| differs.kind == DifferenceKind::Behind);
    match (&peer.fault, peer.heard) {
        (None, _) if is_behind => mark("warn", "behind"),
        (None, _) if !peer.differs.is_empty() => mark("bad", "divided"),
        (Some(_), _) => mark("bad", "not followed"),
        (None, Some(_)) => mark("good", "followed"),
        (None, None) => mark("off", "not heard yet"),
    }
}

/// What another directory shows that is older than here, or contradicts it.
pub(super) fn difference(differs: &PeerDifference) -> Markup {
    html! {
        (differs.catalog) ": "
        @match differs.kind {
            DifferenceKind::Behind => { "shows head " (differs.seq) ", while " (differs.here) " is known here" }
            DifferenceKind::Divided => { "shows another head " (differs.seq) " than this directory" }
        }
        ", since " (date(differs.since))
    }
}

/// Whether a mirror was just seen to have an artifact.
pub(super) fn proved(is_proved: bool) -> Markup {
    if is_proved { mark("good", "proved") } else { mark("off", "not now") }
}

fn mark(class: &str, word: &str) -> Markup {
    html! { span.state.(class) { (word) } }
}

/// A relay's URL as people say it: without its scheme.
pub(super) fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}
