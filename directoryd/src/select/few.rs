//! A few relays, drawn in an order of each client's own by weighing them all (weighted rendezvous): shares follow weights, and
//! whoever comes or goes moves its own clients alone.

use super::urn::{Drawn, Kept, mixed};

/// A relay among a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    /// Which, in the numbering of the field.
    pub(super) relay: u32,
    /// A number of its own, and nobody else's to choose.
    pub(super) place: u64,
    pub(super) weight: u64,
    pub(super) kept: Kept,
}

/// The neighbours that pass, in the order of the client whose secret number this is.
pub(super) fn row(neighbours: impl Iterator<Item = Neighbour>, key: u64) -> impl Iterator<Item = Drawn> {
    let mut waiting: Vec<(f64, Neighbour)> = neighbours.map(|near| (due(&near, key), near)).collect();
    // Mostly the first is all that is wanted, so that sorting all would be in vain.
    std::iter::from_fn(move || {
        let first = (0..waiting.len()).min_by(|one, other| {
            let due = |at: &usize| waiting.get(*at).map_or(f64::INFINITY, |(due, _)| *due);
            due(one).total_cmp(&due(other))
        })?;
        let (_, near) = waiting.swap_remove(first);
        Some(Drawn { relay: near.relay, weight: near.weight })
    })
}

/// When a relay's turn comes: a random time, the sooner the heavier it is.
#[expect(clippy::cast_precision_loss, reason = "only compared, and the same everywhere")]
fn due(near: &Neighbour, key: u64) -> f64 {
    let uniform = ((mixed(key ^ near.place) >> 12) + 1) as f64 / (1u64 << 52) as f64;
    -uniform.ln() / near.weight.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights_and_whoever_goes_moves_its_own() {
        let neighbour = |relay: u32| Neighbour {
            relay,
            place: mixed(u64::from(relay)),
            weight: u64::from(relay) + 1,
            kept: Kept::default(),
        };
        let first = |among: &[Neighbour], client| {
            row(among.iter().copied(), mixed(client)).next().unwrap().relay as usize
        };
        let all: Vec<Neighbour> = (0..4).map(neighbour).collect();
        let mut counts = [0u32; 4];
        for client in 0..10_000 {
            let was = first(&all, client);
            counts[was] += 1;
            assert!(was == 3 || was == first(&all[..3], client));
        }
        for (count, weight) in counts.iter().zip([1000, 2000, 3000, 4000]) {
            assert!(count.abs_diff(weight) < 200, "{counts:?}");
        }
        assert_eq!(row(all.into_iter(), 7).count(), 4);
    }
}
