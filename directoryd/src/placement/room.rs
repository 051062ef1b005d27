//! How much a relay may be asked to hold: never more than it offers, and little of that before it has shown itself.

use odi_wire::message::assignable_bytes;

use crate::roster::Stage;

/// Of the disk that a relay offers, the part that is assigned while it is on probation, in percent.
const PROBATION_PERCENT: u64 = 10;
/// On probation, so much is assigned at least if the relay has it: many catalogs are smaller.
const PROBATION_BYTES_MIN: u64 = 1 << 30;
/// Of the disk that a relay offers, the part that is for what is hot, in percent, beside what is assigned.
const HOT_PERCENT: u64 = 5;

/// How many bytes a relay that offers so much disk may be assigned; none before it is tested.
#[must_use]
pub fn room(disk: u64, stage: Stage) -> u64 {
    let most = assignable_bytes(disk);
    match stage {
        Stage::Ready => most,
        Stage::Probation { .. } => most.min((disk / 100 * PROBATION_PERCENT).max(PROBATION_BYTES_MIN)),
        Stage::Untested | Stage::Quarantined { .. } => 0,
    }
}

/// How many bytes of what is hot it may be asked to hold beside that; none before it is ready.
#[must_use]
pub const fn hot_room(disk: u64, stage: Stage) -> u64 {
    match stage {
        Stage::Ready => disk / 100 * HOT_PERCENT,
        Stage::Probation { .. } | Stage::Untested | Stage::Quarantined { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_before_the_test_little_on_probation_and_never_the_whole_disk() {
        let tb = 1_000_000_000_000;
        assert_eq!(room(tb, Stage::Untested), 0);
        assert_eq!(room(tb, Stage::Probation { matched: 9 }), tb / 10);
        assert_eq!(room(tb, Stage::Ready), tb / 100 * 85);
        let gb = 1_000_000_000;
        assert_eq!(
            room(gb, Stage::Probation { matched: 0 }),
            room(gb, Stage::Ready),
            "a small disk is small anyway"
        );
    }
}
