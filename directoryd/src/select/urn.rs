//! Relays with weights, drawn one after the other in an order of each client's own.
//!
//! Every relay has a seat of a table eight times as large as there are relays, at a place that only its key decides. A
//! client's secret number yields an endless row of seats; a relay that sits on one is taken with a chance of its weight
//! over the largest (consistent weighted sampling by rejection, Shrivastava 2016). So shares follow weights exactly, a
//! relay that comes, goes or changes moves hardly more clients than its own, and a draw costs the same however many relays
//! there are: whoever weighs much less than others has a table of its own, or most looks would be at those, and which seats are
//! taken is a bitmap, so that looks at empty ones stay in the processor's nearest memory. Of several tables whose relays stand
//! beside each other, each is drawn from as often as its seats weigh.

/// So many seats of a client's row are looked at; whoever sits on none of them is too light to matter.
const LOOKS_MAX: u32 = 1 << 14;
/// The same, for each seat that there is: of a few relays all have come long before.
const LOOKS_EACH: u32 = 64;

/// So many seats for each relay: few find theirs taken, and so few move when somebody goes.
const SEATS_EACH: usize = 8;

/// The largest at one table could take so many times what the least there could.
const APART: u64 = 8;

/// A relay on its seat.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Which relay, in the numbering of whoever filled the urn.
    relay: u32,
    /// Taken if a random number is not above it.
    chance: u32,
    weight: u64,
}

/// How much of what relays could take of the clients nearest to them they are to be sent, in any unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What they are to be sent.
    pub(super) kept: u64,
    /// What they could take.
    pub(super) full: u64,
}

impl Kept {
    /// Of several relays together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self { kept: self.kept.saturating_add(other.kept), full: self.full.saturating_add(other.full) }
    }

    /// Whether a client stays with them, of whom a random number is this.
    pub(super) fn keeps(self, bits: u64) -> bool {
        self.kept >= self.full || u128::from(bits) * u128::from(self.full) < u128::from(self.kept) << 64
    }
}

/// A relay to be seated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ball {
    /// Which relay.
    pub(super) relay: u32,
    /// Its place: uniform, its own, and nobody else's to choose.
    pub(super) place: u64,
    /// Its share beside the others', at least 1.
    pub(super) weight: u64,
    /// How many of the clients nearest to it it keeps.
    pub(super) kept: Kept,
}

/// Relays at tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Urn {
    tables: Box<[Table]>,
    /// Of all of them.
    pub(super) kept: Kept,
}

/// Relays that could take about the same.
#[derive(Clone, Debug)]
struct Table {
    /// Which seats are taken, 64 in a number, and how many are before those.
    taken: Box<[(u64, u32)]>,
    /// The taken ones.
    seats: Box<[Seat]>,
    /// A number of its own among the tables of its urn.
    rank: u32,
    /// How many seats there are, a power of two.
    count: u32,
    /// Between two looks at it: it comes up as often as its seats weigh.
    pace: f64,
}

impl Urn {
    /// Everybody in it, once.
    pub(super) fn seated(&self) -> impl Iterator<Item = Drawn> {
        self.tables.iter().flat_map(|table| &table.seats).map(Seat::drawn)
    }

    /// Seats the relays, in the order of their places: whoever finds a seat taken sits on the next.
    pub(super) fn of(mut balls: Vec<Ball>) -> Self {
        let kept = balls.iter().fold(Kept::default(), |sum, ball| sum.and(ball.kept));
        balls.sort_unstable_by_key(|ball| (std::cmp::Reverse(rank(ball)), ball.place, ball.relay));
        let alike = balls.chunk_by(|one, other| rank(one) == rank(other));
        Self { tables: alike.map(Table::of).collect(), kept }
    }
}

/// The number of a relay's table. It follows from what it could take and not from its weight, which is corrected every minute: another
/// table has other clients.
fn rank(ball: &Ball) -> u32 {
    (0..).find(|rank| ball.kept.full <= top(*rank)).unwrap_or(0)
}

/// The most that a relay at a table could take. Rates that are common, in bytes a second, are well below theirs, so that a
/// correction seldom exceeds it: 12.5 million of 25, 125 of 201, 1250 of 1611.
const fn top(rank: u32) -> u64 {
    match APART.checked_pow(rank + 1) {
        Some(power) => power.saturating_add(power / 2),
        None => u64::MAX,
    }
}

