//! The downloads that pages show. Blocking, as the other pages are.

use odi_manifest::Timestamp;

use crate::catalog::Catalog;
use crate::directory::Directory;
use crate::pages::{LATELY_MAX, TRAFFIC_DAYS, Traffic};
use crate::statistics::{Day, Line, Subject};

/// Of one subject. Whatever is wrong with the disk, there is a page.
pub(super) fn of(directory: &Directory, subject: Subject) -> Traffic {
    let now = directory.clock.now();
    let today = Day::of(now);
    match directory.statistics.rows_of(subject, TRAFFIC_DAYS, now) {
        Ok(rows) => {
            Traffic { today, days: rows.iter().filter_map(|row| Line::of_row(row, |_| None)).collect() }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page has no downloads");
            Traffic::none(today)
        }
    }
}

/// What of a catalog is downloaded most.
pub(super) fn lately(directory: &Directory, catalog: &Catalog, now: Timestamp) -> Vec<Line> {
    let artifacts = directory.statistics.lately(&catalog.id(), now);
    let lines = artifacts.iter().filter_map(|heavy| Line::of_artifact(None, catalog.id(), None, heavy));
    lines.take(LATELY_MAX).collect()
}
