//! Who may send how much, when: a token bucket shared fairly between clients. Pure; `now` counts from any fixed moment.
//!
//! Invariants
//! - Over any time `t` no more than `rate * t`, the burst and one piece are granted; a late look gives back what was missed.
//! - Clients (lanes) that wait share equally by bytes, whatever the number of their connections; one that has not sent lately
//!   goes next, and so waits for one piece at most. What nobody else asks for goes to whoever does.
//! - Nothing is granted beyond the allowance, which whoever counts transfer extends.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::limits::{PACE_LANES_MAX, PACE_PIECE_BYTES};

/// Sent at once after a pause: this time's worth of the rate, at least one piece.
const BURST: Duration = Duration::from_millis(10);
/// A look this late gives back everything that was missed meanwhile; a later one only this much.
const LATE_MAX: Duration = Duration::from_millis(250);
/// At a low rate a piece takes this long, so that nobody waits long behind another's.
const PIECE_TIME: Duration = Duration::from_millis(50);
/// The smallest piece.
const PIECE_BYTES_MIN: u64 = 4 * 1024;
const NANOS: i128 = 1_000_000_000;

/// One that waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Piece {
    bytes: u64,
    /// Whether it must keep within the allowance.
    metered: bool,
}

/// Who goes next, and where in its lane it stands.
struct Foremost<L> {
    turn: (u64, Ticket),
    lane: L,
    at: usize,
    piece: Piece,
}

/// The bucket and the line before it. `L` names a lane.
#[derive(Debug)]
pub(super) struct Pacer<L> {
    /// Bytes per second; `None` is no limit.
    rate: Option<u64>,
    /// What may be sent now, in bytes times nanoseconds; below zero by one piece at most.
    credit: i128,
    seen: Duration,
    /// Bytes that may be granted before the allowance is extended.
    allowance: u64,
    /// How far the lane that was served last had come; lanes that come anew start here.
    virtual_now: u64,
    lanes: HashMap<L, Lane>,
    /// Lanes with somebody waiting, by where their next piece starts.
    turns: BTreeMap<(u64, Ticket), L>,
    /// Lanes without, remembered until the others have caught up.
    idle: BTreeSet<(u64, L)>,
    last_ticket: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// Where its last piece ended.
    finish: u64,
    waiting: VecDeque<(Ticket, Piece)>,
    turn: Option<(u64, Ticket)>,
}

impl<L: Clone + Eq + Hash + Ord> Pacer<L> {
    /// A full bucket.
    pub(super) fn new(rate: Option<u64>, allowance: u64, now: Duration) -> Self {
        let mut pacer = Self {
            rate,
            credit: 0,
            seen: now,
            allowance,
            virtual_now: 0,
            lanes: HashMap::new(),
            turns: BTreeMap::new(),
            idle: BTreeSet::new(),
            last_ticket: 0,
        };
        pacer.credit = pacer.burst();
        pacer
    }

    /// The most that is asked for at once.
    pub(super) fn piece_bytes(&self) -> u64 {
        let fair = |rate: u64| rate / 1000 * u64::try_from(PIECE_TIME.as_millis()).unwrap_or(u64::MAX);
        self.rate.map_or(PACE_PIECE_BYTES, |rate| fair(rate).clamp(PIECE_BYTES_MIN, PACE_PIECE_BYTES))
    }

