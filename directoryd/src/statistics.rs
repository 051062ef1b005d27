//! What is downloaded: counted in memory, written in batches, shown in numbers of ten and more. What became of relays is written with it.
//!
//! [`counts`] counts and is pure, as [`crate::history`] is; [`archive`] keeps; this is the lock between them, and the task that writes. A
//! request takes the lock for about a microsecond and touches no disk.

mod archive;
mod counts;
mod day;
mod document;
mod fading;
mod once;
mod reports;
mod space_saving;
mod tally;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{CatalogId, Timestamp};
use odi_wire::off_worker::off_worker;
use tokio_util::sync::CancellationToken;

pub use archive::{Archive, ArchiveError, Kind};
pub use counts::{Batch, Counts, DayRow, Download, KeptArtifacts, Subject};
pub use day::Day;
pub use document::{Line, StatisticsDocument};
pub use fading::{Fading, HALF_LIFE};
pub use once::Once;
pub use reports::{Heard, Reports};
pub use space_saving::{Heavy, KeptCounter, SpaceSaving};
pub use tally::{Bucket, How, PUBLISHED_STEP, Row, Tally};

use crate::directory::Directory;
use crate::history::Histories;

/// Between two batches: at most so much is lost by a crash.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// The statistics of a directory at work.
#[derive(Debug)]
pub(crate) struct Statistics {
    counts: Mutex<Counts>,
    histories: Mutex<Histories>,
    archive: Archive,
    /// For how many days they are kept.
    pub(crate) kept_days: u32,
}

impl Statistics {
    /// Opens the archive and goes on with today. Blocking.
    pub(crate) fn open(
        data_dir: &Path,
        kept_days: u32,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, ArchiveError> {
        let archive = Archive::open(data_dir)?;
        let mut counts = Counts::new(secret, now);
        counts.restore(archive.restored(Day::of(now))?);
        let histories = Mutex::new(Histories::restored(archive.histories()?));
        let statistics = Self { counts: Mutex::new(counts), histories, archive, kept_days };
        statistics.forget(now)?;
        Ok(statistics)
    }

    /// The counts of today. Hold them for a look or a count, never across a wait.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of relays. Hold it as shortly.
    pub(crate) fn histories(&self) -> MutexGuard<'_, Histories> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what has changed. Blocking.
    fn write(&self, now: Timestamp) -> Result<(), ArchiveError> {
        self.write_histories()?;
        let batch = self.counts().take_batch(now);
        if batch == Batch::default() {
            return Ok(());
        }
        let written = self.archive.write(&batch);
        if written.is_err() {
            self.counts().put_back(batch);
        }
        written
    }

    fn write_histories(&self) -> Result<(), ArchiveError> {
        let unwritten = self.histories().take_unwritten();
        if unwritten.is_empty() {
            return Ok(());
        }
        let written = self.archive.write_histories(&unwritten);
        if written.is_err() {
            self.histories().put_back(&unwritten);
        }
        written
    }

    /// The archive, with everything that is counted written to it. Blocking.
    pub(crate) fn settled(&self, now: Timestamp) -> Result<&Archive, ArchiveError> {
        self.write(now)?;
        Ok(&self.archive)
    }

    /// Forgets what is too old. Blocking.
    fn forget(&self, now: Timestamp) -> Result<(), ArchiveError> {
        let silent_since = Timestamp(now.0.saturating_sub(reports::SILENCE.as_secs()));
        self.archive.forget_before(Day::of(now).back(self.kept_days), silent_since)
    }

    /// Today; what of former days has not been written yet is, so that the archive has all of them.
    fn today(&self, now: Timestamp) -> Result<Day, ArchiveError> {
        let (today, is_behind) = {
            let mut counts = self.counts();
            (counts.today(now), counts.has_finished())
        };
        if is_behind {
            self.write(now)?;
        }
        Ok(today)
    }

    /// The rows of a kind over so many days, today the last. Blocking.
    pub(crate) fn rows(&self, kind: Kind, days: u32, now: Timestamp) -> Result<Vec<DayRow>, ArchiveError> {
        let today = self.today(now)?;
        let mut rows = match days.min(self.kept_days) {
            0 | 1 => Vec::new(),
            days => self.archive.rows(kind, today.back(days - 1), today.back(1))?,
        };
        let counts = self.counts();
        let of_today = counts.rows().filter(|(subject, _)| Kind::of(subject) == kind);
        rows.extend(of_today.map(|(subject, row)| DayRow { day: today, subject: *subject, row: *row }));
        Ok(rows)
    }

    /// The same of one subject. Blocking.
    pub(crate) fn rows_of(
        &self,
        subject: Subject,
        days: u32,
        now: Timestamp,
    ) -> Result<Vec<DayRow>, ArchiveError> {
        let today = self.today(now)?;
        let mut rows = match days.min(self.kept_days) {
            0 | 1 => Vec::new(),
            days => self.archive.rows_of(&subject, today.back(days - 1), today.back(1))?,
        };
        let of_today = self.counts().row(&subject).copied();
        rows.extend(of_today.map(|row| DayRow { day: today, subject, row }));
        Ok(rows)
    }

    /// What was downloaded most of each catalog on each of so many days, today the last. Blocking.
    pub(crate) fn artifacts(
        &self,
        days: u32,
        now: Timestamp,
    ) -> Result<Vec<(Day, CatalogId, Vec<Heavy>)>, ArchiveError> {
        let today = self.today(now)?;
        let mut artifacts = Vec::new();
        for day in (1..days.min(self.kept_days)).rev().map(|back| today.back(back)) {
            for (catalog, kept) in self.archive.artifacts(day)? {
                let sketch = SpaceSaving::restored(usize::MAX, kept);
                artifacts.push((day, catalog, sketch.heaviest().collect()));
            }
        }
        let counts = self.counts();
        let of_today = counts
            .catalogs()
            .filter_map(|catalog| Some((today, *catalog, counts.of_today(catalog)?.heaviest().collect())));
        artifacts.extend(of_today);
        Ok(artifacts)
    }

    /// What was downloaded most of a catalog lately, the most first, of what may be shown.
    pub(crate) fn lately(&self, catalog: &CatalogId, now: Timestamp) -> Vec<Heavy> {
        let counts = self.counts();
        let lately = counts.lately(catalog).into_iter().flat_map(|lately| lately.heaviest(now));
        lately.filter(|heavy| tally::shown_count(heavy.certain()).is_some()).collect()
    }
}

/// Writes a batch every minute and at the end, and forgets what is too old.
pub(crate) async fn keep(directory: Arc<Directory>, stop: CancellationToken) {
    let mut forgotten = directory.statistics.counts().today(directory.clock.now());
    loop {
        let stopped = tokio::time::timeout(WRITTEN_EVERY, stop.cancelled()).await.is_ok();
        let (kept, now) = (Arc::clone(&directory), directory.clock.now());
        let today = Day::of(now);
        let forgets = today > forgotten;
        let written = off_worker(move || {
            kept.statistics.write(now)?;
            if forgets {
                kept.statistics.forget(now)?;
            }
            Ok::<(), ArchiveError>(())
        });
        match written.await {
            Ok(()) => forgotten = forgotten.max(today),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "counts wait to be written");
            }
        }
        if stopped {
            return;
        }
    }
}
