//! How many domains of one level hold each part, and of those with several relays, how many of them.

use super::Holder;
use crate::placement::PARTS;

/// The counts of one level.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Of each holder, which cell is its domain's; none where it is the only one there.
    shared: Vec<Option<usize>>,
    /// By domain, for each part how many of its relays hold it.
    cells: Vec<[u16; PARTS]>,
    /// For each part, how many domains hold it.
    copies: [usize; PARTS],
}

impl Tally {
    pub(super) fn of(holders: &[Holder], level: usize) -> Self {
        let domains = || holders.iter().map(|holder| holder.domains.get(level).map_or(0, |at| *at as usize));
        let mut members = vec![0u32; domains().max().map_or(0, |most| most + 1)];
        for domain in domains() {
            members.get_mut(domain).into_iter().for_each(|members| *members += 1);
        }
        let mut cell_of = vec![None; members.len()];
        let mut cells = 0;
        for (cell, _) in cell_of.iter_mut().zip(members).filter(|(_, members)| *members > 1) {
            *cell = Some(cells);
            cells += 1;
        }
        let shared = domains().map(|domain| cell_of.get(domain).copied().flatten()).collect();
        let mut tally = Self { shared, cells: vec![[0; PARTS]; cells], copies: [0; PARTS] };
        for (at, holder) in holders.iter().enumerate() {
            holder.parts.iter().for_each(|part| tally.count_in(at, part));
        }
        tally
    }

    /// Domains that hold a part.
    pub(super) fn copies(&self, part: u8) -> usize {
        self.copies.get(usize::from(part)).copied().unwrap_or(0)
    }

    /// Relays of a holder's domain that hold a part; `None` if it is the only one there.
    pub(super) fn near(&self, at: usize, part: u8) -> Option<u16> {
        let cell = self.shared.get(at).copied().flatten()?;
        self.cells.get(cell)?.get(usize::from(part)).copied()
    }

    /// A holder has taken up a part.
    pub(super) fn count_in(&mut self, at: usize, part: u8) {
        let is_first = self.cell(at, part).is_none_or(|relays| {
            *relays = relays.saturating_add(1);
            *relays == 1
        });
        if let Some(copies) = self.copies.get_mut(usize::from(part)).filter(|_| is_first) {
            *copies += 1;
        }
    }

    /// A holder has given up a part.
    pub(super) fn count_out(&mut self, at: usize, part: u8) {
        let is_last = self.cell(at, part).is_none_or(|relays| {
            *relays = relays.saturating_sub(1);
            *relays == 0
        });
        if let Some(copies) = self.copies.get_mut(usize::from(part)).filter(|_| is_last) {
            *copies -= 1;
        }
    }

    fn cell(&mut self, at: usize, part: u8) -> Option<&mut u16> {
        let cell = self.shared.get(at).copied().flatten()?;
        self.cells.get_mut(cell)?.get_mut(usize::from(part))
    }
}
