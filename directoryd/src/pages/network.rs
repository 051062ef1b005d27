//! `/`: the network at a glance.

use maud::{Markup, html};
use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{
    FreshnessState, HeadStatus, Lifetime, PeerStatus, RelayCounts, RelayHolding, RelayState,
};
use odi_wire::page::{count, date, link_to, page, part, size};
use odi_wire::route::PageRoute;
use serde::Serialize;

use super::map;
use super::marks::{self, Verdict};
use super::propagation::Reach;
use super::traffic::Traffic;

/// The whole page.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkPage {
    /// [`odi_wire::message::DOCUMENT_VERSION`].
    pub v: u8,
    /// This directory's key.
    pub id: PublicKey,
    /// Where clients reach it.
    pub urls: Vec<String>,
    /// The program's version.
    pub version: &'static str,
    /// When it started.
    pub started: Timestamp,
    /// When the page was made.
    pub now: Timestamp,
    /// How many relays stand where.
    pub counts: RelayCounts,
    /// The catalogs.
    pub catalogs: Vec<CatalogLine>,
    /// The relays, those with the most clients first; [`LINES_MAX`](super::LINES_MAX) at most.
    pub relays: Vec<RelayLine>,
    /// What the weights of all relays that are chosen add up to.
    pub weights: u64,
    /// What was downloaded on the last days.
    pub traffic: Traffic,
    /// The other directories that it follows.
    pub peers: Vec<PeerStatus>,
}

/// One catalog.
#[derive(Clone, Debug, Serialize)]
pub struct CatalogLine {
    /// This directory's name for it.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// The maintainers' title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How much is left of its newest head or root, whichever is nearer to its end; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// Whether its newest head may be taken for the newest there is; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessState>,
    /// The newest served head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<HeadStatus>,
    /// When that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// How many newer heads wait to be served.
    pub waiting: usize,
    /// How many live relays follow it.
    pub followers: u32,
    /// How far the newest served head has come.
    pub reach: Reach,
    /// Why it could not be followed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One relay.
#[derive(Clone, Debug, Serialize)]
pub struct RelayLine {
    /// Its key.
    pub id: PublicKey,
    /// Its URLs.
    pub urls: Vec<String>,
    /// Where it stands.
    pub state: RelayState,
    /// Why nobody is sent there, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_out: Option<Verdict>,
    /// Its share of clients beside others'; 0 if nobody is sent there.
    pub weight: u64,
    /// Where it is, by its operator or a database: latitude and longitude in hundredths of a degree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<(i16, i16)>,
    /// When a probe last matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed: Option<Timestamp>,
    /// What it says that it holds.
    pub catalogs: Vec<RelayHolding>,
}

impl NetworkPage {
    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let host = self.urls.first().map_or("ODI directory", |url| marks::host(url));
        let content = html! {
            h1 { (host) }
            p.soft { "A directory of the Open Distribution Initiative. It sends you to a relay that holds what you ask for; what that is, the maintainers of each catalog have signed." }
            (self.figures())
            h2 { "Catalogs" }
            (self.catalogs())
            h2 { "Relays" }
            @if let Some(map) = map::of(&self.relays, self.weights) { (map) }
            (self.relays())
            h2 { "Downloads" }
            (self.traffic.to_html(false))
            @if !self.peers.is_empty() { h2 { "Other directories" } (self.peers()) }
            footer {
                p { "odi-directoryd " (self.version) ", up since " (date(self.started)) ". Key " code.key { (self.id) } }
                p { "As JSON: " a href="/?json" { "this page" } ", " a href="/odi/v1/status" { "status" } ", "
                    a href="/odi/v1/catalogs" { "catalogs" } ", " a href="/odi/v1/relays" { "relays" } ", " a href="/odi/v1/statistics/total" { "statistics" } " (" a href="/odi/v1/statistics/total?csv" { "CSV" } ")" }
            }
        };
        page(&format!("{host}: ODI directory"), &[], &content)
    }

    fn figures(&self) -> Markup {
        let of_catalogs = |what: fn(&HeadStatus) -> u64| {
            let served = self.catalogs.iter().filter_map(|catalog| catalog.served.as_ref());
            served.map(what).fold(0, u64::saturating_add)
        };
        let RelayCounts { unproven, probation, ready, quarantined } = self.counts;
        let others = [(probation, "on probation"), (unproven, "unproven"), (quarantined, "quarantined")];
        html! {
            dl.figures {
                div { dt { "Catalogs" } dd { (count(self.catalogs.len() as u64)) } }
                div { dt { "Artifacts" } dd { (count(of_catalogs(|head| head.entries))) } }
                div { dt { "Published" } dd { (size(of_catalogs(|head| head.bytes))) } }
                div {
                    dt { "Relays ready" }
                    dd {
                        (count(u64::from(ready)))
                        @for (number, word) in others {
                            @if number > 0 { small { (count(u64::from(number))) " " (word) } }
                        }
                    }
                }
            }
        }
    }

