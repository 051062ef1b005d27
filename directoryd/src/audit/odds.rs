//! How soon a relay is found that lies in a part of its answers, whoever asks (P9): pure.
//!
//! It rests on looks that a relay cannot tell from its clients, so that each meets a lie as often as a client does.

/// How sure is sure enough to be said.
pub const CONFIDENCE: f64 = 0.95;

/// The chance that so many looks find a relay that lies in this part of its answers.
#[must_use]
pub fn chance(part: f64, looks: u32) -> f64 {
    1.0 - (1.0 - part.clamp(0.0, 1.0)).powf(f64::from(looks))
}

/// How many looks it takes to find such a relay with [`CONFIDENCE`]; `None` if it never lies.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 1, and a cast of more than fits gives the most"
)]
pub fn looks_for(part: f64) -> Option<u32> {
    let part = part.clamp(0.0, 1.0);
    (part > 0.0).then(|| ((1.0 - CONFIDENCE).ln() / (1.0 - part).ln()).ceil().max(1.0) as u32)
}

/// After so many looks that all matched: a relay that lies in one answer of this many or oftener would have been found, with
/// [`CONFIDENCE`]. `None` if that is not even sure of one that always lies.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "at least 1, and roughly is enough"
)]
pub fn one_in(looks: u64) -> Option<u64> {
    let part = 1.0 - (1.0 - CONFIDENCE).powf(1.0 / looks as f64);
    (looks > 0).then(|| part.recip().floor().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_numbers_of_looks_suffice_and_fewer_do_not() {
        for (part, looks) in [(0.5, 5), (0.1, 29), (0.05, 59), (0.01, 299), (0.001, 2995)] {
            assert_eq!(looks_for(part), Some(looks), "{part}");
            assert!(chance(part, looks) >= CONFIDENCE && chance(part, looks - 1) < CONFIDENCE, "{part}");
        }
        assert_eq!((looks_for(1.0), looks_for(0.0), chance(0.0, u32::MAX)), (Some(1), None, 0.0));
    }

    #[test]
    fn a_relay_that_lies_in_one_answer_of_a_hundred_is_found_as_often_as_stated() {
        for (one_in, looks) in [(2_u64, 5_u32), (10, 29), (20, 59), (100, 299)] {
            let relays = 2000_u32;
            let is_found = |relay: &u32| {
                let mut noise = blake3::Hasher::new_keyed(&[7; 32]);
                let mut answers = noise.update(&relay.to_le_bytes()).finalize_xof();
                (0..looks).any(|_| {
                    let mut answer = [0; 8];
                    answers.fill(&mut answer);
                    u64::from_le_bytes(answer).is_multiple_of(one_in)
                })
            };
            let found = (0..relays).filter(is_found).count();
            let share = f64::from(u32::try_from(found).unwrap()) / f64::from(relays);
            assert!((0.935..=1.0).contains(&share), "{share} of those that lie one time in {one_in}");
        }
    }

    #[test]
    fn what_matched_looks_are_worth_grows_with_them() {
        assert_eq!((one_in(0), one_in(1), one_in(5)), (None, Some(1), Some(2)));
        assert_eq!((one_in(29), one_in(299)), (Some(10), Some(100)));
        assert!((1..400_u64).map(one_in).is_sorted());
    }
}
