//! What the admin listener says of a directory, and does for its operator.

mod adding;
pub(crate) mod command;
pub(crate) mod operate;

mod federation;

use std::sync::Arc;

use odi_wire::admin::Examined;
use odi_wire::message::Lifetime;
use odi_wire::metrics::Metric;
use odi_wire::serve::{Load, Request, Response};

use crate::answer::status_document;
use crate::directory::Directory;
use crate::statistics::Tally;

pub(crate) struct Measured {
    pub(crate) directory: Arc<Directory>,
    pub(crate) load: Load,
}

impl Examined for Measured {
    /// Whoever answers lives; a store that failed does not come back without a restart.
    fn health(&self) -> Result<(), String> {
        self.directory.store.failure().map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn readiness(&self) -> Result<(), String> {
        if self.directory.hearing.listens() {
            return Err("restored from a backup, and hearing what is new".to_owned());
        }
        let status = status_document(&self.directory);
        let waiting = status.catalogs.into_iter().find(|catalog| catalog.served.is_none());
        waiting.map_or(Ok(()), |catalog| Err(format!("catalog {} has no state yet", catalog.name)))
    }

    async fn operate(&self, request: Request) -> Response {
        operate::answer(&self.directory, request).await
    }

    fn metrics(&self) -> Vec<Metric> {
        let status = status_document(&self.directory);
        let relays = [
            ("unproven", status.relays.unproven),
            ("probation", status.relays.probation),
            ("ready", status.relays.ready),
            ("quarantined", status.relays.quarantined),
        ];
        let heads = status
            .catalogs
            .iter()
            .filter_map(|catalog| Some((catalog.name.clone(), catalog.served.as_ref()?)));
        let heads: Vec<_> = heads.collect();
        let lifetimes = |is: fn(Lifetime) -> bool| {
            let known = status.catalogs.iter().filter_map(|catalog| Some((catalog, catalog.lifetime?)));
            known.map(move |(catalog, lifetime)| (catalog.name.clone(), is(lifetime).into()))
        };
        let downloads = self.directory.statistics.counts().since_start().by_how();
        let by_how =
            |of: fn(Tally) -> u64| downloads.map(|(how, bucket)| (how.to_owned(), of(bucket.counted())));
        let connections = self.load.open_connections() as u64;
        let mut metrics = vec![
            Metric::gauge(
                "odi_directory_ready",
                "1 if every catalog has a state and, where relays are registered, one is ready.",
                status.ready.into(),
            ),
            Metric::gauge("odi_directory_relays", "Relays in the roster.", 0)
                .by("state", relays.map(|(state, count)| (state.to_owned(), count.into()))),
            Metric::gauge("odi_directory_catalog_seq", "Sequence number of the served head.", 0)
                .by("catalog", heads.iter().map(|(name, head)| (name.clone(), head.pin.seq()))),
            Metric::gauge(
                "odi_directory_catalog_ending",
                "1 if the newest head or root of trust has a third of its life left, or less.",
                0,
            )
            .by("catalog", lifetimes(|lifetime| lifetime >= Lifetime::Ending)),
            Metric::gauge(
                "odi_directory_catalog_stale",
                "1 if the newest head or root of trust has expired.",
                0,
            )
            .by("catalog", lifetimes(|lifetime| lifetime == Lifetime::Ended)),
            Metric::gauge(
                "odi_directory_carried_bytes",
                "Bytes of small artifacts carried.",
                status.carried_bytes,
            ),
            Metric::gauge(
                "odi_directory_carry_budget_bytes",
                "The most that may be carried.",
                status.carry_budget,
            ),
            Metric::counter("odi_directory_downloads", "Downloads by where the bytes came from.", 0)
                .by("how", by_how(|tally| tally.downloads)),
            Metric::counter("odi_directory_downloaded_bytes", "The sizes of what was downloaded.", 0)
                .by("how", by_how(|tally| tally.bytes)),
            Metric::gauge("odi_directory_connections", "Open client connections.", connections),
        ];
        metrics.extend(federation::metrics(&status, self.directory.clock.now()));
        metrics.extend(federation::passing(&self.directory, &status));
        metrics
    }
}
