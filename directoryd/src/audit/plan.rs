//! What a look is at, and when the next one is: pure, from random numbers.
//!
//! Everything about a look is drawn, so that a relay can be told neither by its time nor by its shape that it is looked at.

use std::time::Duration;

use odi_wire::client::Guise;

/// One look in so many is at something that was downloaded lately, where anything was.
const POPULAR_EVERY: u32 = 2;
/// One in so many is at a whole file.
const WHOLE_EVERY: u32 = 12;
/// After one in so many that matched, another relay is asked to look as well.
const THROUGH_ANOTHER_EVERY: u32 = 3;

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// At something that was downloaded lately, the likelier the more it was.
    pub(crate) popular: bool,
    /// At all of it, if it is small enough.
    pub(crate) whole: bool,
    /// Whether another relay is to look as well.
    pub(crate) through_another: bool,
    /// In whose words.
    pub(crate) guise: Guise,
}

impl Plan {
    /// The look that random numbers draw.
    pub(crate) fn drawn([popular, whole, through, guise]: [u32; 4]) -> Self {
        Self {
            popular: popular.is_multiple_of(POPULAR_EVERY),
            whole: whole.is_multiple_of(WHOLE_EVERY),
            through_another: through.is_multiple_of(THROUGH_ANOTHER_EVERY),
            guise: Guise::drawn(guise),
        }
    }
}

/// How long a relay is left alone after a look: between half of the longest and all of it.
pub(crate) fn rest(longest: Duration, draw: u32) -> Duration {
    let half = longest / 2;
    half + longest.saturating_sub(half).mul_f64(f64::from(draw) / f64::from(u32::MAX))
}

/// Of things with weights, the one that a random number draws; each as likely as its weight is of all.
pub(crate) fn weighted<T>(things: &[(T, f64)], draw: u64) -> Option<&T> {
    let is_weight = |weight: &f64| weight.is_finite() && *weight > 0.0;
    let total: f64 = things.iter().map(|(_, weight)| weight).filter(|weight| is_weight(weight)).sum();
    let mut left = total * part_of(draw);
    let mut last = None;
    for (thing, weight) in things.iter().filter(|(_, weight)| is_weight(weight)) {
        if left < *weight {
            return Some(thing);
        }
        left -= weight;
        last = Some(thing);
    }
    last
}

/// A random number as a part of one.
#[expect(clippy::cast_precision_loss, reason = "a part need not be exact")]
fn part_of(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_look_is_drawn_as_often_as_it_should_be() {
        let draws = (0..12_000_u32).map(|n| {
            let bytes = *blake3::hash(&n.to_le_bytes()).as_bytes();
            Plan::drawn([0, 4, 8, 12].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())))
        });
        let (mut popular, mut whole, mut through) = (0, 0, 0);
        for plan in draws {
            popular += u32::from(plan.popular);
            whole += u32::from(plan.whole);
            through += u32::from(plan.through_another);
        }
        assert!((5700..6300).contains(&popular) && (850..1150).contains(&whole), "{popular} {whole}");
        assert!((3700..4300).contains(&through), "{through}");
    }

    #[test]
    fn what_is_downloaded_more_is_drawn_more() {
        let things = [("nothing", 0.0), ("some", 1.0), ("much", 9.0), ("never", f64::NAN)];
        let mut drawn = [0; 2];
        for n in 0..10_000_u64 {
            let draw = u64::from_le_bytes(blake3::hash(&n.to_le_bytes()).as_bytes()[..8].try_into().unwrap());
            match weighted(&things, draw) {
                Some(&"some") => drawn[0] += 1,
                Some(&"much") => drawn[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!((850..1150).contains(&drawn[0]), "{drawn:?}");
        assert_eq!(weighted::<&str>(&[], 7), None);
        assert_eq!(weighted(&[("nothing", 0.0)], 7), None);
    }

    proptest! {
        #[test]
        fn a_rest_is_within_its_bounds(seconds in 0_u64..10_000, draw: u32) {
            let longest = Duration::from_secs(seconds);
            let rest = rest(longest, draw);
            prop_assert!(longest / 2 <= rest && rest <= longest);
        }

        #[test]
        fn one_is_always_drawn_where_any_can_be(weights in prop::collection::vec(0.1_f64..1e9, 1..20), draw: u64) {
            let things: Vec<(usize, f64)> = weights.into_iter().enumerate().collect();
            prop_assert!(weighted(&things, draw).is_some());
        }
    }
}