impl Table {
    /// Seats relays of one rank, in the order of their places; there is at least one.
    #[expect(clippy::cast_precision_loss, reason = "only compared, and the same everywhere")]
    fn of(balls: &[Ball]) -> Self {
        let heaviest = balls.iter().map(|ball| ball.weight).max().unwrap_or(1);
        let rank = balls.first().map_or(0, rank);
        // No weight exceeds it, and it changes seldom, and with it every chance.
        let mut top = top(rank);
        while top < heaviest {
            top = top.saturating_mul(2);
        }
        let count = (balls.len() * SEATS_EACH).next_power_of_two();
        let mut sitting: Vec<Option<&Ball>> = vec![None; count];
        for ball in balls {
            let mut at = position(ball.place, count);
            while sitting.get(at).is_some_and(Option::is_some) {
                at = (at + 1) % count;
            }
            if let Some(seat) = sitting.get_mut(at) {
                *seat = Some(ball);
            }
        }
        let mut before = 0;
        let word = |seats: &[Option<&Ball>]| {
            let bits = (0..).zip(seats).fold(0, |bits, (at, seat)| bits | u64::from(seat.is_some()) << at);
            let word = (bits, before);
            before += bits.count_ones();
            word
        };
        let taken = sitting.chunks(64).map(word).collect();
        let seat =
            |ball: &Ball| Seat { relay: ball.relay, chance: chance(ball.weight, top), weight: ball.weight };
        Self {
            taken,
            seats: sitting.into_iter().flatten().map(seat).collect(),
            rank,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            pace: 1.0 / (count as f64 * top as f64),
        }
    }

    /// Who sits on the seat for 64 random bits.
    fn at(&self, bits: u64) -> Option<&Seat> {
        let at = position(bits, self.count as usize);
        let (taken, before) = *self.taken.get(at / 64)?;
        let bit = 1u64 << (at % 64);
        if taken & bit == 0 {
            return None;
        }
        let among = (taken & (bit - 1)).count_ones();
        self.seats.get((before + among) as usize)
    }
}

impl Seat {
    const fn drawn(&self) -> Drawn {
        Drawn { relay: self.relay, weight: self.weight }
    }
}

/// A weight as a part of the largest, in units of 2^-32.
fn chance(weight: u64, top: u64) -> u32 {
    let part = (u128::from(weight) << 32) / u128::from(top.max(1));
    u32::try_from(part).unwrap_or(u32::MAX).max(1)
}

/// The seat for 64 random bits: their upper ones decide, so that half of the clients stay where they are when a table doubles.
fn position(bits: u64, seats: usize) -> usize {
    let scaled = (u128::from(bits) * seats as u128) >> 64;
    usize::try_from(scaled).unwrap_or(0)
}

/// A relay that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Which.
    pub(super) relay: u32,
    /// Its share beside the others'.
    pub(super) weight: u64,
}

/// A client's row of relays out of some urns: each comes again and again, and its first time is what counts.
pub(super) struct Row<'a> {
    lanes: Vec<Lane<'a>>,
    looks: u32,
    looks_max: u32,
}

/// A client's looks at one table.
struct Lane<'a> {
    table: &'a Table,
    /// The client's secret number, made the table's own.
    key: u64,
    looks: u32,
    /// The random number of the next look.
    bits: u64,
    /// When that is due: at random within its turn, or the table of the heaviest would always come first.
    due: f64,
}

impl<'a> Lane<'a> {
    fn of(table: &'a Table, key: u64) -> Self {
        let mut lane = Self { table, key, looks: 0, bits: 0, due: 0.0 };
        lane.wait();
        lane
    }

    /// Sets when the next look is due. The seat is chosen by the upper bits, and the time by the lower ones.
    #[expect(clippy::cast_precision_loss, reason = "32 bits of randomness are plenty")]
    fn wait(&mut self) {
        self.bits = mixed(self.key ^ u64::from(self.looks));
        let within = (self.bits & u64::from(u32::MAX)) as f64 / (1u64 << 32) as f64;
        self.due = (f64::from(self.looks) + within) * self.table.pace;
    }

