//! What this relay knows of the servers it fetches from: how they serve, what they got wrong, who is banned.
//!
//! Pure. A *party* is scheme, host and port. A ban follows only a conviction: another source had the right bytes where this one
//! had others (wire/PROTOCOL.md § Fetch). Origins are never banned, since they are the last resort; what they changed is marked on the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use odi_manifest::{BlobId, Timestamp};
use odi_wire::message::SourceStatus;

use crate::sourcing::{STRIPE_BYTES, Service};

/// The most parties that are remembered; beyond, the ones without a ban that gave the least are forgotten.
pub const PARTIES_MAX: usize = 1024;
/// The first ban, in seconds; each further one is twice as long.
pub const BAN_MIN_SECONDS: u64 = 30;
/// The longest ban, in seconds.
pub const BAN_MAX_SECONDS: u64 = 24 * 3600;

/// How long a party that failed is left alone at first, in seconds; it doubles with each failure.
pub const SHUN_MIN_SECONDS: u64 = 20;
/// The longest that it is, and how long it has to serve well until its failures are forgotten.
pub const SHUN_MAX_SECONDS: u64 = 300;

/// After so many refusals in a row of what it said that it fills or holds, and others gave, a party is left alone.
pub const REFUSALS_MAX: u32 = 3;

/// The most blobs for which accusations are remembered.
const ACCUSED_MAX: usize = 1024;

/// One party's record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// How it serves.
    pub service: Service,
    /// Verified bytes that it gave.
    pub bytes: u64,
    /// Bytes that it sent and that were of no use.
    pub wasted: u64,
    /// Requests that failed for any reason.
    pub failures: u64,
    /// Convictions.
    pub wrong_chunks: u64,
    /// Until when it is not asked.
    pub banned_until: Option<Timestamp>,
    /// Until when it is left alone because it failed, and how often it has.
    shunned_until: Option<Timestamp>,
    strikes: u32,
    /// Since it last gave anything.
    refusals: u32,
}

/// All parties, by `scheme://host:port`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    parties: BTreeMap<String, Record>,
    /// Who had other bytes than the catalog says for a blob that nobody has had right since.
    accused: BTreeMap<BlobId, BTreeSet<String>>,
    /// Duration of the latest stripes, newest last, for [`Sources::median_stripe`].
    stripes: Vec<Duration>,
}