    /// Asks for a piece; `None` if it may be sent now. One that is not `metered` is sent even if nothing is allowed any more.
    pub(super) fn ask(&mut self, lane: &L, bytes: u64, metered: bool, now: Duration) -> Option<Ticket> {
        let piece = Piece { bytes, metered };
        self.refill(now);
        if self.turns.is_empty() && self.affords(piece) {
            // Nobody waits, so nobody is behind: what lanes have sent so far no longer matters.
            self.lanes.clear();
            self.idle.clear();
            self.virtual_now = 0;
            self.spend(bytes);
            self.lanes.insert(lane.clone(), Lane { finish: bytes, ..Lane::default() });
            self.idle.insert((bytes, lane.clone()));
            return None;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let known = self.lanes.entry(lane.clone()).or_default();
        known.waiting.push_back((ticket, piece));
        if known.turn.is_none() {
            self.idle.remove(&(known.finish, lane.clone()));
            let turn = (known.finish.max(self.virtual_now), ticket);
            known.turn = Some(turn);
            self.turns.insert(turn, lane.clone());
        }
        Some(ticket)
    }

    /// Grants what can be granted now, in order.
    pub(super) fn grant(&mut self, now: Duration) -> Vec<Ticket> {
        self.refill(now);
        let mut granted = Vec::new();
        while let Some(Foremost { turn, lane, at, piece }) = self.foremost() {
            if !self.affords(piece) {
                break;
            }
            let known = self.lanes.get_mut(&lane).expect("a lane with a turn is known");
            let (ticket, _) = known.waiting.remove(at).expect("the foremost waits in its lane");
            known.finish = turn.0.saturating_add(piece.bytes);
            self.virtual_now = self.virtual_now.max(turn.0);
            self.spend(piece.bytes);
            self.next_turn(&lane, turn);
            granted.push(ticket);
        }
        self.forget_idle();
        granted
    }

    /// Forgets one that no longer waits.
    pub(super) fn withdraw(&mut self, lane: &L, ticket: Ticket) {
        let Some(known) = self.lanes.get_mut(lane) else { return };
        known.waiting.retain(|(waiting, _)| *waiting != ticket);
        if known.waiting.is_empty()
            && let Some(turn) = known.turn
        {
            self.next_turn(lane, turn);
            self.forget_idle();
        }
    }

    /// Who goes next: the first in order that does not wait for the allowance. That may be long in coming, and refusals
    /// and what directories ask must not stand behind a download that waits for it.
    fn foremost(&self) -> Option<Foremost<L>> {
        self.turns.iter().find_map(|(turn, lane)| {
            let mut waiting = self.lanes.get(lane)?.waiting.iter().enumerate();
            let (at, (_, piece)) = waiting.find(|(_, (_, piece))| self.allows(*piece))?;
            Some(Foremost { turn: *turn, lane: lane.clone(), at, piece: *piece })
        })
    }

    /// When the next one may go, if one waits for time alone.
    pub(super) fn next(&self) -> Option<Duration> {
        self.foremost()?;
        let Some(rate) = self.rate else { return Some(self.seen) };
        let lacking = u128::try_from(1 - self.credit).unwrap_or(0);
        let nanos = lacking.div_ceil(u128::from(rate.max(1)));
        Some(self.seen + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Another rate from now on.
    pub(super) fn set_rate(&mut self, rate: Option<u64>, now: Duration) {
        self.refill(now);
        self.rate = rate;
        self.credit = self.credit.min(self.burst());
    }

    /// Counts what is sent without asking: a head without a body.
    pub(super) fn charge(&mut self, bytes: u64) {
        if self.allowance != u64::MAX {
            self.allowance = self.allowance.saturating_sub(bytes);
        }
    }

    /// So much may be granted from now on.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowance = bytes;
    }

    /// What is left of the allowance.
    pub(super) const fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Whether everything may be sent at once, whatever it is.
    pub(super) const fn is_unlimited(&self) -> bool {
        self.rate.is_none() && self.allowance == u64::MAX
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    fn allows(&self, piece: Piece) -> bool {
        piece.bytes <= self.allowance || !piece.metered
    }

    fn affords(&self, piece: Piece) -> bool {
        self.allows(piece) && (self.rate.is_none() || self.credit > 0)
    }

    fn spend(&mut self, bytes: u64) {
        self.charge(bytes);
        if self.rate.is_some() {
            self.credit -= i128::from(bytes) * NANOS;
        }
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.seen);
        self.seen = self.seen.max(now);
        let Some(rate) = self.rate else { return };
        // Whoever waits must not lose what was earned while nobody looked; after a pause a burst is all there is.
        let full = if self.turns.is_empty() { self.burst() } else { self.burst().max(worth(rate, LATE_MAX)) };
        self.credit = self.credit.saturating_add(worth(rate, passed)).min(full);
    }

    fn burst(&self) -> i128 {
        self.rate.map_or(0, |rate| worth(rate, BURST).max(i128::from(self.piece_bytes()) * NANOS))
    }

    fn next_turn(&mut self, lane: &L, former: (u64, Ticket)) {
        self.turns.remove(&former);
        let Some(known) = self.lanes.get_mut(lane) else { return };
        known.turn = known.waiting.front().map(|(ticket, _)| (known.finish, *ticket));
        match known.turn {
            Some(turn) => _ = self.turns.insert(turn, lane.clone()),
            None => _ = self.idle.insert((known.finish, lane.clone())),
        }
    }

    /// A lane that the others have caught up with is like one that comes anew. Of too many the ones next to that go.
    fn forget_idle(&mut self) {
        while let Some((finish, _)) = self.idle.first()
            && (*finish <= self.virtual_now || self.idle.len() > PACE_LANES_MAX)
        {
            if let Some((_, lane)) = self.idle.pop_first() {
                self.lanes.remove(&lane);
            }
        }
    }
}

fn worth(rate: u64, time: Duration) -> i128 {
    i128::from(rate).saturating_mul(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests;