    /// Looks at the next seat.
    fn look(&mut self) -> Option<Drawn> {
        let bits = self.bits;
        self.looks += 1;
        self.wait();
        // What is mixed once more is independent of what chose the seat.
        let sits = self.table.at(bits).filter(|seat| (mixed(bits) >> 32) < u64::from(seat.chance));
        sits.map(Seat::drawn)
    }
}

impl<'a> Row<'a> {
    /// The row of the client whose secret number this is.
    pub(super) fn of<const N: usize>(urns: [Option<&'a Urn>; N], key: u64) -> Self {
        let lane = |(at, urn): (u64, &'a Urn)| {
            urn.tables
                .iter()
                .map(move |table| Lane::of(table, key ^ (at << 40 | u64::from(table.rank) << 32)))
        };
        let lanes: Vec<Lane<'a>> =
            (0..).zip(urns).filter_map(|(at, urn)| Some((at, urn?))).flat_map(lane).collect();
        let seats = lanes.iter().map(|lane| lane.table.count).fold(0, u32::saturating_add);
        Self { lanes, looks: 0, looks_max: seats.saturating_mul(LOOKS_EACH).min(LOOKS_MAX) }
    }
}

impl Iterator for Row<'_> {
    type Item = Drawn;

    fn next(&mut self) -> Option<Drawn> {
        while self.looks < self.looks_max {
            self.looks += 1;
            let drawn = match self.lanes.as_mut_slice() {
                [only] => only.look(),
                lanes => {
                    let next =
                        lanes.iter_mut().reduce(|one, other| if other.due < one.due { other } else { one });
                    next?.look()
                }
            };
            if drawn.is_some() {
                return drawn;
            }
        }
        None
    }
}