/// Of how many stripes the median is taken.
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

    /// Everybody who is banned.
    #[must_use]
    pub fn banned(&self, now: Timestamp) -> BTreeSet<String> {
        self.parties.keys().filter(|party| self.is_banned(party, now)).cloned().collect()
    }

    /// Whether a party is banned, or failed a moment ago.
    #[must_use]
    pub fn is_shunned(&self, party: &str, now: Timestamp) -> bool {
        let shunned = |record: &Record| record.shunned_until.is_some_and(|until| until > now);
        self.is_banned(party, now) || self.parties.get(party).is_some_and(shunned)
    }

    /// A party does not serve: it is left alone for a while, longer each time unless it has served well for long. That
    /// it gives something now and then does not count, for that is what a party does that wants to be asked again. Nor
    /// does it count what else was under way when it failed.
    pub fn shun(&mut self, party: &str, now: Timestamp) {
        let record = self.record(party);
        if record.shunned_until.is_some_and(|until| until > now) {
            return;
        }
        let forgiven = |until: Timestamp| now.since(until) > Duration::from_secs(SHUN_MAX_SECONDS);
        if record.shunned_until.is_none_or(forgiven) {
            record.strikes = 0;
        }
        let seconds = SHUN_MIN_SECONDS.checked_shl(record.strikes).unwrap_or(u64::MAX).min(SHUN_MAX_SECONDS);
        record.strikes = record.strikes.saturating_add(1).min(16);
        record.shunned_until = Some(now.plus(Duration::from_secs(seconds)));
    }

    /// A party refused what its announcements promise, while there was somebody who had it. Once may be a matter of time;
    /// again and again it does not serve.
    pub fn refused(&mut self, party: &str, now: Timestamp) {
        let record = self.record(party);
        record.refusals = record.refusals.saturating_add(1);
        if record.refusals >= REFUSALS_MAX {
            record.refusals = 0;
            self.shun(party, now);
        }
    }

    /// A request to a party begins.
    pub fn began(&mut self, party: &str) {
        let record = self.record(party);
        record.service.in_flight = record.service.in_flight.saturating_add(1);
    }

    /// A request to a party ended, having sent so many bytes of which so many were of use.
    pub fn ended(&mut self, party: &str, bytes: u64, received: u64, took: Duration, failed: bool) {
        let record = self.record(party);
        record.service.in_flight = record.service.in_flight.saturating_sub(1);
        record.bytes = record.bytes.saturating_add(bytes);
        record.wasted = record.wasted.saturating_add(received.saturating_sub(bytes));
        if bytes > 0 {
            record.service.transferred(bytes, took);
            record.refusals = 0;
        }
        if failed {
            record.failures = record.failures.saturating_add(1);
            record.service.failed();
        }
    }

    /// A stripe of so many bytes has arrived, from whomever. Short ones say nothing of how long a whole one takes.
    pub fn stripe_took(&mut self, bytes: u64, took: Duration) {
        if bytes < STRIPE_BYTES / 2 {
            return;
        }
        if self.stripes.len() >= STRIPES_REMEMBERED {
            self.stripes.remove(0);
        }
        self.stripes.push(took);
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

    /// A party had other bytes than the catalog says. Alone that proves nothing: the entry may be at fault.
    pub fn accuse(&mut self, blob: &BlobId, party: &str) {
        if self.accused.len() < ACCUSED_MAX || self.accused.contains_key(blob) {
            self.accused.entry(*blob).or_default().insert(party.to_owned());
        }
    }

    /// A party had it right after all.
    pub fn acquit(&mut self, blob: &BlobId, party: &str) {
        if let Some(accused) = self.accused.get_mut(blob) {
            accused.remove(party);
        }
    }

    /// The blob is here and verified, so whoever had other bytes had wrong ones. Returns them, to be convicted.
    pub fn had_right_bytes(&mut self, blob: &BlobId) -> BTreeSet<String> {
        self.accused.remove(blob).unwrap_or_default()
    }

    /// The median duration of the latest stripes.
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
                wasted: record.wasted,
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
    fn failures_are_left_alone_longer_and_longer_and_time_forgives() {
        let mut sources = Sources::default();
        sources.shun("http://a", NOW);
        assert!(sources.is_shunned("http://a", NOW) && !sources.is_banned("http://a", NOW));
        let later = |seconds| NOW.plus(Duration::from_secs(seconds));
        sources.shun("http://a", NOW);
        let again = later(SHUN_MIN_SECONDS);
        assert!(!sources.is_shunned("http://a", again), "what fails at once fails once");
        sources.shun("http://a", again);
        assert!(sources.is_shunned("http://a", later(3 * SHUN_MIN_SECONDS - 1)));
        sources.ended("http://a", 1, 1, Duration::from_secs(1), false);
        let third = later(3 * SHUN_MIN_SECONDS);
        sources.shun("http://a", third);
        assert!(
            sources.is_shunned("http://a", later(7 * SHUN_MIN_SECONDS - 1)),
            "a byte now and then is cheap"
        );
        let long_after = later(5 * SHUN_MAX_SECONDS);
        sources.shun("http://a", long_after);
        let mut then = long_after.plus(Duration::from_secs(SHUN_MIN_SECONDS));
        assert!(!sources.is_shunned("http://a", then));
        for _ in 0..40 {
            sources.shun("http://a", then);
            then = then.plus(Duration::from_secs(SHUN_MAX_SECONDS));
            assert!(!sources.is_shunned("http://a", then));
        }
    }

    #[test]
    fn whoever_refuses_again_and_again_is_left_alone() {
        let mut sources = Sources::default();
        let refused = |sources: &mut Sources| {
            sources.refused("http://a", NOW);
            sources.is_shunned("http://a", NOW)
        };
        for _ in 0..4 {
            assert!((1..REFUSALS_MAX).all(|_| !refused(&mut sources)));
            sources.ended("http://a", 1000, 1000, Duration::from_secs(1), false);
        }
        assert!((1..REFUSALS_MAX).all(|_| !refused(&mut sources)) && refused(&mut sources));
        assert!(!sources.is_banned("http://a", NOW));
        let later = NOW.plus(Duration::from_secs(SHUN_MIN_SECONDS));
        assert!(!sources.is_shunned("http://a", later));
        (0..REFUSALS_MAX).for_each(|_| sources.refused("http://a", later));
        let again = later.plus(Duration::from_secs(SHUN_MIN_SECONDS));
        assert!(sources.is_shunned("http://a", again), "longer than the first time");
    }

    #[test]
    fn transfers_make_a_rate_and_a_median() {
        let mut sources = Sources::default();
        assert_eq!(sources.median_stripe(), None);
        for seconds in [1, 9, 2] {
            sources.began("http://a");
            sources.ended("http://a", 1000, 1010, Duration::from_secs(seconds), false);
            sources.stripe_took(STRIPE_BYTES, Duration::from_secs(seconds));
            sources.stripe_took(1, Duration::ZERO);
        }
        assert_eq!(sources.median_stripe(), Some(Duration::from_secs(2)));
        assert_eq!(sources.service("http://a").in_flight, 0);
        sources.ended("http://b", 0, 0, Duration::from_secs(1), true);
        let status = sources.status();
        assert_eq!((status[0].bytes, status[0].wasted, status[1].failures), (3000, 30, 1));
    }

    #[test]
    fn the_list_of_parties_is_bounded() {
        let mut sources = Sources::default();
        sources.convicted("http://liar", NOW);
        for n in 0..2 * PARTIES_MAX {
            sources.ended(&format!("http://{n}"), n as u64, n as u64, Duration::from_secs(1), false);
        }
        assert_eq!(sources.parties.len(), PARTIES_MAX);
        assert!(sources.is_banned("http://liar", NOW));
    }
}
