//! What databases were asked lately: a look-up walks some thirty nodes of each, all over the memory, and a row has names in ten
//! languages, so that reading it costs several times what finding it does; most who ask once ask again. A table of fixed size for what
//! does not change: a row of a database, or a network as long as the databases stay.

use std::sync::{Mutex, OnceLock};

use crate::select::mixed;
use crate::whereabouts::Whereabouts;

/// By a scrambled number. The memory is taken with the first.
pub(super) struct Lately {
    secret: u64,
    count: usize,
    slots: OnceLock<Box<[Slot]>>,
}

/// What was found, and its scrambled number.
type Slot = Mutex<Option<(u64, Whereabouts)>>;

impl Lately {
    /// A table of so many slots, with nothing in it. Where numbers tell who asked, a secret keeps them from standing there.
    pub(super) const fn new(count: usize, secret: u64) -> Self {
        Self { secret, count, slots: OnceLock::new() }
    }

    /// What there is at a number: as it was found before, or as `look_up` finds it.
    pub(super) fn at(&self, number: u64, look_up: impl FnOnce() -> Whereabouts) -> Whereabouts {
        // Two numbers are never scrambled alike, and neighbours share no slots.
        let number = mixed(self.secret ^ number);
        let slots = self.slots.get_or_init(|| (0..self.count).map(|_| Mutex::default()).collect());
        let at = number.checked_rem(self.count as u64).and_then(|at| usize::try_from(at).ok());
        let slot = at.and_then(|at| slots.get(at));
        // Never waits: whoever meets another thread here does without the table.
        let known = slot.and_then(|slot| *slot.try_lock().ok()?);
        if let Some((_, known)) = known.filter(|(of, _)| *of == number) {
            return known;
        }
        let found = look_up();
        if let Some(mut slot) = slot.and_then(|slot| slot.try_lock().ok()) {
            *slot = Some((number, found));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::{NETWORKS, ROWS};

    fn said(number: u64) -> Whereabouts {
        Whereabouts { asn: u32::try_from(number).ok(), ..Whereabouts::default() }
    }

    #[test]
    fn what_is_remembered_is_looked_up_once_and_never_taken_for_another() {
        assert!(ROWS * size_of::<Slot>() <= 1 << 20);
        assert!(NETWORKS * size_of::<Slot>() <= 3 << 20);
        for (count, secret, looks_max) in [(ROWS, 0, 2000), (NETWORKS, 7, 1200)] {
            let lately = Lately::new(count, secret);
            let mut looks = 0;
            for _ in 0..10 {
                for number in (0..1000).map(|row| row * 57) {
                    let found = lately.at(number, || {
                        looks += 1;
                        said(number)
                    });
                    assert_eq!(found, said(number));
                }
            }
            assert!((1000..looks_max).contains(&looks), "{looks} looks of 10000");
            // Far more than there are slots.
            for number in 0..200_000 {
                assert_eq!(lately.at(number, || said(number)), said(number));
            }
        }
    }

    #[test]
    fn a_table_without_slots_remembers_nothing() {
        let lately = Lately::new(0, 0);
        assert_eq!([lately.at(1, || said(1)), lately.at(1, || said(2))], [said(1), said(2)]);
    }
}
