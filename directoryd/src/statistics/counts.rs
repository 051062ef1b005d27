//! What was downloaded today, by subject: plain data, with the time passed in.
//!
//! Invariants
//! - Memory is bounded: so many subjects a day, so many catalogs whose artifacts are told apart, so many of each.
//! - What has changed leaves as a [`Batch`]; counts that are made again from batches are the same counts, and count on alike.
//! - No caller is in any of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use odi_manifest::{BlobId, CatalogId, PublicKey, Timestamp};
use odi_wire::message::{Country, Sent};

use super::day::Day;
use super::fading::{Fading, KeptFading};
use super::once::Once;
use super::reports::{Heard, Reports};
use super::space_saving::{KeptCounter, SpaceSaving};
use super::tally::{How, Row, Tally};

/// How many subjects are told apart on a day; of those that come later only the sums are counted.
const SUBJECTS_MAX: usize = 16_384;
/// Of how many catalogs the artifacts are told apart.
const CATALOGS_MAX: usize = 128;
/// How many artifacts of each are, on one day and lately.
const ARTIFACTS: usize = 512;
/// Finished days that could not be written yet: beyond that the oldest is given up.
const UNWRITTEN_MAX: usize = 3 * SUBJECTS_MAX;

/// What is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Everything.
    All,
    /// One catalog.
    Catalog(CatalogId),
    /// One relay.
    Relay(PublicKey),
    /// Where callers sit, of those of whom it is known.
    Country(Country),
}

/// Somebody gets an artifact.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// Who; only to tell a second request for the same from another download.
    pub caller: IpAddr,
    /// Where the caller sits, if that is known.
    pub country: Option<Country>,
    /// Of which catalog.
    pub catalog: CatalogId,
    /// Its path there.
    pub path: &'a str,
    /// The content.
    pub blob: BlobId,
    /// Its size.
    pub size: u64,
    /// How.
    pub how: How,
    /// From which relay, if it is one.
    pub relay: Option<PublicKey>,
}

/// One subject's row of today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Today {
    row: Row,
    /// Since it was written last.
    changed: bool,
}

/// The artifacts of one catalog.
#[derive(Clone, Debug, PartialEq)]
struct Artifacts {
    today: SpaceSaving,
    lately: Fading,
    changed: bool,
}

/// One subject's row of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRow {
    /// The day.
    pub day: Day,
    /// The subject.
    pub subject: Subject,
    /// What was counted.
    pub row: Row,
}

/// One catalog's artifacts, of one day and lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptArtifacts {
    /// The catalog.
    pub catalog: CatalogId,
    /// The day.
    pub day: Day,
    /// What was downloaded most on it.
    pub of_day: Vec<KeptCounter>,
    /// What was downloaded most lately.
    pub lately: KeptFading,
}

/// What has changed since the last batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows.
    pub rows: Vec<DayRow>,
    /// Artifacts.
    pub artifacts: Vec<KeptArtifacts>,
    /// What relays said last of themselves.
    pub heard: Vec<Heard>,
}

/// The counts.
#[derive(Clone, Debug)]
pub struct Counts {
    day: Day,
    once: Once,
    rows: BTreeMap<Subject, Today>,
    /// Everything since the process began.
    since_start: Row,
    artifacts: BTreeMap<CatalogId, Artifacts>,
    reports: Reports,
    /// Of days that are over, what has not left yet.
    finished: Batch,
}

impl Counts {
    /// None yet. `secret` is random and known to nobody.
    #[must_use]
    pub fn new(secret: [u8; 32], now: Timestamp) -> Self {
        Self {
            day: Day::of(now),
            once: Once::new(secret),
            rows: BTreeMap::new(),
            since_start: Row::default(),
            artifacts: BTreeMap::new(),
            reports: Reports::default(),
            finished: Batch::default(),
        }
    }

    /// Puts back what was kept: rows of today, and of each catalog the newest artifacts.
    pub fn restore(&mut self, kept: Batch) {
        let today = self.day;
        let of_today = kept.rows.into_iter().filter(|row| row.day == today).take(SUBJECTS_MAX);
        self.rows.extend(of_today.map(|row| (row.subject, Today { row: row.row, changed: false })));
        for KeptArtifacts { catalog, day, of_day, lately } in kept.artifacts.into_iter().take(CATALOGS_MAX) {
            let of_day = if day == today { of_day } else { Vec::new() };
            let today = SpaceSaving::restored(ARTIFACTS, of_day);
            let lately = Fading::restored(ARTIFACTS, lately);
            self.artifacts.insert(catalog, Artifacts { today, lately, changed: false });
        }
        self.reports.restore(kept.heard);
    }

    /// Counts a download, unless it is a further request of one that was counted. Whether it was counted.
    pub fn download(&mut self, download: &Download<'_>, now: Timestamp) -> bool {
        self.turn(now);
        if !self.once.is_first(download.caller, &download.blob, now) {
            return false;
        }
        let tally = Tally { downloads: 1, bytes: download.size };
        self.count(Subject::All, download.how, tally);
        self.count(Subject::Catalog(download.catalog), download.how, tally);
        if let Some(relay) = download.relay {
            self.count(Subject::Relay(relay), download.how, tally);
        }
        if let Some(country) = download.country {
            self.count(Subject::Country(country), download.how, tally);
        }
        if let Some(artifacts) = self.artifacts_of(download.catalog, now) {
            artifacts.today.add(download.path, download.size, 1.0);
            artifacts.lately.add(download.path, download.size, now);
            artifacts.changed = true;
        }
        true
    }

