//! Which relays were proposed already: mostly a handful.

use std::collections::HashSet;

/// So many are compared one by one.
const FEW: usize = 32;

/// Relays in the numbering of the field.
#[derive(Debug, Default)]
pub(super) struct Looked {
    few: Vec<u32>,
    /// All of them, once they are more than a few.
    many: HashSet<u32>,
}

impl Looked {
    /// Whether a relay comes for the first time.
    pub(super) fn is_new(&mut self, relay: u32) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&relay) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(relay);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once_however_many_there_are() {
        let mut looked = Looked::default();
        let new = (0..200u32).map(|n| n * 7 % 100).filter(|relay| looked.is_new(*relay));
        assert_eq!(new.count(), 100);
    }
}
