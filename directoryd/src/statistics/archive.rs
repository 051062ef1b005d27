//! The counts of finished days, of today as far as they were written, and what became of relays: one redb file, `data_dir/statistics.redb`.
//!
//! ```text
//! days   day (4) | 0                     -> row (128)      everything
//!        day (4) | 1 | catalog (32)      -> row
//!        day (4) | 2 | relay (32)        -> row
//!        day (4) | 3 | country (2)       -> row
//! tops   day (4) | catalog (32)          -> [[path, count, error, size], ...] (JSON)
//! lately catalog (32)                    -> {since, counters} (JSON)
//! heard  relay (32) | catalog (32)       -> since, bodies, bytes, at (8 each)
//! health relay (32)                      -> [{at, condition, why}, ...] (JSON)
//! ```
//!
//! Nothing in it is needed to run: a file that does not open is set aside, and counting begins anew. Blocking.

use std::path::{Path, PathBuf};

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::message::{Country, Sent};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::counts::{Batch, DayRow, KeptArtifacts, Subject};
use super::day::Day;
use super::reports::Heard;
use super::space_saving::KeptCounter;
use super::tally::Row;
use crate::history;

const DAYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("days");
const TOPS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tops");
const LATELY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("lately");
const HEARD: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("heard");
const HEALTH: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("health");

/// Memory for pages of the file.
const CACHE_BYTES: usize = 4 << 20;

/// Why the archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the statistics {} cannot be {verb}", path.display())]
pub struct ArchiveError {
    path: PathBuf,
    verb: &'static str,
    source: Box<redb::Error>,
}

