//! How much more or less of the clients each relay is to get than its rate alone would earn it, so that all are used alike.
//!
//! Relays hold different parts of different catalogs, and a few files are most of the traffic: shares by rate among those that hold
//! a blob leave some relays idle and others overrun. So what each was sent is compared, once a minute, with what its rate says it
//! could take beside the others, and its weight is corrected by a part of the difference. That follows what lasts. What comes all
//! at once, such as one file that is an hour of a slow relay's share, no weight foresees: who is that far ahead is passed over until
//! the others have caught up. Pure: who calls says when a minute is over. Only counts by relay are kept, no clients.

use std::collections::HashMap;

use odi_manifest::PublicKey;
use odi_wire::message::RATE_UNNAMED;

/// What is left of a minute's counts in the next one: about ten minutes are remembered.
const KEPT: f64 = 0.933;
/// No relay gets more than so many times its weight, or less than that part of it.
const FACTOR_MAX: f64 = 8.0;
/// In one minute a factor changes by this at most.
const STEP_MAX: f64 = 1.5;
/// Of the difference, on a logarithmic scale, so much is corrected in a minute; all at once would overshoot.
const CORRECTED: f64 = 0.3;
/// Differences within fewer redirects than this are mostly chance.
const REDIRECTS_SURE: f64 = 16.0;
/// What a relay was sent lately may be this part of what it could give; beyond it, it keeps fewer of the clients nearest to it.
const USED_MAX: f64 = 0.8;
/// The least part of those that it keeps.
const KEPT_MIN: f64 = 1.0 / 64.0;
/// Of what was sent in the last minute, so much counts as what is sent now.
const LATELY: f64 = 0.5;
/// Of what a relay was sent beyond its share, or short of it, so much is left after a minute: two hours are remembered.
const AHEAD_KEPT: f64 = 0.99;
/// So many seconds of its rate a relay may be ahead before others are preferred: a client that keeps its relay is worth that.
const AHEAD_SECONDS: f64 = 120.0;
/// Corrections smaller than this are left: each moves clients.
const WORTH_IT: f64 = 1.05;

/// What relays were sent, and what that makes of their weights.
#[derive(Clone, Debug)]
pub struct Balance {
    relays: HashMap<PublicKey, Load>,
    generation: u64,
    ordinary: u64,
}

impl Default for Balance {
    fn default() -> Self {
        Self { relays: HashMap::new(), generation: 0, ordinary: RATE_UNNAMED }
    }
}

#[derive(Clone, Copy, Debug)]
struct Load {
    /// Both decay.
    redirects: f64,
    bytes: f64,
    /// Since the last turn.
    new_bytes: f64,
    /// Beyond its share, in bytes; below 0 if others are.
    ahead: f64,
    /// What it gives, in bytes per second.
    rate: f64,
    /// Bytes per minute now.
    now: f64,
    /// Of the clients nearest to it.
    keeps: f64,
    keeps_told: f64,
    factor: f64,
    /// The factor that is in force.
    told: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            redirects: 0.0,
            bytes: 0.0,
            new_bytes: 0.0,
            ahead: 0.0,
            rate: 0.0,
            now: 0.0,
            keeps: 1.0,
            keeps_told: 1.0,
            factor: 1.0,
            told: 1.0,
        }
    }
}

impl Balance {
    /// A client was sent to a relay, for so many bytes. Relays that [`turn`](Self::turn) has not heard of are not counted.
    #[expect(clippy::cast_precision_loss, reason = "loads are compared roughly")]
    pub fn note(&mut self, relay: &PublicKey, bytes: u64) {
        if let Some(load) = self.relays.get_mut(relay) {
            load.redirects += 1.0;
            // What a connection costs counts too.
            let bytes = bytes.max(1 << 10) as f64;
            load.bytes += bytes;
            load.new_bytes += bytes;
            load.ahead += bytes;
        }
    }

