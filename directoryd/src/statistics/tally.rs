//! Downloads and their bytes of one subject on one day, and what of them may be shown.
//!
//! What is shown of a count moves only once ten more have come: so no two looks differ by fewer than ten downloads, and nobody learns
//! from a public number that one was made just now, or how large it was. Pure.

/// So many downloads at least are between two published numbers.
pub const PUBLISHED_STEP: u64 = 10;

/// The bytes of a kept row.
const ROW_BYTES: usize = 4 * 4 * 8;

/// Downloads, and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// How many.
    pub downloads: u64,
    /// How many bytes: of what was sent here, and of what relays say, those; of who was sent on, the sizes of what they wanted.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, more: Self) {
        self.downloads = self.downloads.saturating_add(more.downloads);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// A tally, and what of it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    counted: Tally,
    shown: Tally,
}

impl Bucket {
    /// Counts.
    pub fn add(&mut self, more: Tally) {
        self.counted.add(more);
        if self.counted.downloads - self.shown.downloads >= PUBLISHED_STEP {
            self.shown = self.counted;
        }
    }

    /// What may be shown; nothing before there are ten.
    #[must_use]
    pub fn shown(&self) -> Option<Tally> {
        (self.shown.downloads > 0).then_some(self.shown)
    }

    /// All that was counted: for the operator alone.
    #[must_use]
    pub const fn counted(&self) -> Tally {
        self.counted
    }
}

/// What is shown of an estimate: whole tens, and nothing below the first.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is no count is none, and what is too large the largest"
)]
pub(super) fn shown_count(certain: f64) -> Option<u64> {
    let tens = certain as u64 / PUBLISHED_STEP * PUBLISHED_STEP;
    (tens > 0).then_some(tens)
}

/// How bytes went to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// From this directory itself.
    Carried,
    /// By a redirect to a relay.
    Redirected,
    /// By a redirect to the origin.
    Origin,
    /// From a relay, as that says. It raises nothing but this number.
    Confirmed,
}

/// What is counted of one subject on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// From this directory.
    pub carried: Bucket,
    /// Sent on to relays.
    pub redirected: Bucket,
    /// Sent on to origins.
    pub origin: Bucket,
    /// What relays say that they gave.
    pub confirmed: Bucket,
}

impl Row {
    /// Counts.
    pub fn add(&mut self, how: How, more: Tally) {
        let bucket = match how {
            How::Carried => &mut self.carried,
            How::Redirected => &mut self.redirected,
            How::Origin => &mut self.origin,
            How::Confirmed => &mut self.confirmed,
        };
        bucket.add(more);
    }

    /// Each bucket by its name.
    #[must_use]
    pub const fn by_how(&self) -> [(&'static str, Bucket); 4] {
        [
            ("carried", self.carried),
            ("redirected", self.redirected),
            ("origin", self.origin),
            ("confirmed", self.confirmed),
        ]
    }

    /// As it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.by_how().into_iter().flat_map(|(_, Bucket { counted, shown })| {
            [counted.downloads, counted.bytes, shown.downloads, shown.bytes]
        });
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    /// What was kept; `None` if that is no row of ours.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != ROW_BYTES {
            return None;
        }
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut tally = || Some(Tally { downloads: numbers.next()?, bytes: numbers.next()? });
        let mut bucket = || {
            let (counted, shown) = (tally()?, tally()?);
            let makes_sense = shown.downloads <= counted.downloads && shown.bytes <= counted.bytes;
            makes_sense.then_some(Bucket { counted, shown })
        };
        Some(Self { carried: bucket()?, redirected: bucket()?, origin: bucket()?, confirmed: bucket()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_moves_by_ten_or_more_and_a_restart_shows_no_more(
            steps in proptest::collection::vec((0u64..4, 0u64..1000, any::<bool>()), 0..80)
        ) {
            let (mut row, mut shown) = (Row::default(), None);
            for (downloads, bytes, restarts) in steps {
                row.add(How::Redirected, Tally { downloads, bytes });
                if restarts {
                    row = Row::from_bytes(&row.to_bytes()).unwrap();
                }
                let now = row.redirected.shown();
                if now != shown {
                    let before: u64 = shown.map_or(0, |shown: Tally| shown.downloads);
                    prop_assert!(now.unwrap().downloads >= before + PUBLISHED_STEP);
                    prop_assert_eq!(now.unwrap(), row.redirected.counted());
                }
                shown = now;
            }
            prop_assert_eq!(row.origin.shown(), None);
        }

        #[test]
        fn any_bytes_are_a_row_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(row) = Row::from_bytes(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