    fn catalogs(&self) -> Markup {
        html! {
            table.rows {
                thead { tr {
                    th { "Catalog" } th { "State" } th.n { "Artifacts" } th.n { "Size" } th { "Published" } th.n { "Relays" } th.n { "Copies" }
                } }
                tbody { @for catalog in &self.catalogs { (catalog.row()) } }
            }
        }
    }

    fn relays(&self) -> Markup {
        let known =
            self.counts.unproven + self.counts.probation + self.counts.ready + self.counts.quarantined;
        html! {
            @if self.relays.is_empty() {
                p.soft { "None has registered yet. Large files come from the origins until one has." }
            } @else {
                table.rows {
                    thead { tr { th { "Relay" } th { "Standing" } th { "Share of clients" } th { "Holds" } th { "Last probe" } } }
                    tbody { @for relay in &self.relays { (self.relay(relay)) } }
                }
                @if known as usize > self.relays.len() {
                    p.soft { "Of " (count(u64::from(known))) " relays those with the most clients. " a href="/odi/v1/relays" { "All of them" } " as JSON." }
                }
            }
        }
    }

    fn peers(&self) -> Markup {
        html! {
            table.rows {
                thead { tr { th { "Directory" } th { "State" } th { "Last heard" } } }
                tbody {
                    @for peer in &self.peers {
                        tr {
                            td { (link_to(&peer.url, marks::host(&peer.url).trim_end_matches('/'))) @for fault in peer.fault.iter().chain(&peer.passing_fault) { small.bad { (fault) } }
                                @for differs in &peer.differs { small.bad { (marks::difference(differs)) } } }
                            td data-l="State" { (marks::followed(peer)) }
                            td data-l="Last heard" { @if let Some(heard) = peer.heard { (date(heard)) } @else { span.soft { "never" } } }
                        }
                    }
                }
            }
        }
    }

    fn relay(&self, relay: &RelayLine) -> Markup {
        let name_of = |id: &CatalogId| {
            self.catalogs.iter().find(|known| known.id == *id).map(|known| known.name.as_str())
        };
        let held: Vec<(&str, &RelayHolding)> =
            relay.catalogs.iter().filter_map(|held| Some((name_of(&held.id)?, held))).collect();
        html! {
            tr {
                td {
                    a href=(PageRoute::Relay { relay: *relay.id.as_bytes() }.path()) {
                        (relay.urls.first().map_or("a relay without a URL", |url| marks::host(url)))
                    }
                }
                td data-l="Standing" { (marks::standing(relay.state, relay.shut_out)) }
                td data-l="Share of clients" { @if relay.weight > 0 { (part(relay.weight, self.weights)) } @else { span.soft { "none" } } }
                td data-l="Holds" {
                    span {
                        @for (at, (name, held)) in held.iter().enumerate() {
                            @if at > 0 { ", " }
                            (name)
                            @if held.share < odi_wire::message::ID_SPACE { " (" (held.share * 100 / odi_wire::message::ID_SPACE) " %)" }
                        }
                        @if held.is_empty() { span.soft { "nothing" } }
                    }
                }
                td data-l="Last probe" { @if let Some(probed) = relay.probed { (date(probed)) } @else { span.soft { "none" } } }
            }
        }
    }
}

impl CatalogLine {
    fn row(&self) -> Markup {
        html! {
            tr {
                td {
                    a href={ "/odi/catalogs/" (self.name) } { (self.name) }
                    @if let Some(title) = &self.title { small { (title) } }
                    @if let Some(fault) = &self.fault { small.bad { (fault) } }
                }
                td data-l="State" { (marks::catalog(self.lifetime, self.freshness)) }
                @if let Some(head) = &self.served {
                    td.n data-l="Artifacts" { (count(head.entries)) }
                    td.n data-l="Size" { (size(head.bytes)) }
                    td data-l="Published" { @if let Some(created) = self.created { (date(created)) } }
                } @else {
                    td {} td {} td {}
                }
                td.n data-l="Relays" { (count(u64::from(self.followers))) }
                td.n data-l="Copies" { (copies(self.reach.copies)) }
            }
        }
    }
}

/// How often a catalog is held, to a tenth.
pub(super) fn copies(shares: u64) -> Markup {
    let tenths = u128::from(shares) * 10 / u128::from(odi_wire::message::ID_SPACE);
    html! { (tenths / 10) "." (tenths % 10) }
}