/// What rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    All,
    /// Catalogs.
    Catalogs,
    /// Relays.
    Relays,
    /// Countries.
    Countries,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::All => 0,
            Self::Catalogs => 1,
            Self::Relays => 2,
            Self::Countries => 3,
        }
    }

    /// The kind of a subject.
    #[must_use]
    pub const fn of(subject: &Subject) -> Self {
        match subject {
            Subject::All => Self::All,
            Subject::Catalog(_) => Self::Catalogs,
            Subject::Relay(_) => Self::Relays,
            Subject::Country(_) => Self::Countries,
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    database: Database,
}

impl Archive {
    /// Opens the file, made if absent. One that is damaged is set aside.
    ///
    /// # Errors
    /// Neither it nor a new one opens.
    pub fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let path = data_dir.join("statistics.redb");
        let create = || Database::builder().set_cache_size(CACHE_BYTES).create(&path);
        let database = create().or_else(|error| {
            // Another process, which a backup may be, is no damage.
            if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
                return Err(error);
            }
            tracing::error!(%error, path = %path.display(), "the statistics do not open; they are set aside and begin anew");
            std::fs::rename(&path, path.with_added_extension("damaged"))
                .map_err(redb::StorageError::Io)?;
            create()
        });
        match database {
            Ok(database) => Ok(Self { path, database }),
            Err(error) => Err(ArchiveError { path, verb: "opened", source: Box::new(error.into()) }),
        }
    }

    /// Writes a batch; durable once this returns.
    ///
    /// # Errors
    /// The disk's; nothing of it is written then.
    pub fn write(&self, batch: &Batch) -> Result<(), ArchiveError> {
        let written = || {
            let transaction = self.database.begin_write()?;
            put(&transaction, batch)?;
            transaction.commit()?;
            Ok(())
        };
        written().map_err(|source| self.failed("written", source))
    }

    /// What a restart on that day needs: its rows, each catalog's artifacts, what relays said last.
    ///
    /// # Errors
    /// The disk's.
    pub fn restored(&self, today: Day) -> Result<Batch, ArchiveError> {
        let mut rows = Vec::new();
        for kind in [Kind::All, Kind::Catalogs, Kind::Relays, Kind::Countries] {
            rows.extend(self.rows(kind, today, today)?);
        }
        let read = || {
            let mut batch = Batch { rows, ..Batch::default() };
            let transaction = self.database.begin_read()?;
            if let Some(table) = present(transaction.open_table(LATELY))? {
                for row in table.iter()? {
                    let (key, value) = row?;
                    let Some(catalog) = key.value().try_into().ok().map(CatalogId::from_bytes) else {
                        continue;
                    };
                    let Ok(lately) = serde_json::from_slice(value.value()) else { continue };
                    batch.artifacts.push(KeptArtifacts { catalog, day: today, of_day: Vec::new(), lately });
                }
            }
            if let Some(table) = present(transaction.open_table(TOPS))? {
                for artifacts in &mut batch.artifacts {
                    let key = top_key(today, &artifacts.catalog);
                    let kept = table.get(key.as_slice())?;
                    artifacts.of_day = kept.map(|kept| counters(kept.value())).unwrap_or_default();
                }
            }
            if let Some(table) = present(transaction.open_table(HEARD))? {
                for row in table.iter()? {
                    let (key, value) = row?;
                    batch.heard.extend(heard(key.value(), value.value()));
                }
            }
            Ok(batch)
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// Writes what became of some relays; durable once this returns.
    ///
    /// # Errors
    /// The disk's; nothing of it is written then.
    pub fn write_histories(&self, of: &[history::Kept]) -> Result<(), ArchiveError> {
        let written = || {
            let transaction = self.database.begin_write()?;
            let mut health = transaction.open_table(HEALTH)?;
            for (relay, changes) in of {
                let key = relay.as_bytes().as_slice();
                if changes.is_empty() {
                    health.remove(key)?;
                } else {
                    health.insert(key, serde_json::to_vec(changes).unwrap_or_default().as_slice())?;
                }
            }
            drop(health);
            transaction.commit()?;
            Ok(())
        };
        written().map_err(|source| self.failed("written", source))
    }

    /// What became of every relay, as far as it reads.
    ///
    /// # Errors
    /// The disk's.
    pub fn histories(&self) -> Result<Vec<history::Kept>, ArchiveError> {
        let read = || {
            let transaction = self.database.begin_read()?;
            let mut histories = Vec::new();
            let Some(table) = present(transaction.open_table(HEALTH))? else { return Ok(histories) };
            for row in table.iter()? {
                let (key, value) = row?;
                let relay = key.value().try_into().ok().and_then(|key| PublicKey::from_bytes(key).ok());
                histories.extend(relay.zip(serde_json::from_slice(value.value()).ok()));
            }
            Ok(histories)
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// The rows of a kind from one day to another, both included.
    ///
    /// # Errors
    /// The disk's.
    pub fn rows(&self, kind: Kind, from: Day, to: Day) -> Result<Vec<DayRow>, ArchiveError> {
        let read = || {
            let transaction = self.database.begin_read()?;
            let mut rows = Vec::new();
            let Some(table) = present(transaction.open_table(DAYS))? else { return Ok(rows) };
            for day in (from.0..=to.0).map(Day) {
                let (first, after) = (day_key(day, &[kind.byte()]), day_key(day, &[kind.byte() + 1]));
                for row in table.range(first.as_slice()..after.as_slice())? {
                    let (key, value) = row?;
                    let subject = subject(key.value());
                    let row = subject.zip(Row::from_bytes(value.value()));
                    rows.extend(row.map(|(subject, row)| DayRow { day, subject, row }));
                }
            }
            Ok(rows)
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// The rows of one subject from one day to another, both included.
    ///
    /// # Errors
    /// The disk's.
    pub fn rows_of(&self, subject: &Subject, from: Day, to: Day) -> Result<Vec<DayRow>, ArchiveError> {
        let read = || {
            let transaction = self.database.begin_read()?;
            let mut rows = Vec::new();
            let Some(table) = present(transaction.open_table(DAYS))? else { return Ok(rows) };
            for day in (from.0..=to.0).map(Day) {
                let kept = table.get(row_key(day, subject).as_slice())?;
                let row = kept.and_then(|kept| Row::from_bytes(kept.value()));
                rows.extend(row.map(|row| DayRow { day, subject: *subject, row }));
            }
            Ok(rows)
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// What was downloaded most of each catalog on a day.
    ///
    /// # Errors
    /// The disk's.
    pub fn artifacts(&self, day: Day) -> Result<Vec<(CatalogId, Vec<KeptCounter>)>, ArchiveError> {
        let read = || {
            let transaction = self.database.begin_read()?;
            let mut artifacts = Vec::new();
            let Some(table) = present(transaction.open_table(TOPS))? else { return Ok(artifacts) };
            let (first, after) = (day_key(day, &[]), day_key(Day(day.0.saturating_add(1)), &[]));
            for row in table.range(first.as_slice()..after.as_slice())? {
                let (key, value) = row?;
                let catalog = key.value().get(4..).and_then(|id| id.try_into().ok());
                artifacts.extend(catalog.map(|id| (CatalogId::from_bytes(id), counters(value.value()))));
            }
            Ok(artifacts)
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// Copies everything, as it stands at one moment, into a file that does not exist yet.
    ///
    /// # Errors
    /// The disk's, of either file.
    pub fn copy_to(&self, path: &Path) -> Result<(), ArchiveError> {
        let copied = || {
            let from = self.database.begin_read()?;
            let copy = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
            let to = copy.begin_write()?;
            for name in [DAYS, TOPS, LATELY, HEARD, HEALTH] {
                let Some(table) = present(from.open_table(name))? else { continue };
                let mut into = to.open_table(name)?;
                for row in table.iter()? {
                    let (key, value) = row?;
                    into.insert(key.value(), value.value())?;
                }
            }
            to.commit()?;
            Ok(())
        };
        copied().map_err(|source| self.failed("copied", source))
    }

    /// Forgets the days before that one, and relays that have been silent since that moment.
    ///
    /// # Errors
    /// The disk's; then all of them are still there.
    pub fn forget_before(&self, day: Day, silent_since: Timestamp) -> Result<(), ArchiveError> {
        let forgotten = || {
            let transaction = self.database.begin_write()?;
            let end = day_key(day, &[]);
            for table in [DAYS, TOPS] {
                transaction.open_table(table)?.retain_in(..end.as_slice(), |_, _| false)?;
            }
            transaction
                .open_table(HEARD)?
                .retain(|key, value| heard(key, value).is_some_and(|heard| heard.at >= silent_since))?;
            transaction.commit()?;
            Ok(())
        };
        forgotten().map_err(|source| self.failed("written", source))
    }

    fn failed(&self, verb: &'static str, source: redb::Error) -> ArchiveError {
        ArchiveError { path: self.path.clone(), verb, source: Box::new(source) }
    }
}

fn put(transaction: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    let mut days = transaction.open_table(DAYS)?;
    for DayRow { day, subject, row } in &batch.rows {
        days.insert(row_key(*day, subject).as_slice(), row.to_bytes().as_slice())?;
    }
    let (mut tops, mut lately) = (transaction.open_table(TOPS)?, transaction.open_table(LATELY)?);
    for kept in &batch.artifacts {
        let of_day = serde_json::to_vec(&kept.of_day).unwrap_or_default();
        tops.insert(top_key(kept.day, &kept.catalog).as_slice(), of_day.as_slice())?;
        let counters = serde_json::to_vec(&kept.lately).unwrap_or_default();
        lately.insert(kept.catalog.as_bytes().as_slice(), counters.as_slice())?;
    }
    let mut heard = transaction.open_table(HEARD)?;
    for Heard { relay, catalog, sent, at } in &batch.heard {
        let key = [relay.as_bytes().as_slice(), catalog.as_bytes()].concat();
        let value = [sent.since.0, sent.bodies, sent.bytes, at.0].map(u64::to_le_bytes).concat();
        heard.insert(key.as_slice(), value.as_slice())?;
    }
    Ok(())
}

/// A table, unless nothing was ever written to it.
fn present<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn day_key(day: Day, rest: &[u8]) -> Vec<u8> {
    [&day.0.to_be_bytes(), rest].concat()
}

fn top_key(day: Day, catalog: &CatalogId) -> Vec<u8> {
    day_key(day, catalog.as_bytes())
}

fn row_key(day: Day, subject: &Subject) -> Vec<u8> {
    let mut key = day_key(day, &[Kind::of(subject).byte()]);
    match subject {
        Subject::All => {}
        Subject::Catalog(catalog) => key.extend_from_slice(catalog.as_bytes()),
        Subject::Relay(relay) => key.extend_from_slice(relay.as_bytes()),
        Subject::Country(country) => key.extend_from_slice(&country.letters()),
    }
    key
}

fn subject(key: &[u8]) -> Option<Subject> {
    let (_, key) = key.split_at_checked(4)?;
    Some(match key.split_first()? {
        (0, []) => Subject::All,
        (1, id) => Subject::Catalog(CatalogId::from_bytes(id.try_into().ok()?)),
        (2, id) => Subject::Relay(PublicKey::from_bytes(id.try_into().ok()?).ok()?),
        (3, letters) => Subject::Country(Country::of(letters.try_into().ok()?)?),
        _ => return None,
    })
}

fn counters(value: &[u8]) -> Vec<KeptCounter> {
    serde_json::from_slice(value).unwrap_or_default()
}

fn heard(key: &[u8], value: &[u8]) -> Option<Heard> {
    let (relay, catalog) = key.split_at_checked(32)?;
    let [since, bodies, bytes, at] = value.as_chunks::<8>().0 else { return None };
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    Some(Heard {
        relay: PublicKey::from_bytes(relay.try_into().ok()?).ok()?,
        catalog: CatalogId::from_bytes(catalog.try_into().ok()?),
        sent: Sent { since: Timestamp(number(since)), bodies: number(bodies), bytes: number(bytes) },
        at: Timestamp(number(at)),
    })
}