/// Steele, Lea and Flood's `SplitMix64`: every bit of the result depends on every bit of the number.
pub(crate) const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn balls(weights: &[u64]) -> Vec<Ball> {
        let ball = |(relay, weight): (u32, &u64)| Ball {
            relay,
            place: mixed(u64::from(relay)),
            weight: *weight,
            kept: Kept { kept: *weight, full: *weight },
        };
        (0..).zip(weights).map(ball).collect()
    }

    fn first(urn: &Urn, client: u64) -> Option<u32> {
        Row::of([Some(urn)], mixed(client)).next().map(|drawn| drawn.relay)
    }

    fn shares(urns: [&Urn; 2], relays: usize) -> Vec<u32> {
        let mut counts = vec![0; relays];
        for client in 0..40_000 {
            let drawn = Row::of(urns.map(Some), mixed(client)).next().unwrap();
            counts[drawn.relay as usize] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_weights_within_an_urn_and_across_two() {
        let all = balls(&[100, 200, 300, 400, 1000]);
        let one = shares([&Urn::of(all.clone()), &Urn::default()], 5);
        let two = shares([&Urn::of(all[..2].to_vec()), &Urn::of(all[2..].to_vec())], 5);
        for (counts, what) in [(one, "one"), (two, "two")] {
            for (count, weight) in counts.iter().zip([100, 200, 300, 400, 1000]) {
                assert!(count.abs_diff(20 * weight) < 300 + weight, "{what}: {counts:?}");
            }
        }
    }

    #[test]
    fn of_many_relays_all_are_drawn_and_a_draw_looks_at_few_seats() {
        for relays in [10, 1000, 10_000] {
            let urn = Urn::of(balls(&vec![7; relays]));
            let mut looks = 0;
            for client in 0..1000 {
                let mut row = Row::of([Some(&urn)], mixed(client));
                row.next().unwrap();
                looks += row.looks;
            }
            assert!(looks < 24_000, "{looks} of {relays} for 1000 clients");
        }
        let urn = Urn::of(balls(&[5; 40]));
        let met: std::collections::BTreeSet<u32> =
            Row::of([Some(&urn)], 1).map(|drawn| drawn.relay).collect();
        assert_eq!(met.len(), 40);
    }

    #[test]
    fn a_draw_looks_at_as_few_seats_however_far_weights_lie_apart() {
        let weights: Vec<u64> =
            (0..1000).map(|relay| if relay % 50 == 0 { 1 << 30 } else { 1 << 10 }).collect();
        let urn = Urn::of(balls(&weights));
        let looks = (0..1000).map(|client| {
            let mut row = Row::of([Some(&urn)], mixed(client));
            row.next().unwrap();
            row.looks
        });
        assert!(looks.sum::<u32>() < 24_000);
    }

    #[test]
    fn when_the_table_doubles_about_half_of_the_clients_stay() {
        let (small, large) = (Urn::of(balls(&[3; 32])), Urn::of(balls(&[3; 33])));
        assert_eq!((shape(&small)[0].1, shape(&large)[0].1), (256, 512));
        let stay = (0..4000).filter(|client| first(&small, *client) == first(&large, *client)).count();
        assert!(stay > 1600, "{stay} of 4000");
    }

    /// What decides everybody's seats and chances at the tables, beside who sits there.
    fn shape(urn: &Urn) -> Vec<(u32, u32, u64)> {
        urn.tables.iter().map(|table| (table.rank, table.count, table.pace.to_bits())).collect()
    }

    /// Who sits where.
    fn sitting(urn: &Urn) -> BTreeMap<(u32, usize), u32> {
        let at_table = |table: &Table| {
            let words = (0..).zip(&table.taken);
            let bits = words.flat_map(|(at, (bits, _))| {
                (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| at * 64 + bit)
            });
            let (rank, seats) = (table.rank, table.seats.iter().map(|seat| seat.relay));
            bits.map(move |at| (rank, at)).zip(seats).collect::<Vec<_>>()
        };
        urn.tables.iter().flat_map(at_table).collect()
    }

    /// How many relays sit elsewhere than before.
    fn seats_moved(before: &Urn, after: &Urn) -> usize {
        let (before, after) = (sitting(before), sitting(after));
        after.iter().filter(|(seat, relay)| before.get(seat) != Some(relay)).count()
    }

    #[test]
    fn hardly_anybody_sits_elsewhere_when_one_goes() {
        let all = balls(&[9; 500]);
        let before = Urn::of(all.clone());
        let moved: usize = (0..500)
            .map(|gone| {
                let mut rest = all.clone();
                rest.remove(gone);
                let after = Urn::of(rest);
                assert_eq!(shape(&before), shape(&after));
                seats_moved(&before, &after)
            })
            .sum();
        assert!(moved < 75, "{moved} for 500 that went");
    }

    #[test]
    fn what_the_balance_corrects_moves_as_many_clients_as_it_is_about() {
        let rates: Vec<u64> = (0..101).map(|relay| [125_000_000, 50_000_000][relay % 2]).collect();
        let all = balls(&[rates, vec![1_250_000_000]].concat());
        let before = Urn::of(all.clone());
        for (which, at_most) in [(0..1, 20), (0..101, 800)] {
            let mut after = all.clone();
            for ball in after.get_mut(which).unwrap() {
                ball.weight += ball.weight * 8 / 100;
            }
            let after = Urn::of(after);
            let moved =
                (0..10_000).filter(|client| first(&before, *client) != first(&after, *client)).count();
            assert!(moved < at_most, "{moved} of 10000");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Nobody moves whose relay stays, unless some relay sits elsewhere than before.
        #[test]
        fn who_goes_moves_only_its_own(
            weights in prop::collection::vec(1u64..1000, 17..32),
            gone in 0usize..17,
        ) {
            let all = balls(&weights);
            let mut rest = all.clone();
            let lost = rest.remove(gone).relay;
            let (before, after) = (Urn::of(all), Urn::of(rest));
            prop_assume!(shape(&before) == shape(&after));
            let moved = seats_moved(&before, &after);
            for client in 0..500 {
                let was = first(&before, client);
                prop_assert!(was == Some(lost) || was == first(&after, client) || moved > 0);
            }
        }

        #[test]
        fn nothing_that_is_weighed_makes_it_fail(
            weights in prop::collection::vec(any::<u64>(), 0..40),
            key in any::<u64>(),
        ) {
            let urn = Urn::of(balls(&weights));
            let drawn = Row::of([Some(&urn), None], key).take(100);
            prop_assert!(drawn.map(|drawn| drawn.relay as usize).all(|relay| relay < weights.len()));
        }
    }
}