    /// Counts what a relay says that it gave of a catalog since it said so last.
    pub fn hear(&mut self, relay: PublicKey, catalog: CatalogId, sent: Sent, now: Timestamp) {
        self.turn(now);
        let Some(more) = self.reports.hear(relay, catalog, sent, now) else { return };
        for subject in [Subject::All, Subject::Catalog(catalog), Subject::Relay(relay)] {
            self.count(subject, How::Confirmed, more);
        }
    }

    fn count(&mut self, subject: Subject, how: How, tally: Tally) {
        if subject == Subject::All {
            self.since_start.add(how, tally);
        }
        let has_room = self.rows.len() < SUBJECTS_MAX;
        let known = match self.rows.entry(subject) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) if has_room => place.insert(Today::default()),
            Entry::Vacant(_) => return,
        };
        known.row.add(how, tally);
        known.changed = true;
    }

    fn artifacts_of(&mut self, catalog: CatalogId, now: Timestamp) -> Option<&mut Artifacts> {
        if self.artifacts.len() >= CATALOGS_MAX && !self.artifacts.contains_key(&catalog) {
            return None;
        }
        Some(self.artifacts.entry(catalog).or_insert_with(|| Artifacts {
            today: SpaceSaving::new(ARTIFACTS),
            lately: Fading::new(ARTIFACTS, now),
            changed: false,
        }))
    }

    /// Ends the day if another has begun. A clock that is set back goes on counting for the later day.
    fn turn(&mut self, now: Timestamp) {
        let day = Day::of(now);
        if day <= self.day {
            return;
        }
        let last = self.take_changed();
        self.finished.rows.extend(last.rows);
        self.finished.artifacts.extend(last.artifacts);
        self.finished.heard.extend(last.heard);
        self.bound_finished();
        self.day = day;
        self.rows.clear();
        for artifacts in self.artifacts.values_mut() {
            artifacts.today = SpaceSaving::new(ARTIFACTS);
        }
        self.reports.forget_silent(now);
    }

    /// What is to be written now.
    pub fn take_batch(&mut self, now: Timestamp) -> Batch {
        self.turn(now);
        let mut batch = std::mem::take(&mut self.finished);
        let today = self.take_changed();
        batch.rows.extend(today.rows);
        batch.artifacts.extend(today.artifacts);
        batch.heard.extend(today.heard);
        batch
    }

    /// A batch could not be written: what it says is said again, as far as nothing newer does.
    pub fn put_back(&mut self, batch: Batch) {
        for row in batch.rows {
            if row.day == self.day {
                if let Some(known) = self.rows.get_mut(&row.subject) {
                    known.changed = true;
                }
            } else {
                self.finished.rows.push(row);
            }
        }
        for artifacts in batch.artifacts {
            match self.artifacts.get_mut(&artifacts.catalog) {
                Some(current) if artifacts.day == self.day => current.changed = true,
                _ => self.finished.artifacts.push(artifacts),
            }
        }
        self.reports.repeat(&batch.heard);
        self.bound_finished();
    }

    fn bound_finished(&mut self) {
        let rows = &mut self.finished.rows;
        rows.drain(..rows.len().saturating_sub(UNWRITTEN_MAX));
        let artifacts = &mut self.finished.artifacts;
        artifacts.drain(..artifacts.len().saturating_sub(3 * CATALOGS_MAX));
    }

    fn take_changed(&mut self) -> Batch {
        let day = self.day;
        let mut rows = Vec::new();
        for (subject, known) in self.rows.iter_mut().filter(|(_, known)| known.changed) {
            known.changed = false;
            rows.push(DayRow { day, subject: *subject, row: known.row });
        }
        let mut artifacts = Vec::new();
        for (catalog, current) in self.artifacts.iter_mut().filter(|(_, current)| current.changed) {
            current.changed = false;
            let (of_day, lately) = (current.today.kept(), current.lately.kept());
            artifacts.push(KeptArtifacts { catalog: *catalog, day, of_day, lately });
        }
        Batch { rows, artifacts, heard: self.reports.take_changed() }
    }

    /// Today, which begins now if another day still stood here.
    pub fn today(&mut self, now: Timestamp) -> Day {
        self.turn(now);
        self.day
    }

    /// Whether something of days that are over has not left yet.
    #[must_use]
    pub fn has_finished(&self) -> bool {
        self.finished != Batch::default()
    }

    /// Everything since the process began: for the operator.
    #[must_use]
    pub const fn since_start(&self) -> &Row {
        &self.since_start
    }

    /// Today's rows.
    pub fn rows(&self) -> impl Iterator<Item = (&Subject, &Row)> {
        self.rows.iter().map(|(subject, known)| (subject, &known.row))
    }

    /// Today's row of one subject.
    #[must_use]
    pub fn row(&self, subject: &Subject) -> Option<&Row> {
        Some(&self.rows.get(subject)?.row)
    }

    /// The catalogs whose artifacts are told apart.
    pub fn catalogs(&self) -> impl Iterator<Item = &CatalogId> {
        self.artifacts.keys()
    }

    /// What of a catalog was downloaded most today.
    #[must_use]
    pub fn of_today(&self, catalog: &CatalogId) -> Option<&SpaceSaving> {
        Some(&self.artifacts.get(catalog)?.today)
    }

    /// What of a catalog was downloaded most lately.
    #[must_use]
    pub fn lately(&self, catalog: &CatalogId) -> Option<&Fading> {
        Some(&self.artifacts.get(catalog)?.lately)
    }
}

#[cfg(test)]
mod tests;
