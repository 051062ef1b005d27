//! `/odi/catalogs/{name}`: one catalog, how far its heads have come, and how to use it.

use maud::{Markup, html};
use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::catalog_settings::ClientInstructions;
use odi_wire::message::{CatalogFreshness, EquivocationStatus, HeadStatus, ID_SPACE, Lifetime, RelayState};
use odi_wire::page::{count, date, link, page, part, size};
use odi_wire::route::PageRoute;
use serde::Serialize;

use super::freshness;
use super::marks::{self, Verdict};
use super::network::copies;
use super::propagation::Reach;
use super::traffic::{self, Traffic};
use crate::statistics::Line;

/// The whole page.
#[derive(Clone, Debug, Serialize)]
pub struct CatalogPage {
    /// [`odi_wire::message::DOCUMENT_VERSION`].
    pub v: u8,
    /// This directory's name for it.
    pub name: String,
    /// Its self-certifying name.
    pub id: CatalogId,
    /// Where it is here, with a slash at its end.
    pub url: String,
    /// The maintainers' title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Their home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Their web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Their tags.
    pub tags: Vec<String>,
    /// Names of sequence numbers.
    pub labels: Vec<(String, u64)>,
    /// How much is left of its newest head or root, whichever is nearer to its end; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// When its newest head expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When its newest root of trust does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_expires: Option<Timestamp>,
    /// Who vouches for its newest head; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<CatalogFreshness>,
    /// Proofs that its release keys signed two heads of one number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equivocations: Vec<EquivocationStatus>,
    /// When a head was last asked for with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polled: Option<Timestamp>,
    /// Why it could not be followed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why its settings are not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings_fault: Option<String>,
    /// The heads that are known here, newest first.
    pub heads: Vec<HeadLine>,
    /// How many live relays follow it.
    pub followers: u32,
    /// Those relays, the most chosen first; [`LINES_MAX`](super::LINES_MAX) at most.
    pub holders: Vec<HolderLine>,
    /// The plain mirrors that this directory's operator names; [`LINES_MAX`](super::LINES_MAX) at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorLine>,
    /// What was downloaded of it on the last days.
    pub traffic: Traffic,
    /// What of it was downloaded most lately; [`LATELY_MAX`](super::LATELY_MAX) at most.
    pub lately: Vec<Line>,
    /// How people point their clients at it here.
    pub clients: Vec<ClientInstructions>,
}

/// One head.
#[derive(Clone, Debug, Serialize)]
pub struct HeadLine {
    /// What it says.
    #[serde(flatten)]
    pub head: HeadStatus,
    /// Whether it is served.
    pub state: HeadState,
    /// When it was signed.
    pub created: Timestamp,
    /// When it was adopted here.
    pub adopted: Timestamp,
    /// Since when it is served, or was; unknown if that was before a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Timestamp>,
    /// When another one took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Timestamp>,
    /// How far it has come.
    #[serde(flatten)]
    pub reach: Reach,
}

/// What becomes of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadState {
    /// Adopted, and not served before its files are held.
    Waiting,
    /// The newest that is served.
    Served,
    /// Servable under its pin still.
    Former,
}

/// One relay that follows the catalog.
#[derive(Clone, Debug, Serialize)]
pub struct HolderLine {
    /// Its key.
    pub relay: PublicKey,
    /// Its first URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it stands.
    pub state: RelayState,
    /// Why nobody is sent there, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_out: Option<Verdict>,
    /// The newest head that it serves, of those known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The newest at which it has all that it was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<u64>,
    /// Which share of the catalog that is, in 65 536ths.
    pub share: u32,
    /// How many blobs of its share it says that it lacks.
    pub lacks: usize,
}

/// A plain mirror.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorLine {
    /// Where its copy of the tree begins.
    pub url: String,
    /// Whether clients may be sent there; otherwise only this directory takes small files from it.
    pub redirect: bool,
    /// When it was last seen to give what the catalog says, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<Timestamp>,
    /// When it was last seen not to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<Timestamp>,
}

