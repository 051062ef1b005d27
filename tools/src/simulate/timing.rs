//! How long the code itself takes: placing from nothing and after one relay has gone, and a draw among more and more relays.

use std::time::{Duration, Instant};

use odi_directoryd::Network as ClientNetwork;

use super::Args;
use super::catalogs::Catalogs;
use super::chance::Chance;
use super::network::Network;
use super::relay::Relay;

/// Among so many relays draws are timed.
const RELAYS: [usize; 4] = [10, 100, 1000, 10_000];
const DRAWS: u32 = 20_000;

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    pub(super) from_nothing: Duration,
    pub(super) one_gone: Duration,
    /// A whole layout of all catalogs.
    pub(super) laid_out: Duration,
    /// One draw, by relays.
    pub(super) draws: Vec<(usize, Duration)>,
}

pub(super) fn measure(args: &Args) -> Timing {
    let network = |relays| {
        let mut chance = Chance::new(args.seed, "timing");
        Network::new(relays, Catalogs::new(args.artifacts), args.copies, &mut chance)
    };
    let mut large = network(args.relays);
    let from_nothing = large.place(&[], 0.0).took;
    let mut first = true;
    large.retain(|_| !std::mem::take(&mut first));
    let one_gone = large.place(&[], 0.0).took;
    large.relays.iter_mut().for_each(Relay::fill_at_once);
    let begun = Instant::now();
    large.lay_out();
    let laid_out = begun.elapsed();
    drop(large);
    let draws = RELAYS.iter().map(|relays| (*relays, draw(network(*relays)))).collect();
    Timing { from_nothing, one_gone, laid_out, draws }
}

fn draw(mut network: Network) -> Duration {
    network.place(&[], 0.0);
    network.relays.iter_mut().for_each(Relay::fill_at_once);
    network.lay_out();
    let mut chance = Chance::new(1, "draws");
    let wanted: Vec<_> = (0..DRAWS).map(|_| network.catalogs.wanted(&mut chance)).collect();
    let begun = Instant::now();
    let found = (0..).zip(&wanted).filter(|(n, artifact): &(u32, _)| {
        let client = ClientNetwork::of(std::net::Ipv4Addr::from(n << 8).into());
        network.choose(artifact, client).is_some()
    });
    let found = u32::try_from(found.count()).unwrap_or(1).max(1);
    begun.elapsed() / DRAWS.max(found)
}
