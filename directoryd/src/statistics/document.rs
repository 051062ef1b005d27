//! The statistics as others read them: JSON and CSV of the same lines. Only what may be shown is in them.

use std::fmt::Write as _;

use odi_manifest::{CatalogId, PublicKey};
use serde::Serialize;

use super::counts::{DayRow, Subject};
use super::day::Day;
use super::space_saving::Heavy;
use super::tally::{Tally, shown_count};

/// The columns of the CSV form.
const COLUMNS: &str = "day,catalog,name,relay,country,path,carried,carried_bytes,redirected,redirected_bytes,origin,\
                       origin_bytes,confirmed,confirmed_bytes,downloads,size\r\n";

/// `GET /odi/v1/statistics/...`.
#[derive(Clone, Debug, Serialize)]
pub struct StatisticsDocument {
    /// [`odi_wire::message::DOCUMENT_VERSION`].
    pub v: u8,
    /// For how many days they are kept.
    pub kept_days: u32,
    /// Numbers move in steps of this many downloads.
    pub step: u64,
    /// Whether there was more than a document has.
    pub cut: bool,
    /// By day, the oldest first.
    pub lines: Vec<Line>,
}

/// One subject on one day, or one artifact.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// The day; absent for what is counted lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<Day>,
    /// The catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogId>,
    /// This directory's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<PublicKey>,
    /// The country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Given by this directory itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<Tally>,
    /// Sent on to relays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirected: Option<Tally>,
    /// Sent on to the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Tally>,
    /// What relays say that they gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Tally>,
    /// Of an artifact: how often it was downloaded, at least, in tens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloads: Option<u64>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Line {
    /// What may be shown of a row; `None` if nothing may. `name_of` says what this directory calls a catalog.
    #[must_use]
    pub fn of_row(row: &DayRow, name_of: impl Fn(&CatalogId) -> Option<String>) -> Option<Self> {
        let DayRow { day, subject, row } = row;
        let line = Self {
            day: Some(*day),
            carried: row.carried.shown(),
            redirected: row.redirected.shown(),
            origin: row.origin.shown(),
            confirmed: row.confirmed.shown(),
            ..Self::default()
        };
        if [line.carried, line.redirected, line.origin, line.confirmed].iter().all(Option::is_none) {
            return None;
        }
        Some(match subject {
            Subject::All => line,
            Subject::Catalog(catalog) => Self { catalog: Some(*catalog), name: name_of(catalog), ..line },
            Subject::Relay(relay) => Self { relay: Some(*relay), ..line },
            Subject::Country(country) => Self { country: Some(country.to_string()), ..line },
        })
    }

    /// What may be shown of an artifact; `None` if nothing may.
    #[must_use]
    pub fn of_artifact(
        day: Option<Day>,
        catalog: CatalogId,
        name: Option<String>,
        heavy: &Heavy,
    ) -> Option<Self> {
        let downloads = shown_count(heavy.certain())?;
        Some(Self {
            day,
            catalog: Some(catalog),
            name,
            path: Some(heavy.path.to_string()),
            downloads: Some(downloads),
            size: Some(heavy.size),
            ..Self::default()
        })
    }

    /// All downloads that this directory knows of itself.
    #[must_use]
    pub fn known(&self) -> Tally {
        let parts = [self.carried, self.redirected, self.origin].into_iter().flatten();
        parts.fold(Tally::default(), |sum, part| Tally {
            downloads: sum.downloads.saturating_add(part.downloads),
            bytes: sum.bytes.saturating_add(part.bytes),
        })
    }
}

impl StatisticsDocument {
    /// As CSV (RFC 4180), with a line of names first.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = COLUMNS.to_owned();
        for line in &self.lines {
            let text = |text: Option<String>| text.map(|text| quoted(&text)).unwrap_or_default();
            let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let columns = [
                text(line.day.map(|day| day.to_string())),
                text(line.catalog.map(|catalog| catalog.to_string())),
                text(line.name.clone()),
                text(line.relay.map(|relay| relay.to_hex())),
                text(line.country.clone()),
                text(line.path.clone()),
            ];
            csv.push_str(&columns.join(","));
            for tally in [line.carried, line.redirected, line.origin, line.confirmed] {
                let (downloads, bytes) = (tally.map(|tally| tally.downloads), tally.map(|tally| tally.bytes));
                let _ = write!(csv, ",{},{}", number(downloads), number(bytes));
            }
            let _ = write!(csv, ",{},{}\r\n", number(line.downloads), number(line.size));
        }
        csv
    }
}

/// A field as CSV has it. A path may begin like a formula, which a spreadsheet would run: then a space comes before it.
fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!(" {text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n', ' ', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tally::{How, Row};
    use super::*;

    fn document() -> StatisticsDocument {
        let mut row = Row::default();
        row.add(How::Redirected, Tally { downloads: 12, bytes: 3400 });
        row.add(How::Origin, Tally { downloads: 9, bytes: 900 });
        let day = Day(20_780);
        let row = |subject| DayRow { day, subject, row };
        let heavy = |path: &str, count| Heavy { path: Arc::from(path), count, error: 5.0, size: 7 };
        let catalog = CatalogId::from_bytes([1; 32]);
        let name_of = |_: &CatalogId| Some("debian".to_owned());
        let lines = [
            Line::of_row(&row(Subject::All), name_of),
            Line::of_row(&row(Subject::Catalog(catalog)), name_of),
            Line::of_row(&row(Subject::Country("NO".parse().unwrap())), name_of),
            Line::of_row(&DayRow { row: Row::default(), ..row(Subject::All) }, name_of),
            Line::of_artifact(Some(day), catalog, name_of(&catalog), &heavy("=cmd|' /C calc'!\"A,0\"", 29.9)),
            Line::of_artifact(None, catalog, None, &heavy("rare", 14.9)),
        ];
        StatisticsDocument {
            v: 1,
            kept_days: 400,
            step: 10,
            cut: false,
            lines: lines.into_iter().flatten().collect(),
        }
    }

    #[test]
    fn both_forms_have_what_may_be_shown_and_no_more() {
        let document = document();
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&document).unwrap());
        insta::assert_snapshot!("csv", document.to_csv());
    }
}
