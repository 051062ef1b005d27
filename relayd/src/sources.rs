//! What this relay knows of the servers it fetches from: how they serve, what they got wrong, who is banned.
//!
//! Pure. A *party* is scheme, host and port. A ban follows only a conviction: another source had the right bytes where this one
//! had others (wire/PROTOCOL.md § Fetch). Origins are never banned, since they are the last resort; what they changed is marked on the entry.

use std::collections::BTreeMap;
use std::time::Duration;

use odi_manifest::Timestamp;
use odi_wire::message::SourceStatus;

use crate::sourcing::Service;

/// The most parties that are remembered; beyond, the ones without a ban that gave the least are forgotten.
pub const PARTIES_MAX: usize = 1024;
/// The first ban, in seconds; each further one is twice as long.
pub const BAN_MIN_SECONDS: u64 = 30;
/// The longest ban, in seconds.
pub const BAN_MAX_SECONDS: u64 = 24 * 3600;

/// One party's record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// How it serves.
    pub service: Service,
    /// Verified bytes that it gave.
    pub bytes: u64,
    /// Requests that failed for any reason.
    pub failures: u64,
    /// Convictions.
    pub wrong_chunks: u64,
    /// Until when it is not asked.
    pub banned_until: Option<Timestamp>,
}

/// All parties, by `scheme://host:port`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    parties: BTreeMap<String, Record>,
    /// Duration of the latest stripes, newest last, for [`Sources::median_stripe`].
    stripes: Vec<Duration>,
}

/// Of how many transfers the median is taken.
const STRIPES_REMEMBERED: usize = 64;

impl Sources {
    /// How a party serves; a stranger counts as fast.
    #[must_use]
    pub fn service(&self, party: &str) -> Service {
        self.parties.get(party).map(|record| record.service).unwrap_or_default()
    }

    /// Whether a party may be asked now.
    #[must_use]
    pub fn is_banned(&self, party: &str, now: Timestamp) -> bool {
        self.parties.get(party).and_then(|record| record.banned_until).is_some_and(|until| until > now)
    }

    /// A request to a party begins.
    pub fn began(&mut self, party: &str) {
        let record = self.record(party);
        record.service.in_flight = record.service.in_flight.saturating_add(1);
    }

    /// A request to a party ended, having given so many verified bytes.
    pub fn ended(&mut self, party: &str, bytes: u64, took: Duration, failed: bool) {
        let record = self.record(party);
        record.service.in_flight = record.service.in_flight.saturating_sub(1);
        record.bytes = record.bytes.saturating_add(bytes);
        if bytes > 0 {
            record.service.transferred(bytes, took);
        }
        if failed {
            record.failures = record.failures.saturating_add(1);
            record.service.failed();
        } else {
            if self.stripes.len() >= STRIPES_REMEMBERED {
                self.stripes.remove(0);
            }
            self.stripes.push(took);
        }
    }

    /// A relay had wrong bytes where another source had the right ones: it is banned, longer each time.
    pub fn convicted(&mut self, party: &str, now: Timestamp) {
        let record = self.record(party);
        let doublings = u32::try_from(record.wrong_chunks).unwrap_or(u32::MAX);
        let seconds = BAN_MIN_SECONDS.checked_shl(doublings).filter(|seconds| *seconds >= BAN_MIN_SECONDS);
        record.wrong_chunks = record.wrong_chunks.saturating_add(1);
        record.banned_until =
            Some(now.plus(Duration::from_secs(seconds.unwrap_or(u64::MAX).min(BAN_MAX_SECONDS))));
    }

    /// The median duration of the latest transfers.
    #[must_use]
    pub fn median_stripe(&self) -> Option<Duration> {
        let mut sorted = self.stripes.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// For the status document, the most useful first.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let mut rows: Vec<SourceStatus> = self
            .parties
            .iter()
            .map(|(url, record)| SourceStatus {
                url: url.clone(),
                bytes: record.bytes,
                failures: record.failures,
                wrong_chunks: record.wrong_chunks,
                banned_until: record.banned_until,
            })
            .collect();
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.url.cmp(&b.url)));
        rows
    }

    fn record(&mut self, party: &str) -> &mut Record {
        if self.parties.len() >= PARTIES_MAX && !self.parties.contains_key(party) {
            let idle = |record: &Record| record.banned_until.is_none() && record.service.in_flight == 0;
            let least =
                self.parties.iter().filter(|(_, record)| idle(record)).min_by_key(|(_, record)| record.bytes);
            if let Some(forgotten) = least.map(|(name, _)| name.clone()) {
                self.parties.remove(&forgotten);
            }
        }
        self.parties.entry(party.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn bans_double_up_to_a_day() {
        let mut sources = Sources::default();
        let mut length = |n: u32| {
            sources.convicted("http://a", NOW);
            let until = sources.parties["http://a"].banned_until.unwrap();
            assert!(sources.is_banned("http://a", NOW) && !sources.is_banned("http://a", until), "{n}");
            until.since(NOW).as_secs()
        };
        assert_eq!((length(1), length(2), length(3)), (30, 60, 120));
        for n in 4..100 {
            length(n);
        }
        assert_eq!(length(100), BAN_MAX_SECONDS);
    }

    #[test]
    fn transfers_make_a_rate_and_a_median() {
        let mut sources = Sources::default();
        assert_eq!(sources.median_stripe(), None);
        for seconds in [1, 9, 2] {
            sources.began("http://a");
            sources.ended("http://a", 1000, Duration::from_secs(seconds), false);
        }
        assert_eq!(sources.median_stripe(), Some(Duration::from_secs(2)));
        assert_eq!(sources.service("http://a").in_flight, 0);
        sources.ended("http://b", 0, Duration::from_secs(1), true);
        let status = sources.status();
        assert_eq!((status[0].bytes, status[1].failures), (3000, 1));
    }

    #[test]
    fn the_list_of_parties_is_bounded() {
        let mut sources = Sources::default();
        sources.convicted("http://liar", NOW);
        for n in 0..2 * PARTIES_MAX {
            sources.ended(&format!("http://{n}"), n as u64, Duration::from_secs(1), false);
        }
        assert_eq!(sources.parties.len(), PARTIES_MAX);
        assert!(sources.is_banned("http://liar", NOW));
    }
}
