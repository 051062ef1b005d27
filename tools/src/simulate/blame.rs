//! Why the most loaded relay is that: what it was sent of large files, how many held those, and how late it was when it was chosen,
//! beside the best of all that held them. A rule that fails is found that way: few holders for long mean that heat or placement
//! failed, a best holder that was hardly late means that selection did.

use std::collections::HashMap;

use odi_manifest::{BlobId, PublicKey};

use super::catalogs::Artifact;
use super::network::Network;
use super::relay::SLOWEST;

/// A file is large if the slowest relays need so many seconds to give it; the rest evens out.
const LARGE_SECONDS: u64 = 300;
/// Who is late by less is not compared with all holders.
const LATE_SECONDS: u64 = 600;

/// What relays were sent of large files, in an hour or all the time.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: HashMap<PublicKey, HashMap<BlobId, Line>>,
    /// How often each was asked for of anybody.
    asked: HashMap<BlobId, u32>,
}

/// One file at one relay.
#[derive(Clone, Copy, Debug)]
struct Line {
    artifact: Artifact,
    times: u32,
    /// In the minute in which it was late the most: that minute, how late it was, and what could be had.
    minute: u64,
    late: u64,
    held: Held,
}

/// Who held a file at that moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) holders: usize,
    /// Of all of them, in bytes per second.
    pub(super) rate: u64,
    /// By how many seconds the best of them would have been late.
    pub(super) least_late: u64,
}

impl Ledger {
    /// A relay is sent a client; asked before the balance notes it.
    pub(super) fn note(&mut self, network: &Network, at: usize, artifact: &Artifact, minute: u64) {
        let Some(relay) = network.relays.get(at) else { return };
        if artifact.size < LARGE_SECONDS * SLOWEST {
            return;
        }
        *self.asked.entry(artifact.blob).or_default() += 1;
        let late = network.balance.late(&relay.key, artifact.size);
        let fresh = Line { artifact: *artifact, times: 0, minute, late: 0, held: Held::default() };
        let line = self.sent.entry(relay.key).or_default().entry(artifact.blob).or_insert(fresh);
        line.times += 1;
        if late >= LATE_SECONDS.max(line.late + 1) {
            (line.minute, line.late, line.held) = (minute, late, network.held(artifact));
        }
    }

    /// What is to be said of a relay that was sent so many bytes, in lines: it, and the files that were most of that.
    #[expect(clippy::cast_precision_loss, reason = "shown roughly")]
    pub(super) fn explain(
        &self,
        network: &Network,
        relay: &PublicKey,
        sent: u64,
        most: usize,
    ) -> Vec<String> {
        let none = HashMap::new();
        let lines = self.sent.get(relay).unwrap_or(&none);
        let mut lines: Vec<&Line> = lines.values().collect();
        lines.sort_by_key(|line| (std::cmp::Reverse(line.bytes()), line.artifact.blob));
        let rate = network.rate(relay);
        let large: u64 = lines.iter().map(|line| line.bytes()).sum();
        let said = format!(
            "it gives {:.0} Mbit/s and was sent {:.2} GB, {:.0} % of that in {} large files",
            rate as f64 / 125e3,
            sent as f64 / 1e9,
            large as f64 * 100.0 / sent.max(1) as f64,
            lines.len()
        );
        let line = |line: &&Line| line.say(self.asked.get(&line.artifact.blob).copied().unwrap_or(0));
        std::iter::once(said).chain(lines.iter().take(most).map(line)).collect()
    }
}

impl Line {
    fn bytes(&self) -> u64 {
        self.artifact.size * u64::from(self.times)
    }

    #[expect(clippy::cast_precision_loss, reason = "shown roughly")]
    fn say(&self, asked: u32) -> String {
        let said =
            format!("{:.2} GB, {} of {asked} downloads of it", self.artifact.size as f64 / 1e9, self.times,);
        if self.late == 0 {
            return format!("{said}, none of which it was late for");
        }
        format!(
            "{said}; in minute {} it would be late by {} minutes, the best of {} holders by {}; all of them give {:.0} Mbit/s",
            self.minute,
            self.late / 60,
            self.held.holders,
            self.held.least_late / 60,
            self.held.rate as f64 / 125e3
        )
    }
}
