//! What was downloaded, for whoever wants to know: JSON or CSV, in numbers that may be shown (PROTOCOL.md § Statistics).

use std::sync::Arc;

use odi_manifest::CatalogId;
use odi_wire::http::HeaderValue;
use odi_wire::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use odi_wire::message::{DOCUMENT_VERSION, JSON, to_json};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::route::StatisticsOf;
use odi_wire::serve::{Request, Response};

use crate::directory::Directory;
use crate::network::Network;
use crate::statistics::{ArchiveError, DayRow, Kind, Line, PUBLISHED_STEP, StatisticsDocument};

/// The most lines that one document has.
const LINES_MAX: usize = 20_000;
/// The most days of relays and artifacts, of which a day has many, in one document.
const DAYS_OF_MANY_MAX: u32 = 31;

pub(super) async fn answer(
    directory: &Arc<Directory>,
    request: &Request,
    of: StatisticsOf,
    days: u32,
    csv: bool,
) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let asked = Arc::clone(directory);
    let document = off_worker(move || document(&asked, of, days)).await;
    let document = document.map_err(|error| super::internal(&error))?;
    let response = if csv {
        Response::ok("text/csv; charset=utf-8", document.to_csv()).with_header(
            CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"statistics.csv\""),
        )
    } else {
        Response::ok(JSON, to_json(&document))
    };
    Ok(response
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}

fn document(directory: &Directory, of: StatisticsOf, days: u32) -> Result<StatisticsDocument, ArchiveError> {
    let (statistics, now) = (&directory.statistics, directory.clock.now());
    let few = days.min(DAYS_OF_MANY_MAX);
    let mut lines = match of {
        StatisticsOf::Total => of_rows(directory, statistics.rows(Kind::All, days, now)?),
        StatisticsOf::Catalogs => of_rows(directory, statistics.rows(Kind::Catalogs, days, now)?),
        StatisticsOf::Countries => of_rows(directory, statistics.rows(Kind::Countries, days, now)?),
        StatisticsOf::Relays => of_rows(directory, statistics.rows(Kind::Relays, few, now)?),
        StatisticsOf::Artifacts => of_artifacts(directory, few)?,
        StatisticsOf::Lately => lately(directory),
    };
    let cut = lines.len() > LINES_MAX;
    lines.truncate(LINES_MAX);
    let kept_days = statistics.kept_days;
    Ok(StatisticsDocument { v: DOCUMENT_VERSION, kept_days, step: PUBLISHED_STEP, cut, lines })
}

fn of_rows(directory: &Directory, rows: Vec<DayRow>) -> Vec<Line> {
    rows.iter().filter_map(|row| Line::of_row(row, |id| name_of(directory, id))).collect()
}

fn of_artifacts(directory: &Directory, days: u32) -> Result<Vec<Line>, ArchiveError> {
    let mut lines = Vec::new();
    for (day, catalog, artifacts) in directory.statistics.artifacts(days, directory.clock.now())? {
        let name = name_of(directory, &catalog);
        let shown =
            artifacts.iter().filter_map(|heavy| Line::of_artifact(Some(day), catalog, name.clone(), heavy));
        lines.extend(shown);
        if lines.len() > LINES_MAX {
            break;
        }
    }
    Ok(lines)
}

fn lately(directory: &Directory) -> Vec<Line> {
    let now = directory.clock.now();
    let mut lines = Vec::new();
    for catalog in directory.catalogs() {
        let (id, name) = (catalog.id(), Some(catalog.name().to_string()));
        let artifacts = directory.statistics.lately(&id, now);
        lines.extend(artifacts.iter().filter_map(|heavy| Line::of_artifact(None, id, name.clone(), heavy)));
    }
    lines
}

fn name_of(directory: &Directory, catalog: &CatalogId) -> Option<String> {
    directory.catalog(catalog).map(|catalog| catalog.name().to_string())
}
