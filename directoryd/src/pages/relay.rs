//! `/odi/relays/{key}`: one relay, what it holds, and why it is or is not chosen.

use maud::{Markup, html};
use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{ID_SPACE, RelayState};
use odi_wire::page::{count, date, link, page, part, percent, size};
use odi_wire::route::PageRoute;
use serde::Serialize;

use super::marks::{self, Verdict};
use super::traffic::Traffic;
use crate::history::{CHANGES_MAX, Change};
use crate::reports::{AuditReport, DirectoryReport};
use crate::roster::{self, Decision, Looks};

/// The whole page.
#[derive(Clone, Debug, Serialize)]
pub struct RelayPage {
    /// [`odi_wire::message::DOCUMENT_VERSION`].
    pub v: u8,
    /// Its key.
    pub id: PublicKey,
    /// Its URLs: the proved ones, or else those that it claims.
    pub urls: Vec<String>,
    /// When the page was made.
    pub now: Timestamp,
    /// Where it stands.
    pub state: RelayState,
    /// How far it has come.
    pub step: Step,
    /// Why it is no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What this directory's operator has decided about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Why nobody is sent there now, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_out: Option<Verdict>,
    /// Until when it counts as alive; absent if it has never announced itself, or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// When a probe last matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed: Option<Timestamp>,
    /// Its share of clients beside others'; 0 if nobody is sent there.
    pub weight: u64,
    /// What the weights of all relays that are chosen add up to.
    pub weights: u64,
    /// What it says that it gives now, in bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// The disk that it offers, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// The catalogs and tags that it asks for; none is everything.
    pub wants: Vec<String>,
    /// When it made its last inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Timestamp>,
    /// What it can do.
    pub caps: Vec<String>,
    /// What it says that it holds.
    pub catalogs: Vec<HoldingLine>,
    /// What was downloaded from it on the last days.
    pub traffic: Traffic,
    /// Relays that say it gave them wrong bytes.
    pub reported_by: Vec<PublicKey>,
    /// What looks at it came to.
    pub looks: Looks,
    /// What became of it here, the last first.
    pub history: Vec<Change>,
    /// After those: were it to lie in one answer of this many or oftener, it would have been found with 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lies_less_than_one_in: Option<u64>,
    /// Who saw it give wrong bytes, the last first.
    pub audits: Vec<AuditReport>,
    /// What other directories hold against it.
    pub reports: Vec<DirectoryReport>,
    /// Relays of which it says so.
    pub bans: Vec<PublicKey>,
}

/// How far a relay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Step {
    /// Its URLs have not proved its keys.
    Unproven,
    /// Its self-test has not passed.
    Untested,
    /// It shows itself in probes.
    Probation {
        /// So many in a row have matched.
        matched: u32,
        /// So many have to.
        wanted: u32,
    },
    /// It takes its share.
    Ready,
    /// The operator has shut it out.
    Barred,
    /// It gave wrong bytes.
    Quarantined {
        /// Until when it is shut out.
        until: Timestamp,
    },
}

/// One catalog that a relay follows.
#[derive(Clone, Debug, Serialize)]
pub struct HoldingLine {
    /// The catalog.
    pub id: CatalogId,
    /// This directory's name for it, if it follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The newest head that it serves, of those known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The newest at which it has all that it was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<u64>,
    /// Which share of the catalog that is, in 65 536ths.
    pub share: u32,
    /// About how many bytes that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many blobs it holds beside that.
    pub beside: usize,
    /// How many blobs of its share it lacks.
    pub lacks: usize,
}

