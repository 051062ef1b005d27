//! Downloads over days, and what is downloaded most: the same on every page that has them. A drawing that needs no script, and its numbers
//! as a table for whoever cannot see it.

use maud::{Markup, html};
use odi_wire::page::{count, size};
use odi_wire::route::encode_path;
use serde::Serialize;

use crate::statistics::{Day, Line, Tally};

/// How many days a page shows.
pub const TRAFFIC_DAYS: u32 = 30;
/// How many artifacts.
pub const LATELY_MAX: usize = 20;

const HEIGHT: u64 = 100;
const BAR: u32 = 10;

/// The downloads of something on the last days.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// The last of them.
    pub today: Day,
    /// Those on which there is something to show, the oldest first.
    pub days: Vec<Line>,
}

impl Traffic {
    /// Nothing to show yet.
    #[must_use]
    pub const fn none(today: Day) -> Self {
        Self { today, days: Vec::new() }
    }

    /// All of them together, as this directory knows.
    #[must_use]
    pub fn known(&self) -> Tally {
        sum(self.days.iter().map(Line::known))
    }

    /// The drawing and its numbers. `relays_only` leaves out what no relay can have given.
    pub(super) fn to_html(&self, relays_only: bool) -> Markup {
        let confirmed = sum(self.days.iter().filter_map(|line| line.confirmed));
        html! {
            @if self.days.is_empty() {
                p.soft { "Nothing to show yet: numbers begin at ten downloads a day, and move in steps of ten." }
            } @else {
                (self.drawing())
                details {
                    summary { "The numbers" }
                    table.rows {
                        thead { tr {
                            th { "Day (UTC)" } @if !relays_only { th.n { "From here" } } th.n { "To relays" }
                            @if !relays_only { th.n { "To origins" } } th.n { "Relays say they gave" }
                        } }
                        tbody { @for line in self.days.iter().rev() { (row(line, relays_only)) } }
                    }
                }
                p.soft {
                    "Downloads, each counted once however many requests it took. "
                    @if confirmed.downloads > 0 { "What relays say is their word alone, and gets them nothing." }
                }
            }
        }
    }

    fn drawing(&self) -> Markup {
        let most = self.days.iter().map(|line| line.known().downloads).max().unwrap_or(0);
        let first = self.today.back(TRAFFIC_DAYS - 1);
        let all = self.known();
        html! {
            svg.traffic viewBox={ "0 0 " (TRAFFIC_DAYS * BAR) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ "downloads a day from " (first) " to " (self.today) ", at most " (most) } {
                @for line in &self.days {
                    @if let Some(day) = line.day {
                        @let downloads = line.known().downloads;
                        @let height = tall(downloads, most);
                        @let at = TRAFFIC_DAYS.saturating_sub(1 + self.today.0.saturating_sub(day.0)) * BAR;
                        rect x=(at) y=(HEIGHT - height) width=(BAR - 2) height=(height) {
                            title { (day) ": " (downloads) " downloads" }
                        }
                    }
                }
            }
            p { (count(all.downloads)) " downloads, " (size(all.bytes)) ", since " (first) "; at most " (count(most)) " a day." }
        }
    }
}

fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |sum, tally| Tally {
        downloads: sum.downloads.saturating_add(tally.downloads),
        bytes: sum.bytes.saturating_add(tally.bytes),
    })
}

/// At least a line, for what is something.
fn tall(downloads: u64, most: u64) -> u64 {
    let share = u128::from(downloads) * u128::from(HEIGHT) / u128::from(most.max(1));
    u64::try_from(share).unwrap_or(HEIGHT).clamp(u64::from(downloads > 0), HEIGHT)
}

fn row(line: &Line, relays_only: bool) -> Markup {
    let cell = |name: &'static str, tally: Option<Tally>| {
        html! { td.n data-l=(name) { @if let Some(tally) = tally { span { (count(tally.downloads)) small { (size(tally.bytes)) } } } } }
    };
    html! {
        tr {
            td { @if let Some(day) = line.day { (day) } }
            @if !relays_only { (cell("From here", line.carried)) }
            (cell("To relays", line.redirected))
            @if !relays_only { (cell("To origins", line.origin)) }
            (cell("Relays say they gave", line.confirmed))
        }
    }
}

/// What of a catalog is downloaded most lately.
pub(super) fn lately(catalog: &str, lines: &[Line]) -> Markup {
    html! {
        @if lines.is_empty() { p.soft { "Nothing was downloaded ten times lately." } } @else {
            table.rows {
                thead { tr { th { "Artifact" } th.n { "Downloads" } th.n { "Size" } } }
                tbody {
                    @for line in lines {
                        @if let Some(path) = &line.path {
                            tr {
                                td { a href={ "/" (catalog) "/" (encode_path(path)) "?explain" } { (path) } }
                                td.n data-l="Downloads" { @if let Some(downloads) = line.downloads { (count(downloads)) } }
                                td.n data-l="Size" { @if let Some(bytes) = line.size { (size(bytes)) } }
                            }
                        }
                    }
                }
            }
            p.soft { "In tens; a download counts half after a day." }
        }
    }
}