impl CatalogPage {
    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let content = html! {
            h1 { (self.title.as_deref().unwrap_or(&self.name)) }
            p { (marks::catalog(self.lifetime, self.freshness.as_ref().map(|freshness| freshness.state))) " " @for tag in &self.tags { span.tag { (tag) } " " } }
            @if let Some(freshness) = &self.freshness { p.soft { (freshness::line(freshness)) } }
            (self.notes())
            @if let Some(newest) = self.newest() {
                dl.figures {
                    div { dt { "Artifacts" } dd { (count(newest.head.entries)) } }
                    div { dt { "Size" } dd { (size(newest.head.bytes)) } }
                    div { dt { "Relays" } dd { (count(u64::from(self.followers))) small { (count(u64::from(newest.reach.full))) " complete" } } }
                    div { dt { "Copies" } dd { (copies(newest.reach.copies)) } }
                }
            }
            p { a.go href={ "/" (self.name) "/" } { "Browse the files" } }
            (self.usage())
            h2 { "Heads" }
            (self.heads())
            h2 { "Relays that hold it" }
            (self.holders())
            @if !self.mirrors.is_empty() { h2 { "Mirrors" } (self.plain_mirrors()) }
            h2 { "Downloaded most" }
            (traffic::lately(&self.name, &self.lately))
            h2 { "Downloads" }
            (self.traffic.to_html(false))
            @if let Some(freshness) = &self.freshness { (freshness::witnesses(freshness)) }
            h2 { "What it is" }
            (self.facts())
            footer { p { a href="?json" { "This page as JSON" } ". The records themselves are under " code { "/odi/v1/catalogs/" (self.id) "/" } } }
        };
        page(&format!("{}: catalog", self.name), &super::TRAIL, &content)
    }

    fn newest(&self) -> Option<&HeadLine> {
        self.heads.iter().find(|line| line.state == HeadState::Served)
    }

    fn notes(&self) -> Markup {
        html! {
            @match self.lifetime {
                Some(Lifetime::Ended) => p.note { "Its newest head, or its root of trust, has expired. What is here is served on, nothing new is adopted, and whoever verifies will say that it is stale." },
                Some(Lifetime::Ending) => p.note { "Its newest head, or its root of trust, expires soon: its maintainers should sign the next one." },
                None => p.note { "This directory has no head of it yet." },
                Some(Lifetime::Good) => {},
            }
            @for two in &self.equivocations { (freshness::contradiction(&self.id, two)) }
            @if let Some(fault) = &self.fault { p.note { "It could not be followed last: " (fault) } }
            @if let Some(fault) = &self.settings_fault { p.note { "Its settings are not taken: " (fault) } }
        }
    }

    fn usage(&self) -> Markup {
        html! {
            h2 { "How to use it" }
            @for client in &self.clients { h3 { (client.name) } pre { (client.text) } }
            h3 { "curl" }
            pre { "curl -LO " (self.url) "PATH" }
            h3 { "odi, which verifies every byte" }
            pre { "odi get " (self.url) "PATH --catalog " (self.id) }
        }
    }

    fn heads(&self) -> Markup {
        html! {
            @if self.heads.is_empty() { p.soft { "None yet." } } @else {
                table.rows {
                    thead { tr {
                        th { "Head" } th { "State" } th { "Signed" } th { "Adopted here" } th { "Served since" } th.n { "Relays" } th.n { "Complete" } th.n { "Copies" }
                    } }
                    tbody { @for line in &self.heads { (line.row()) } }
                }
                p.soft { "A relay serves a head when it answers at its pin, and is complete when it has all that it was assigned of it." }
            }
        }
    }

    fn holders(&self) -> Markup {
        html! {
            @if self.holders.is_empty() {
                p.soft { "None now. Small files come from this directory, large ones from the origin." }
            } @else {
                table.rows {
                    thead { tr { th { "Relay" } th { "Standing" } th.n { "Serves" } th.n { "Complete at" } th { "Share" } th.n { "Lacks" } } }
                    tbody { @for line in &self.holders { (line.row()) } }
                }
                @if self.followers as usize > self.holders.len() {
                    p.soft { "And " (count(u64::from(self.followers) - self.holders.len() as u64)) " more." }
                }
            }
        }
    }

    fn plain_mirrors(&self) -> Markup {
        html! {
            p.soft { "Plain web servers of others that copy the tree. Clients go there for what no relay has, where a probe just got the right bytes." }
            table.rows {
                thead { tr { th { "Mirror" } th { "Clients" } th { "Last right" } th { "Last wrong or away" } } }
                tbody { @for line in &self.mirrors { (line.row()) } }
            }
        }
    }

    fn facts(&self) -> Markup {
        html! {
            dl.facts {
                dt { "Id" } dd { code.key { (self.id) } }
                dt { "Here" } dd { (link(&self.url)) }
                @if let Some(home) = &self.home { dt { "Home" } dd { (link(home)) } }
                @if let Some(origin) = &self.origin { dt { "Origin" } dd { (link(origin)) } }
                @if let Some(polled) = self.polled { dt { "Last asked" } dd { (date(polled)) } }
                @if let Some(expires) = self.expires { dt { "Head expires" } dd { (date(expires)) } }
                @if let Some(expires) = self.root_expires { dt { "Root expires" } dd { (date(expires)) } }
                @if !self.labels.is_empty() {
                    dt { "Labels" }
                    dd { @for (label, seq) in &self.labels { a href={ "/" (self.name) "@" (label) "/" } { (label) } " is " (seq) ". " } }
                }
            }
            p.soft { "The id is the fingerprint of the maintainers' first root of trust. Whoever has it from them can check all that is served here, and need not trust this directory." }
        }
    }
}

