//! On a page: who vouches for the newest head of a catalog, and what speaks against its keys.

use maud::{Markup, html};
use odi_manifest::{CatalogId, Pin};
use odi_wire::layout::{LayoutPath, api_base};
use odi_wire::message::{CatalogFreshness, EquivocationStatus, FreshnessState, OwnWord};
use odi_wire::page::{count, date};

/// One line: whether it is fresh, on whose word, until or since when.
pub(super) fn line(freshness: &CatalogFreshness) -> Markup {
    let CatalogFreshness { quorum, vouching, witnesses, .. } = freshness;
    html! {
        @match freshness.state {
            FreshnessState::Fresh => {
                "Fresh: " (vouching) " of " (witnesses.len()) " witnesses"
                @if let Some(newest) = freshness.newest { ", newest at " (date(newest)) }
                @if let Some(until) = freshness.until { "; if no further word comes, until " (date(until)) }
                "."
            }
            FreshnessState::Stale => {
                "Stale"
                @if let Some(since) = freshness.since { " since " (date(since)) }
                @if vouching < quorum {
                    ": " (vouching) " of " (witnesses.len()) " witnesses have vouched for the newest head lately, and " (quorum) " must"
                }
                ". What is here is served on."
            }
            FreshnessState::Unprotected => "No freeze protection: its maintainers want no witness to vouch that nothing newer is kept back."
        }
    }
}

/// The witnesses one by one.
pub(super) fn witnesses(freshness: &CatalogFreshness) -> Markup {
    html! {
        @if !freshness.witnesses.is_empty() {
            h2 { "Witnesses" }
            table.rows {
                thead { tr { th { "Witness" } th { "State" } th.n { "Vouched for" } th { "At" } } }
                tbody {
                    @for witness in &freshness.witnesses {
                        tr {
                            td { span title=(witness.key) { (witness.name) } }
                            td data-l="State" {
                                @if witness.counts { span.state.good { "counts" } }
                                @else if witness.t.is_some() { span.state.warn { "does not count" } }
                                @else { span.state.off { "not heard" } }
                            }
                            td.n data-l="Vouched for" { @if let Some(seq) = witness.seq { (count(seq)) } }
                            td data-l="At" { @if let Some(t) = witness.t { (date(t)) } @else { span.soft { "never" } } }
                        }
                    }
                }
            }
            p.soft { "A directory that the maintainers named vouches, signed, for the largest head that it has seen. " (freshness.quorum) " of them in the last 48 hours make it fresh." }
        }
        @match freshness.own {
            Some(OwnWord::Behind) => p.note { "This directory vouches for nothing: a newer head was seen than it could adopt." },
            Some(OwnWord::Divided) => p.note { "This directory vouches for nothing: it vouched for another head of the same number." },
            Some(OwnWord::Listening) => p.soft { "This directory has just started, and hears others before it vouches again." },
            Some(OwnWord::Said | OwnWord::Nothing) | None => {}
        }
    }
}

/// Two heads of one number, and where the proof is.
pub(super) fn contradiction(catalog: &CatalogId, two: &EquivocationStatus) -> Markup {
    let [first, second] = two.heads;
    let proof = LayoutPath::Equivocation { first, second };
    html! {
        p.note {
            "Its release keys signed two different heads with the number " (count(two.seq)) ": "
            code { (Pin::of(two.seq, &first)) } " and " code { (Pin::of(two.seq, &second)) }
            ". Whoever holds one of them follows it on until its maintainers void the other. Their keys may be in others' hands. "
            a href={ (api_base(catalog)) (proof) } { "The proof" } "."
        }
    }
}
