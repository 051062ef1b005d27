//! Draws that are the same for the same seed: what went wrong once can be made to happen again.

/// A sequence of draws.
#[derive(Debug)]
pub(super) struct Draw(blake3::OutputReader);

impl Draw {
    /// The sequence of this name.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).update(name.as_bytes()).finalize_xof())
    }

    /// A number from `from` to below `to`; `from` if there is none.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        from + u64::from_le_bytes(bytes) % to.saturating_sub(from).max(1)
    }

    /// One of these, if there are any.
    pub(super) fn one_of<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        let number = self.between(0, items.len() as u64);
        items.get(usize::try_from(number).unwrap_or(0))
    }
}