impl HeadLine {
    fn row(&self) -> Markup {
        let (class, word) = match self.state {
            HeadState::Waiting => ("warn", "waiting"),
            HeadState::Served => ("good", "served"),
            HeadState::Former => ("off", "former"),
        };
        html! {
            tr {
                td {
                    @if self.state == HeadState::Waiting { (count(self.head.seq)) } @else {
                        a href={ "/" (self.head.pin) "/" } title=(self.head.pin) { (count(self.head.seq)) }
                    }
                }
                td data-l="State" { span.state.(class) { (word) } }
                td data-l="Signed" { (date(self.created)) }
                td data-l="Adopted here" { (date(self.adopted)) }
                td data-l="Served since" {
                    @match (self.served, self.state) {
                        (Some(served), _) => (date(served)),
                        (None, HeadState::Waiting) => span.soft { "not yet" },
                        (None, _) => span.soft { "before the restart" },
                    }
                }
                td.n data-l="Relays" { (count(u64::from(self.reach.relays))) }
                td.n data-l="Complete" { (count(u64::from(self.reach.full))) }
                td.n data-l="Copies" { (copies(self.reach.copies)) }
            }
        }
    }
}

impl MirrorLine {
    fn row(&self) -> Markup {
        let at = |at: Option<Timestamp>| html! { @if let Some(at) = at { (date(at)) } @else { span.soft { "not since the start" } } };
        html! {
            tr {
                td { (link(&self.url)) }
                td data-l="Clients" { @if self.redirect { "may go there" } @else { "do not: it is a source only" } }
                td data-l="Last right" { (at(self.matched)) }
                td data-l="Last wrong or away" { (at(self.missed)) }
            }
        }
    }
}

impl HolderLine {
    fn row(&self) -> Markup {
        let seq = |seq: Option<u64>| html! { @if let Some(seq) = seq { (count(seq)) } @else { span.soft { "none known" } } };
        html! {
            tr {
                td {
                    a href=(PageRoute::Relay { relay: *self.relay.as_bytes() }.path()) {
                        (self.url.as_deref().map_or("a relay without a URL", marks::host))
                    }
                }
                td data-l="Standing" { (marks::standing(self.state, self.shut_out)) }
                td.n data-l="Serves" { (seq(self.seq)) }
                td.n data-l="Complete at" { (seq(self.full)) }
                td data-l="Share" { (part(u64::from(self.share), u64::from(ID_SPACE))) }
                td.n data-l="Lacks" { (count(self.lacks as u64)) }
            }
        }
    }
}
