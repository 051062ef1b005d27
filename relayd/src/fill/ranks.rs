//! Who is responsible for one stripe, as this relay sees it now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Fill, Job};
use crate::peers::Peer;
use crate::sourcing::{ORIGIN_RANKS, Ranked, Ranking, is_outcast};

/// See the module.
pub(super) struct Ranks {
    /// Whoever may be asked now: without those that lied or failed lately. Were they ranked, a stripe whose first three homes lie
    /// could never be filled.
    pub(super) peers: Vec<Arc<Peer>>,
    /// Those of them that fill the blob, and this relay, in rank order.
    pub(super) order: Vec<usize>,
}

impl Ranks {
    pub(super) fn of(fill: &Fill, job: &Job, stripe: u32) -> Self {
        let (now, blob) = (fill.clock.now(), &job.wanted.blob);
        let sources = fill.sources();
        let usable =
            |peer: &&Arc<Peer>| peer.expires > now && !sources.is_shunned(peer.party().as_str(), now);
        let peers: Vec<Arc<Peer>> = fill.peers.of(job.catalog.id()).iter().filter(usable).cloned().collect();
        drop(sources);
        let me = peers.len();
        let filling = (0..peers.len()).filter(|at| peers.get(*at).is_some_and(|peer| peer.fills(blob)));
        let candidates: Vec<usize> = filling.chain([me]).collect();
        let rank = |at: &usize| match peers.get(*at) {
            Some(peer) => Ranked { key: *peer.key.as_bytes(), rate: peer.rate },
            None => Ranked { key: *fill.me.as_bytes(), rate: fill.rate.load(Ordering::Relaxed) },
        };
        let ranked: Vec<Ranked> = candidates.iter().map(rank).collect();
        let mut ranking = Ranking::of(blob, stripe, &ranked);
        let banned_by = peers.iter().filter(|peer| peer.bans_me).count();
        if is_outcast(banned_by, peers.len()) {
            ranking = ranking.with_last(candidates.len() - 1);
        }
        let order = ranking.order().iter().filter_map(|at| candidates.get(*at).copied()).collect();
        Self { peers, order }
    }

    /// This relay's place in `order`, as an index that no peer has.
    pub(super) fn me(&self) -> usize {
        self.peers.len()
    }

    /// Whether this relay is among the first, whom the others may make ask the origin.
    pub(super) fn serve_as_home(&self) -> bool {
        self.order.iter().take(ORIGIN_RANKS).any(|ranked| *ranked == self.me())
    }
}