    /// A minute is over. `weights` are the relays that take clients, with what each could take beside the others; the rest are
    /// forgotten.
    #[expect(clippy::cast_precision_loss, reason = "loads are compared roughly")]
    pub fn turn(&mut self, weights: &[(PublicKey, u64)]) {
        let former = std::mem::take(&mut self.relays);
        let load_of = |relay| former.get(relay).copied().unwrap_or_default();
        let bytes: f64 = weights.iter().map(|(relay, _)| load_of(relay).bytes).sum();
        let new_bytes: f64 = weights.iter().map(|(relay, _)| load_of(relay).new_bytes).sum();
        let weight: f64 = weights.iter().map(|(_, weight)| *weight as f64).sum();
        let mut moved = former.len() != weights.len();
        for (relay, own) in weights {
            let mut load = load_of(relay);
            let fair = bytes * (*own as f64) / weight;
            if fair > 0.0 {
                load.correct(load.bytes / fair);
            }
            load.ahead = (load.ahead - new_bytes * (*own as f64) / weight.max(1.0)) * AHEAD_KEPT;
            load.rate = *own as f64;
            load.keep_within(*own as f64);
            moved |= tell(load.factor, &mut load.told) | tell(load.keeps, &mut load.keeps_told);
            load.redirects *= KEPT;
            load.bytes *= KEPT;
            self.relays.insert(*relay, load);
        }
        if moved {
            self.generation += 1;
        }
        let mut rates: Vec<u64> = weights.iter().map(|(_, weight)| *weight).collect();
        rates.sort_unstable();
        self.ordinary = rates.get(rates.len() / 2).copied().unwrap_or(RATE_UNNAMED);
    }

    /// What an ordinary relay gives, in bytes per second: the median of those that take clients.
    #[must_use]
    pub const fn ordinary(&self) -> u64 {
        self.ordinary
    }

    /// A relay's weight as it is to be drawn by.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a share that need not be exact"
    )]
    pub fn weight(&self, relay: &PublicKey, weight: u64) -> u64 {
        let factor = self.relays.get(relay).map_or(1.0, |load| load.told);
        ((weight as f64 * factor) as u64).max(1)
    }

    /// By how many seconds of its rate a relay would be ahead of its share if it were sent so many bytes more; 0 while that is
    /// little.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 0, and compared roughly"
    )]
    pub fn late(&self, relay: &PublicKey, bytes: u64) -> u64 {
        let Some(load) = self.relays.get(relay) else { return 0 };
        let seconds = (load.ahead + bytes as f64) / load.rate.max(1.0);
        (seconds - AHEAD_SECONDS).max(0.0).ceil() as u64
    }

    /// Of each `full` clients that a relay is the nearest for, so many it keeps; the others are sent further.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a share that need not be exact"
    )]
    pub fn kept(&self, relay: &PublicKey, full: u64) -> u64 {
        let keeps = self.relays.get(relay).map_or(1.0, |load| load.keeps_told);
        if keeps < 1.0 { (full as f64 * keeps) as u64 } else { full }
    }

    /// Rises when a weight changes.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Puts a correction into force, unless it is too small. Whether it is.
fn tell(wanted: f64, told: &mut f64) -> bool {
    let is_back = wanted >= 1.0 && *told < 1.0;
    let moves = is_back || (wanted / *told).max(*told / wanted) >= WORTH_IT;
    if moves {
        *told = wanted;
    }
    moves
}

impl Load {
    /// Lets a relay that gives so many bytes a second keep so many of the clients nearest to it that it is not overrun.
    fn keep_within(&mut self, rate: f64) {
        self.now = self.now * (1.0 - LATELY) + std::mem::take(&mut self.new_bytes) * LATELY;
        let used = (self.now / 60.0 / rate.max(1.0)).max(f64::MIN_POSITIVE);
        let step = (USED_MAX / used).clamp(1.0 / STEP_MAX, STEP_MAX);
        self.keeps = (self.keeps * step).clamp(KEPT_MIN, 1.0);
    }

