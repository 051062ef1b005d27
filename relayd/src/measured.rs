//! What the admin listener says of a relay: docs/metrics.md explains every name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odi_wire::admin::Examined;
use odi_wire::http::StatusCode;
use odi_wire::message::{RelayCatalog, RelayState, RelayStatus};
use odi_wire::metrics::Metric;
use odi_wire::serve::Load;
use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::serve;

/// A relay as its admin listener sees it.
#[derive(Debug)]
pub struct Measured {
    /// The relay.
    pub relay: Arc<Relay>,
    /// Its clients.
    pub load: Load,
    /// Cancelled when the operator asks it to leave.
    pub leaving: CancellationToken,
}

/// How many answers had which class of status.
#[derive(Debug, Default)]
pub struct Answers([AtomicU64; 5]);

impl Answers {
    /// Counts one.
    pub fn count(&self, status: StatusCode) {
        if let Some(class) = self.0.get(usize::from(status.as_u16() / 100).saturating_sub(1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn by_class(&self) -> Vec<(String, u64)> {
        let named = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&self.0);
        named.map(|(class, count)| (class.to_owned(), count.load(Ordering::Relaxed))).collect()
    }
}

impl Examined for Measured {
    fn health(&self) -> Result<(), String> {
        self.relay.store.failure().map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn readiness(&self) -> Result<(), String> {
        let status = serve::status_document(&self.relay);
        if self.leaving.is_cancelled() {
            return Err("the relay is leaving".to_owned());
        }
        if !status.directories.iter().any(|directory| directory.state == RelayState::Ready) {
            return Err("no directory sends clients here yet".to_owned());
        }
        let agreed = self.relay.directories.agreed_to();
        let counts = |catalog: &&RelayCatalog| agreed.iter().any(|(id, _)| *id == catalog.id);
        match status.catalogs.iter().filter(counts).find(|catalog| catalog.missing_blobs > 0) {
            Some(catalog) => Err(format!("catalog {} lacks {} blobs", catalog.name, catalog.missing_blobs)),
            None if status.ready => Ok(()),
            None => Err("nothing is assigned and held yet".to_owned()),
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        let status = serve::status_document(&self.relay);
        let mut metrics = self.traffic(&status);
        metrics.extend(budgets(&status));
        metrics.extend(holdings(&status));
        metrics
    }

    fn drain(&self) -> bool {
        self.leaving.cancel();
        true
    }
}

impl Measured {
    fn traffic(&self, status: &RelayStatus) -> Vec<Metric> {
        let fetched = status.sources.iter().map(|source| source.bytes).sum();
        let failures = status.sources.iter().map(|source| source.failures).sum();
        let wrong = status.sources.iter().map(|source| source.wrong_chunks).sum();
        vec![
            Metric::gauge(
                "odi_relay_connections",
                "Open client connections.",
                self.load.open_connections() as u64,
            ),
            Metric::counter("odi_relay_responses", "Answers by class of status.", 0)
                .by("class", self.relay.answers.by_class()),
            Metric::counter(
                "odi_relay_sent_bytes",
                "Heads and bodies sent since the start.",
                self.relay.throttle.sent(),
            ),
            Metric::gauge(
                "odi_relay_answers_waiting",
                "Answers that wait for the bandwidth budget.",
                self.relay.throttle.waiting() as u64,
            ),
            Metric::counter(
                "odi_relay_fetched_bytes",
                "Verified bytes fetched, of the sources in the status.",
                fetched,
            ),
            Metric::counter("odi_relay_fetch_failures", "Requests to sources that failed.", failures),
            Metric::counter(
                "odi_relay_wrong_chunks",
                "Wrong chunks for which another source had the right one.",
                wrong,
            ),
        ]
    }
}

fn budgets(status: &RelayStatus) -> Vec<Metric> {
    let budget = &status.budget;
    let mut metrics = vec![
        Metric::gauge("odi_relay_disk_used_bytes", "Bytes that the store takes on disk.", budget.disk_used),
        Metric::gauge("odi_relay_disk_budget_bytes", "The most that it may take.", budget.disk_bytes),
        Metric::gauge("odi_relay_transfer_used_bytes", "Bytes sent this month (UTC).", budget.transfer_used),
    ];
    // An absent limit is an absent metric: any number would be a wrong one.
    let limits = [
        ("odi_relay_rate_limit_bytes", "Bytes a second that may be sent now.", budget.rate_bytes),
        ("odi_relay_transfer_budget_bytes", "Bytes that may be sent this month.", budget.transfer_bytes),
        (
            "odi_relay_capacity_bytes",
            "Bytes a second that directories are told to count on.",
            budget.capacity,
        ),
    ];
    metrics
        .extend(limits.into_iter().filter_map(|(name, help, limit)| Some(Metric::gauge(name, help, limit?))));
    metrics
}

fn holdings(status: &RelayStatus) -> Vec<Metric> {
    let by = |value: fn(&RelayCatalog) -> u64| {
        let samples: Vec<_> =
            status.catalogs.iter().map(|catalog| (catalog.name.clone(), value(catalog))).collect();
        samples
    };
    let ready = |state: RelayState| u64::from(state == RelayState::Ready);
    let directories =
        status.directories.iter().map(|directory| (directory.url.clone(), ready(directory.state)));
    vec![
        Metric::gauge(
            "odi_relay_ready",
            "1 if all that is assigned is held and a directory sends clients.",
            status.ready.into(),
        ),
        Metric::gauge("odi_relay_directory_ready", "1 if the directory sends clients here.", 0)
            .by("directory", directories),
        Metric::gauge("odi_relay_catalog_seq", "Sequence number of the newest head.", 0)
            .by("catalog", by(|catalog| catalog.served.as_ref().map_or(0, |head| head.pin.seq()))),
        Metric::gauge("odi_relay_catalog_stale", "1 if the newest head has expired.", 0)
            .by("catalog", by(|catalog| catalog.stale.into())),
        Metric::gauge("odi_relay_missing_blobs", "Assigned blobs not held.", 0)
            .by("catalog", by(|catalog| catalog.missing_blobs)),
        Metric::gauge("odi_relay_missing_bytes", "Their bytes.", 0)
            .by("catalog", by(|catalog| catalog.missing_bytes)),
        Metric::gauge("odi_relay_bad_entries", "Entries that no source can satisfy.", 0)
            .by("catalog", by(|catalog| catalog.bad_entries)),
    ]
}
