//! A few relays, drawn in an order of each client's own by weighing them all (weighted rendezvous): shares follow weights, and
//! whoever comes or goes moves its own clients alone.

use super::urn::{Drawn, Kept, mixed};

/// A relay among a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    /// Which, in the numbering of the field.
    pub(super) relay: u32,
    /// Whether it holds everything, so that nobody has to look up what it holds.
    pub(super) is_whole: bool,
    /// A number of its own, and nobody else's to choose.
    pub(super) place: u64,
    pub(super) weight: u64,
    pub(super) kept: Kept,
}

/// The neighbours that pass, in the order of the client whose secret number this is.
pub(super) fn row(
    neighbours: impl Iterator<Item = Neighbour> + Clone,
    key: u64,
) -> impl Iterator<Item = Drawn> {
    let all = neighbours.clone();
    // Mostly the first is all that is wanted, so that sorting all would be in vain.
    let first = std::iter::once_with(move || first(neighbours, key)).flatten();
    let others = std::iter::once_with(move || others(all, key)).flatten();
    first.chain(others).map(|near| Drawn { relay: near.relay, weight: near.weight })
}

/// Whose turn comes first.
fn first(neighbours: impl Iterator<Item = Neighbour>, key: u64) -> Option<Neighbour> {
    let mut first: Option<(f64, Neighbour)> = None;
    for near in neighbours {
        let turn = Turn::of(&near, key);
        // Most are seen to come later without a logarithm.
        if first.is_none_or(|(due, _)| turn.at_least() <= due) {
            let due = turn.due();
            first = first.filter(|(best, _)| *best <= due).or(Some((due, near)));
        }
    }
    first.map(|(_, near)| near)
}

/// All but the first, in the order of their turns.
fn others(neighbours: impl Iterator<Item = Neighbour>, key: u64) -> impl Iterator<Item = Neighbour> {
    let mut all: Vec<(f64, Neighbour)> = neighbours.map(|near| (Turn::of(&near, key).due(), near)).collect();
    all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    all.into_iter().skip(1).map(|(_, near)| near)
}

/// When a relay's turn comes: a random time, the sooner the heavier it is.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Above 0, and 1 at most.
    uniform: f64,
    weight: f64,
}

impl Turn {
    #[expect(clippy::cast_precision_loss, reason = "only compared, and the same everywhere")]
    fn of(near: &Neighbour, key: u64) -> Self {
        let uniform = ((mixed(key ^ near.place) >> 12) + 1) as f64 / (1u64 << 52) as f64;
        Self { uniform, weight: near.weight.max(1) as f64 }
    }

    fn due(self) -> f64 {
        -self.uniform.ln() / self.weight
    }

    /// Never after [`due`](Self::due), however that is rounded: no logarithm is above its tangent.
    fn at_least(self) -> f64 {
        (1.0 - self.uniform) * 0.999_999 / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights_and_whoever_goes_moves_its_own() {
        let neighbour = |relay: u32| Neighbour {
            relay,
            is_whole: true,
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
        for client in 0..1000 {
            let row: Vec<usize> =
                row(all.iter().copied(), mixed(client)).map(|drawn| drawn.relay as usize).collect();
            let rest: Vec<Neighbour> =
                all.iter().copied().filter(|near| near.relay as usize != row[0]).collect();
            assert_eq!(
                (row.len(), row[1]),
                (4, first(&rest, client)),
                "everybody once, and the next is next"
            );
        }
    }
}