impl RelayPage {
    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let name = self.urls.first().map_or("a relay without a URL", |url| marks::host(url));
        let content = html! {
            h1 { (name) }
            p { (marks::standing(self.state, self.shut_out)) }
            h2 { "Is it chosen?" }
            (self.choice())
            h2 { "What it holds" }
            (self.holdings())
            h2 { "Downloads from it" }
            (self.traffic.to_html(true))
            h2 { "What became of it" }
            (self.became())
            h2 { "What is known of it" }
            (self.facts())
            footer { p { a href="?json" { "This page as JSON" } } }
        };
        page(&format!("{name}: relay"), &super::TRAIL, &content)
    }

    fn choice(&self) -> Markup {
        html! {
            @match self.shut_out {
                Some(why) => p.note { "Not now: " (why.words) "." },
                None => p { "Yes. Of what all relays hold, it is the first for " (percent(self.weight, self.weights)) " of networks. A network keeps its relay." },
            }
            p {
                @match self.step {
                    Step::Unproven => "Its URLs have not answered the challenge that proves its two keys.",
                    Step::Untested => "It is looked at as an ordinary client would before anything is assigned to it.",
                    Step::Probation { matched, wanted } => { "On probation " (matched) " of " (wanted) " probes in a row have matched; until then it gets little." },
                    Step::Ready => "It has passed its self-test and its probation, and is probed now and then.",
                    Step::Barred => "It stays so until the operator says otherwise.",
                    Step::Quarantined { until } => { "It gave wrong bytes, and is shut out until " (date(until)) ". Then everything begins with the self-test." },
                }
            }
            @if let Some(reason) = &self.reason { p.note { (reason) } }
            @if let Some(decision) = &self.decision {
                @if decision.verdict == roster::Verdict::Approved {
                    p { "This directory's operator vouches for it, since " (date(decision.at)) @if let Some(why) = &decision.why { ": " (why) } "." }
                } @else { p.soft { "Decided " (date(decision.at)) "." } }
            }
        }
    }

    fn holdings(&self) -> Markup {
        html! {
            @if self.catalogs.is_empty() { p.soft { "It says nothing of that now." } } @else {
                table.rows {
                    thead { tr {
                        th { "Catalog" } th { "Share" } th.n { "About" } th.n { "Serves" } th.n { "Complete at" } th.n { "Beside" } th.n { "Lacks" }
                    } }
                    tbody { @for line in &self.catalogs { (line.row()) } }
                }
            }
        }
    }

    fn became(&self) -> Markup {
        html! {
            @if self.history.is_empty() { p.soft { "Nothing was noted yet." } } @else {
                table.rows {
                    thead { tr { th { "Since" } th { "State" } th { "Why" } } }
                    tbody {
                        @for change in &self.history {
                            tr {
                                td { (date(change.at)) }
                                td data-l="State" { (change.condition.words()) }
                                td data-l="Why" { @if let Some(why) = &change.why { (why) } }
                            }
                        }
                    }
                }
                p.soft { "As this directory saw it, every few seconds, and the last " (CHANGES_MAX) " changes at most." }
            }
        }
    }

    fn looked(&self) -> Markup {
        let Looks { matched, failed, elsewhere } = self.looks;
        html! {
            (count(matched)) " matched, " (count(failed)) " failed; " (count(elsewhere)) " matched through other relays"
            @if let Some(answers) = self.lies_less_than_one_in.filter(|answers| *answers > 1) {
                ". A relay that lies in one answer of " (count(answers)) " would have been found, with 95 %"
            }
        }
    }

    fn facts(&self) -> Markup {
        let never = || html! { span.soft { "none" } };
        html! {
            dl.facts {
                dt { "URLs" } dd { @for url in &self.urls { div { (link(url)) } } }
                dt { "Key" } dd { code.key { (self.id) } }
                dt { "Lease" }
                dd { @match self.lease_until {
                    Some(until) if until > self.now => { "until " (date(until)) },
                    Some(until) => { "ended " (date(until)) },
                    None => { (never()) },
                } }
                dt { "Last probe" } dd { @match self.probed { Some(probed) => (date(probed)), None => (never()) } }
                dt { "Looks" } dd { (self.looked()) }
                dt { "Last inventory" } dd { @match self.announced { Some(at) => (date(at)), None => (never()) } }
                @if let Some(rate) = self.rate { dt { "Gives" } dd { (size(rate)) "/s" } }
                @if let Some(disk) = self.disk { dt { "Offers" } dd { (size(disk)) " of disk" } }
                dt { "Asks for" } dd { @if self.wants.is_empty() { "everything" } @for want in &self.wants { span.tag { (want) } " " } }
                @if !self.caps.is_empty() { dt { "Can" } dd { @for cap in &self.caps { span.tag { (cap) } " " } } }
                dt { "Reported by" } dd { (relays(&self.reported_by)) }
                dt { "Reports" } dd { (relays(&self.bans)) }
                @if !self.audits.is_empty() { dt { "Wrong bytes" } dd { @for audit in &self.audits { (caught(audit)) } } }
                @if !self.reports.is_empty() { dt { "Other directories" } dd { @for report in &self.reports { (said(report)) } } }
            }
            p.soft { "Reports are the word of other relays, that they got wrong bytes, and of other directories. Alone they change nothing here; this directory looks for itself." }
        }
    }
}

fn caught(audit: &AuditReport) -> Markup {
    let hex = audit.by.to_hex();
    html! {
        div {
            (date(audit.at)) ": directory " span.hash { (hex.get(..16).unwrap_or_default()) "\u{2026}" }
            @if audit.own { " itself" } @else { " through others" }
            @if !audit.seen.is_empty() { ", seen by " (count(audit.seen.len() as u64)) " other relays" }
            " at " code { (audit.url) }
        }
    }
}

fn said(report: &DirectoryReport) -> Markup {
    let hex = report.by.to_hex();
    html! {
        div {
            span.hash { (hex.get(..16).unwrap_or_default()) "\u{2026}" } ": "
            @if report.removed { "removed it " } @else { "shut it out " } (date(report.at))
            @if let Some(why) = &report.why { ": " (why) }
        }
    }
}

fn relays(keys: &[PublicKey]) -> Markup {
    html! {
        @if keys.is_empty() { span.soft { "nobody" } }
        @for key in keys {
            @let hex = key.to_hex();
            div { a.hash href=(PageRoute::Relay { relay: *key.as_bytes() }.path()) { (hex.get(..16).unwrap_or_default()) "\u{2026}" } }
        }
    }
}

impl HoldingLine {
    fn row(&self) -> Markup {
        let seq = |seq: Option<u64>| html! { @if let Some(seq) = seq { (count(seq)) } @else { span.soft { "none known" } } };
        html! {
            tr {
                td {
                    @if let Some(name) = &self.name { a href={ "/odi/catalogs/" (name) } { (name) } } @else {
                        code title="this directory does not follow it" { (self.id) }
                    }
                }
                td data-l="Share" { (part(u64::from(self.share), u64::from(ID_SPACE))) }
                td.n data-l="About" { @if let Some(bytes) = self.bytes { (size(bytes)) } }
                td.n data-l="Serves" { (seq(self.seq)) }
                td.n data-l="Complete at" { (seq(self.full)) }
                td.n data-l="Beside" { (count(self.beside as u64)) }
                td.n data-l="Lacks" { (count(self.lacks as u64)) }
            }
        }
    }
}
