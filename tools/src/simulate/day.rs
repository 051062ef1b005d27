//! The course of the simulated time, minute by minute.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use odi_directoryd::heat::Heat;
use odi_manifest::{PublicKey, Timestamp};

use super::blame::Ledger;
use super::catalogs::{Artifact, Catalogs};
use super::chance::Chance;
use super::clients::{Books, Crowd, minute};
use super::network::{Moved, Network};
use super::relay::{Presence, Relay};
use super::{Args, say};

/// Of the relays, so many leave for good in a day, and as many come.
const LEAVE: f64 = 0.01;
/// So many fall silent once in a day, for so many minutes on average.
const FALL_SILENT: f64 = 0.1;
const SILENT: f64 = 30.0;
/// Minutes between two placements: a directory places when something has changed, and something always has.
const PLACED_EVERY: u64 = 15;
/// The crowd comes after this part of the time, stays for so many minutes, and is this part of all downloads.
const CROWD_AFTER: f64 = 0.6;
const CROWD_STAYS: u64 = 60;
const CROWD_SHARE: f64 = 0.2;
/// The crowd's artifact: nothing of note before.
const CROWD_RANK: u64 = 123_457;
const CROWD_BYTES: u64 = 700_000_000;
/// Minutes at the beginning that are not counted: the balance has seen nothing.
const WARM_UP: u64 = 120;
/// Of so many most loaded relays it is said why, and of each so many files.
const RELAYS_SAID: usize = 3;
const FILES_SAID: usize = 3;
/// When the simulation begins.
const BEGIN: u64 = 1_800_000_000;

/// What is remembered of the time.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// Bytes over what the rate could carry, by relay that was there all the time, beside the mean; ascending.
    pub(super) loads: Vec<f64>,
    /// Of the most loaded of these, what it was sent, in lines.
    pub(super) most_loaded: Vec<String>,
    /// By hour, the most loaded relay beside the mean.
    pub(super) hours: Vec<f64>,
    pub(super) moved: u64,
    pub(super) least: u64,
    pub(super) named: u64,
    pub(super) slowest_placement: Duration,
    /// The longest that any part was below its floor, in minutes.
    pub(super) below_floor: u64,
    pub(super) nowhere: u64,
    pub(super) downloads: u64,
    pub(super) left: usize,
    pub(super) came: usize,
    pub(super) fell_silent: usize,
    /// By minute of the crowd, relays that hold its artifact.
    pub(super) crowd: Vec<usize>,
}

/// The time as it passes.
struct Course<'a> {
    args: &'a Args,
    network: Network,
    heat: Heat,
    chance: Chance,
    day: Day,
    /// Since when a part has been below its floor.
    poor: HashMap<(usize, u8), u64>,
    /// Bytes that each relay was sent since the warm-up, and in this hour.
    sent: HashMap<PublicKey, u64>,
    hour: HashMap<PublicKey, u64>,
    /// Of files that are large, likewise.
    large: Ledger,
    large_in_hour: Ledger,
    steady: Vec<PublicKey>,
}

/// Lets the time pass.
///
/// # Errors
/// None today; a simulation that cannot go on says so here.
pub(super) fn run(args: &Args) -> Result<Day> {
    let mut chance = Chance::new(args.seed, "network");
    let network = Network::new(args.relays, Catalogs::new(args.artifacts), args.copies, &mut chance);
    let mut course = Course {
        args,
        network,
        heat: Heat::new(&[7; 32]),
        chance: Chance::new(args.seed, "course"),
        day: Day::default(),
        poor: HashMap::new(),
        sent: HashMap::new(),
        hour: HashMap::new(),
        large: Ledger::default(),
        large_in_hour: Ledger::default(),
        steady: Vec::new(),
    };
    course.network.place(&[], 0.0);
    course.network.relays.iter_mut().for_each(Relay::fill_at_once);
    course.steady = course.network.relays.iter().map(|relay| relay.key).collect();
    for now in 0..args.hours * 60 {
        course.pass(now);
    }
    Ok(course.end())
}

