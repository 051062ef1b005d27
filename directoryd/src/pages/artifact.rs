//! `?explain` for people with a browser: one artifact, its hashes, its proof, and where it is.

use maud::{Markup, html};
use odi_manifest::Timestamp;
use odi_wire::page::{Step, date, link, link_to, page, part, size};
use odi_wire::route::{PageRoute, Suffix, encode_path, encode_query};

use super::marks;
use crate::documents::{Explained, ExplainedMirror, Explanation, PassedOver};
use crate::select::Nearness;

impl Explanation {
    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        let about = format!("/odi/catalogs/{}", self.catalog);
        let folder =
            format!("/{}/{}", self.catalog, encode_path(self.path.strip_suffix(file).unwrap_or_default()));
        let trail: [Step<'_>; 3] = [("directory", "/"), (&self.catalog, &about), ("folder", &folder)];
        let content = html! {
            h1 { (file) }
            @if self.is_denied() { p { "It is not given here: the operator of this directory denies it, and sends nobody elsewhere for it." } }
            @else { p { a.go href=(self.here()) { "Download" } } }
            h2 { "What it is" }
            (self.facts())
            h2 { "Where it is" }
            (self.answer())
            @if !self.is_denied() { (self.relays()) }
            @if !self.passed_over.is_empty() { h2 { "Relays that are passed over" } (self.passed_over()) }
            @if !self.mirrors.is_empty() { h2 { "Mirrors" } (self.plain_mirrors()) }
            footer { p { a href="?explain&json" { "This page as JSON" } } }
        };
        page(&format!("{file}: {}", self.catalog), &trail, &content)
    }

    /// The artifact itself, at this directory.
    fn here(&self) -> String {
        format!("/{}/{}", self.catalog, encode_path(&self.path))
    }

    fn facts(&self) -> Markup {
        let here = self.here();
        html! {
            dl.facts {
                dt { "Path" } dd { (self.path) }
                dt { "Size" } dd { (size(self.size)) }
                dt { "Modified" } dd { (date(Timestamp(self.mtime))) }
                dt { "SHA-256" } dd { code.key { (self.sha256) } }
                dt { "BLAKE3" } dd { code.key { (self.blake3) } }
                dt { "State" } dd { a href={ "/" (self.pin) "/" } { code { (self.pin) } } }
                dt { "Proof" }
                dd { a href=(self.proof) { "that the signed state has it" } }
                @if !self.is_denied() {
                    dt { "For programs" }
                    dd {
                        @for suffix in [Suffix::Sha256, Suffix::B3, Suffix::Meta4, Suffix::Metalink] {
                            a href={ (here) (suffix.as_str()) } { (suffix.as_str()) } " "
                        }
                        a href={ (here) "?mirrorlist" } { "list of mirrors" }
                    }
                }
            }
        }
    }

    fn answer(&self) -> Markup {
        html! {
            p {
                "Over " (self.scheme) " from your network, " (self.came_from()) " the answer is " (self.status)
                @if let Some(to) = &self.location { " to " (link(to)) }
                ": " (self.reason) "."
            }
            @if let Some(why) = self.why_further() { p { (why) } }
        }
    }

    fn relays(&self) -> Markup {
        let is_located = self.relays.iter().any(|relay| relay.near != Nearness::Anywhere);
        let row = |relay: &Explained| {
            html! {
                tr {
                    td { a href=(PageRoute::Relay { relay: *relay.relay.as_bytes() }.path()) { (authority(&relay.url)) } }
                    @if is_located { td data-l="Where" { (relay.near) } }
                    td data-l="First for" { (part(relay.weight, self.shares_as_near(relay))) }
                    td data-l="There" { (link_to(&relay.url, "download")) }
                    td data-l="Without it" { a href={ "?explain&avoid=" (encode_query(authority(&relay.url))) } { "avoid" } }
                }
            }
        };
        html! {
            @if self.relays.is_empty() { p.soft { "No relay that you can be sent to has it now." } } @else {
                table.rows {
                    thead { tr { th { "Relay, in the order for your network" } @if is_located { th { "Where" } } th { "First for" } th { "There" } th { "Without it" } } }
                    tbody { @for relay in &self.relays { (row(relay)) } }
                }
            }
        }
    }

    fn passed_over(&self) -> Markup {
        let row = |relay: &PassedOver| {
            html! {
                tr {
                    td {
                        a href=(PageRoute::Relay { relay: *relay.relay.as_bytes() }.path()) {
                            (relay.url.as_deref().map_or("a relay without a URL", marks::host))
                        }
                    }
                    td data-l="Why" { (relay.words) }
                }
            }
        };
        html! {
            table.rows {
                thead { tr { th { "Relay" } th { "Why" } } }
                tbody { @for relay in &self.passed_over { (row(relay)) } }
            }
        }
    }

    fn plain_mirrors(&self) -> Markup {
        let row = |mirror: &ExplainedMirror| {
            html! {
                tr {
                    td { (authority(&mirror.url)) }
                    td data-l="Has it" { (marks::proved(mirror.proved)) " " (mirror.words) }
                    td data-l="There" { @if mirror.proved { (link_to(&mirror.url, "download")) } }
                }
            }
        };
        html! {
            p.soft { "Plain web servers of others. Clients go there where no relay has it, and only to one that was just seen to." }
            table.rows {
                thead { tr { th { "Mirror" } th { "Has it" } th { "There" } } }
                tbody { @for mirror in &self.mirrors { (row(mirror)) } }
            }
        }
    }
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = marks::host(url);
    rest.split_once('/').map_or(rest, |(authority, _)| authority)
}