    /// Corrects the factor for a load of so many times the fair one.
    fn correct(&mut self, over: f64) {
        let sure = self.redirects / (self.redirects + REDIRECTS_SURE);
        // Who was sent nothing is under its share by as much as is sure.
        let wrong = if over > 0.0 { over.ln() } else { -FACTOR_MAX.ln() };
        let sure = if over < 1.0 { sure.max(0.1) } else { sure };
        let step = (-wrong * CORRECTED * sure).exp().clamp(1.0 / STEP_MAX, STEP_MAX);
        self.factor = (self.factor * step).clamp(1.0 / FACTOR_MAX, FACTOR_MAX);
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    fn relay(n: u8) -> PublicKey {
        SigningKey::from_seed(&[n; 32]).public_key()
    }

    /// Two files: all three relays hold the one, only the first two the other, which nine of ten want.
    fn share_out(balance: &mut Balance, weights: &[(PublicKey, u64)], minutes: u32) -> Vec<u32> {
        let mut sent = vec![0; weights.len()];
        for minute in 0..minutes {
            let own: Vec<f64> =
                weights.iter().map(|(relay, weight)| balance.weight(relay, *weight) as f64).collect();
            sent.fill(0);
            for client in 0..1000u32 {
                let holders = if client % 10 == 0 { 3 } else { 2 };
                let mut draw =
                    f64::from(client * 617 % 1000 + minute % 7) / 1007.0 * own[..holders].iter().sum::<f64>();
                let at = own[..holders].iter().position(|own| {
                    draw -= own;
                    draw < 0.0
                });
                let at = at.unwrap_or(holders - 1);
                sent[at] += 1;
                balance.note(&weights[at].0, 1 << 20);
            }
            balance.turn(weights);
        }
        sent
    }

    #[test]
    fn who_holds_what_few_want_gets_more_of_it() {
        let weights: Vec<(PublicKey, u64)> = (1..=3).map(|n| (relay(n), 1_000_000)).collect();
        let mut balance = Balance::default();
        balance.turn(&weights);
        let before = share_out(&mut balance, &weights, 1);
        let after = share_out(&mut balance, &weights, 60);
        assert!(before[2] < 40, "{before:?}");
        assert!(after[2] > 75, "of the hundred that it can give: {after:?}");
        assert!(after[0].abs_diff(after[1]) < 60, "{after:?}");
    }

    #[test]
    fn who_is_overrun_by_its_neighbours_keeps_fewer_of_them_until_they_go() {
        let weights: Vec<(PublicKey, u64)> = (1..=2).map(|n| (relay(n), 1_000_000)).collect();
        let (near, far) = (weights[0].0, weights[1].0);
        let mut balance = Balance::default();
        balance.turn(&weights);
        // Neighbours that want three times as much as it gives, for two hours, and half of it afterwards.
        let minute = |balance: &mut Balance, wanted: u64| {
            let sent = balance.kept(&near, 1000) * wanted / 1000;
            (0..60).for_each(|_| balance.note(&near, sent));
            balance.turn(&weights);
            sent
        };
        let most: Vec<u64> = (0..120).map(|_| minute(&mut balance, 3_000_000)).collect();
        assert!(most[30..].iter().all(|sent| (600_000..1_000_000).contains(sent)), "{most:?}");
        assert_eq!(balance.kept(&far, 1000), 1000);
        let least: Vec<u64> = (0..60).map(|_| minute(&mut balance, 500_000)).collect();
        assert_eq!(least[59], 500_000, "all of them: {least:?}");
    }

    #[test]
    fn who_was_sent_beyond_its_share_is_late_until_the_others_have_caught_up() {
        let weights: Vec<(PublicKey, u64)> = [(relay(1), 1_000_000), (relay(2), 9_000_000)].to_vec();
        let (slow, fast) = (weights[0].0, weights[1].0);
        let mut balance = Balance::default();
        assert_eq!(balance.late(&slow, 1 << 40), 0, "nobody has said what it gives");
        balance.turn(&weights);
        // What a slow relay gives in ten minutes is one of a fast one's.
        assert_eq!((balance.late(&slow, 600_000_000), balance.late(&fast, 600_000_000)), (480, 0));
        balance.note(&slow, 1_000_000_000);
        assert_eq!(balance.late(&slow, 0), 880);
        let mut minutes = 0;
        while balance.late(&slow, 0) > 0 {
            balance.note(&fast, 100_000_000);
            balance.turn(&weights);
            minutes += 1;
        }
        assert!((50..80).contains(&minutes), "a tenth of what is sent is its share: {minutes}");
        assert_eq!(balance.late(&fast, 0), 0);
        (0..600).for_each(|_| balance.turn(&weights));
        assert!(balance.late(&slow, 120_000_000) <= 1, "what was long ago is forgotten");
    }

    #[test]
    fn little_traffic_changes_little_and_nothing_leaves_its_bounds() {
        let weights: Vec<(PublicKey, u64)> = (1..=2).map(|n| (relay(n), 1000)).collect();
        let mut balance = Balance::default();
        balance.turn(&weights);
        let generation = balance.generation();
        for _ in 0..30 {
            balance.turn(&weights);
        }
        assert_eq!(balance.generation(), generation, "without a client nothing is moved");
        for _ in 0..200 {
            (0..1000).for_each(|_| balance.note(&weights[0].0, 1 << 30));
            balance.turn(&weights);
        }
        let told = |at: usize| balance.weight(&weights[at].0, weights[at].1);
        // A twentieth off at most, because smaller corrections are left.
        assert!(
            (125..=132).contains(&told(0)) && (7600..=8000).contains(&told(1)),
            "{} {}",
            told(0),
            told(1)
        );
        balance.turn(&weights[1..]);
        assert_eq!(balance.weight(&weights[0].0, 1000), 1000, "who has gone is forgotten");
    }
}
