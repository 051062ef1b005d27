//! How dearly a running reclaim keeps each row: two bits per ordinal (10 M rows: 2.5 MB). Pure.

use crate::eviction::Keep;
use crate::row::Ordinal;

const PER_WORD: usize = 32;

/// The dearest word on each row, [`Keep::Spare`] where there was none. Ordinals that came later are not here.
#[derive(Debug)]
pub(crate) struct Kept {
    words: Vec<u64>,
    end: u64,
}

impl Kept {
    /// All that can be said, by number.
    pub(crate) const KEEPS: [Keep; 4] = [Keep::Spare, Keep::Former, Keep::LastCopy, Keep::Floor];

    /// Knows rows whose ordinals are below `end`.
    pub(crate) fn new(end: u64) -> Self {
        let words = usize::try_from(end).expect("ordinals are below 2^32").div_ceil(PER_WORD);
        Self { words: vec![0; words], end }
    }

    /// Takes a word on a row.
    pub(crate) fn raise(&mut self, ordinal: Ordinal, keep: Keep) {
        if self.of(ordinal).is_some_and(|before| before < keep) {
            let (word, shift) = place(ordinal);
            if let Some(word) = self.words.get_mut(word) {
                *word = *word & !(3 << shift) | (keep as u64) << shift;
            }
        }
    }

    /// The dearest word on a row; `None` if it came later.
    pub(crate) fn of(&self, ordinal: Ordinal) -> Option<Keep> {
        let (word, shift) = place(ordinal);
        let bits = *self.words.get(word).filter(|_| u64::from(ordinal.0) < self.end)? >> shift & 3;
        Self::KEEPS.into_iter().find(|keep| *keep as u64 == bits)
    }
}

fn place(ordinal: Ordinal) -> (usize, usize) {
    let number = ordinal.0 as usize;
    (number / PER_WORD, number % PER_WORD * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_word_counts() {
        let mut kept = Kept::new(70);
        for (ordinal, keep) in [(0, Keep::Former), (31, Keep::Floor), (32, Keep::LastCopy), (69, Keep::Floor)]
        {
            kept.raise(Ordinal(ordinal), keep);
            kept.raise(Ordinal(ordinal), Keep::Former);
            assert_eq!(kept.of(Ordinal(ordinal)), Some(keep.max(Keep::Former)));
        }
        assert_eq!(kept.of(Ordinal(1)), Some(Keep::Spare));
        kept.raise(Ordinal(70), Keep::Floor);
        assert_eq!(kept.of(Ordinal(70)), None, "it came later");
    }
}