impl Course<'_> {
    fn pass(&mut self, now: u64) {
        let crowd = self.crowd(now);
        self.churn(now);
        let in_crowd = crowd.is_some_and(|since| since < 15);
        if now.is_multiple_of(PLACED_EVERY) || in_crowd {
            self.place(now);
        }
        let sizes = self.network.sizes.clone();
        let offers = self.network.catalogs.offers.clone();
        for relay in self.network.relays.iter_mut().filter(|relay| relay.is_up()) {
            relay.fill(&offers, &|blob| sizes.get(blob).copied().unwrap_or(0));
        }
        self.network.lay_out();
        self.look_at_floor(now);
        self.clients(now, crowd);
        if now % 60 == 59 {
            self.end_hour(now);
        }
    }

    /// For how many minutes the crowd has been there.
    fn crowd(&self, now: u64) -> Option<u64> {
        let minutes = self.args.hours * 60;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a minute of a day"
        )]
        let from = (minutes as f64 * CROWD_AFTER) as u64;
        now.checked_sub(from).filter(|since| *since < CROWD_STAYS)
    }

    fn crowds_artifact(&self) -> Artifact {
        Artifact { size: CROWD_BYTES, ..self.network.catalogs.artifact(CROWD_RANK) }
    }

    #[expect(clippy::cast_precision_loss, reason = "minutes of a day")]
    fn churn(&mut self, now: u64) {
        let (now, day) = (now as f64, 1440.0);
        let chance = &mut self.chance;
        let mut gone = Vec::new();
        for relay in &mut self.network.relays {
            match relay.presence {
                Presence::Silent { until, .. } if until <= now => relay.presence = Presence::Up,
                Presence::Silent { .. } => {}
                Presence::Up if chance.happens(LEAVE / day) => {
                    // It says nothing: that is noticed after an hour.
                    relay.presence = Presence::Silent { since: now, until: f64::INFINITY };
                    self.day.left += 1;
                }
                Presence::Up if chance.happens(FALL_SILENT / day) => {
                    relay.presence = Presence::Silent { since: now, until: now + chance.wait(SILENT) };
                    self.day.fell_silent += 1;
                }
                Presence::Up => {}
            }
            if matches!(relay.presence, Presence::Silent { since, until } if until.is_infinite() && now - since > 90.0)
            {
                gone.push(relay.key);
            }
        }
        if !gone.is_empty() {
            self.network.retain(|relay| !gone.contains(&relay.key));
        }
        let coming = LEAVE / day * self.args.relays as f64;
        let mut came = coming.floor();
        came += if self.chance.happens(coming.fract()) { 1.0 } else { 0.0 };
        while came > 0.0 {
            self.network.join(&mut self.chance);
            self.day.came += 1;
            came -= 1.0;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "minutes of a day")]
    fn place(&mut self, now: u64) {
        let hot = self.heat.hot(self.network.balance.ordinary(), time(now));
        let Moved { parts, named, least, took } = self.network.place(&hot, now as f64);
        self.day.moved += parts;
        self.day.least += least.min(parts);
        self.day.named += named;
        self.day.slowest_placement = self.day.slowest_placement.max(took);
    }

    fn look_at_floor(&mut self, now: u64) {
        let below = self.network.below_floor();
        self.poor.retain(|part, _| below.contains(part));
        for part in below {
            let since = *self.poor.entry(part).or_insert(now);
            self.day.below_floor = self.day.below_floor.max(now - since + 1);
        }
    }

    fn clients(&mut self, now: u64, crowd: Option<u64>) {
        let artifact = self.crowds_artifact();
        let mut loads = vec![0; self.network.relays.len()];
        let wants = crowd.map(|_| Crowd { artifact, share: CROWD_SHARE });
        let mut warming_up = Ledger::default();
        let large = if now < WARM_UP { &mut warming_up } else { &mut self.large };
        let ledgers = [large, &mut self.large_in_hour];
        let mut books = Books { minute: now, loads: &mut loads, ledgers };
        let sent = minute(
            &mut self.network,
            &mut self.heat,
            &mut books,
            self.args.downloads,
            wants,
            time(now),
            &mut self.chance,
        );
        if crowd.is_some() {
            self.day.crowd.push(self.network.holders(&artifact));
        }
        self.day.nowhere += sent.nowhere;
        self.day.downloads += self.args.downloads;
        for (relay, load) in self.network.relays.iter().zip(loads) {
            *self.hour.entry(relay.key).or_default() += load;
            if now >= WARM_UP {
                *self.sent.entry(relay.key).or_default() += load;
            }
        }
        self.steady.retain(|key| self.network.is_up(key));
    }

    fn end_hour(&mut self, now: u64) {
        let hour = std::mem::take(&mut self.hour);
        let loads = self.network.relative_loads(&hour, |relay| relay.is_up());
        let large = std::mem::take(&mut self.large_in_hour);
        let Some((most, relay)) = loads.last().copied() else { return };
        self.day.hours.push(most);
        let middle = loads.get(loads.len() * 99 / 100).map_or(0.0, |(load, _)| *load);
        say(&format!(
            "  hour {:>2}: {} relays, load at most {most:.2} of the mean, 99 % below {middle:.2}",
            now / 60 + 1,
            self.network.relays.len()
        ));
        let sent = hour.get(&relay).copied().unwrap_or(0);
        for line in large.explain(&self.network, &relay, sent, FILES_SAID) {
            say(&format!("           {line}"));
        }
    }

    fn end(mut self) -> Day {
        let steady: std::collections::HashSet<PublicKey> = self.steady.iter().copied().collect();
        let loads = self.network.relative_loads(&self.sent, |relay| steady.contains(&relay.key));
        for (load, relay) in loads.iter().rev().take(RELAYS_SAID) {
            let sent = self.sent.get(relay).copied().unwrap_or(0);
            let lines = self.large.explain(&self.network, relay, sent, FILES_SAID);
            self.day.most_loaded.push(format!("{load:.2} of the mean:"));
            self.day.most_loaded.extend(lines);
        }
        self.day.loads = loads.into_iter().map(|(load, _)| load).collect();
        self.day
    }
}

const fn time(minute: u64) -> Timestamp {
    Timestamp(BEGIN + minute * 60)
}
