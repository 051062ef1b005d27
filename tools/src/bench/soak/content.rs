//! What the soak publishes: a tree of noise that changes with every head, and what each head says of each path.
//!
//! A file's bytes follow from its path and version, so any part of any version can be computed where it is checked, and nothing
//! has to be remembered but numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};

use super::draw::Draw;

/// Share of the content in percent, and sizes in bytes from and to.
const KINDS: [(&str, u64, (u64, u64)); 4] = [
    ("images", 30, (2 << 20, 6 << 20)),
    ("packages", 50, (400 << 10, 3 << 20)),
    ("wheels", 15, (20 << 10, 250 << 10)),
    ("notes", 5, (0, 4 << 10)),
];
/// Files that each head replaces and adds, by kind; as many as it adds it removes.
const REPLACED: [(&str, usize); 3] = [("packages", 3), ("wheels", 6), ("notes", 6)];
const ADDED: [(&str, usize); 2] = [("packages", 1), ("notes", 2)];

/// The bytes of one file in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) size: u64,
}

/// The paths of one head.
pub(super) type State = BTreeMap<Arc<str>, Version>;

/// Every state that was ever published; that of head `n` is number `n - 1`.
#[derive(Debug, Default)]
pub(super) struct Published(RwLock<Vec<Arc<State>>>);

impl Published {
    /// Takes the next state. Before it is published: nobody can see a head that is not known here.
    pub(super) fn add(&self, state: State) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(state));
    }

    /// The number of the newest head.
    pub(super) fn newest_seq(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(super) fn state(&self, seq: u64) -> Option<Arc<State>> {
        let number = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(number).cloned()
    }

    /// Whether a path is in every state, so that whoever has any of them knows it.
    pub(super) fn always_had(&self, path: &str) -> bool {
        let states = self.0.read().unwrap_or_else(PoisonError::into_inner);
        states.iter().all(|state| state.contains_key(path))
    }

    /// What a path has been, without repetition.
    pub(super) fn versions(&self, path: &str) -> Vec<Version> {
        let states = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut versions: Vec<Version> = states.iter().filter_map(|state| state.get(path).copied()).collect();
        versions.dedup();
        versions
    }
}

/// A part of what a file is made of.
pub(super) fn fill(path: &str, version: u32, offset: u64, bytes: &mut [u8]) {
    let mut noise = blake3::Hasher::new();
    noise.update(&version.to_le_bytes()).update(path.as_bytes());
    let mut noise = noise.finalize_xof();
    noise.set_position(offset);
    noise.fill(bytes);
}

/// The first state, of so many bytes.
pub(super) fn first(bytes: u64, draw: &mut Draw) -> State {
    let mut state = State::new();
    for (kind, percent, _) in KINDS {
        let (mut left, mut number) = (bytes / 100 * percent, 0);
        while left > 0 {
            // What is left of a kind may be a little more than there is room for.
            let version = Version { number: 0, size: size(kind, draw) };
            left = left.saturating_sub(version.size.max(512));
            state.insert(path(kind, number), version);
            number += 1;
        }
    }
    state
}

/// The next state.
pub(super) fn next(former: &State, seq: u64, draw: &mut Draw) -> State {
    let mut state = former.clone();
    let number = u32::try_from(seq).unwrap_or(u32::MAX);
    let of_kind = |state: &State, kind: &str| -> Vec<Arc<str>> {
        state.keys().filter(|path| path.starts_with(kind)).cloned().collect()
    };
    for (kind, count) in REPLACED {
        for _ in 0..count {
            if let Some(path) = draw.one_of(&of_kind(&state, kind)) {
                state.insert(Arc::clone(path), Version { number, size: size(kind, draw) });
            }
        }
    }
    for (kind, count) in ADDED {
        for added in 0..count {
            if let Some(removed) = draw.one_of(&of_kind(&state, kind)) {
                state.remove(removed);
            }
            let place = usize::try_from(seq).unwrap_or(usize::MAX).saturating_mul(1000).saturating_add(added);
            state.insert(path(kind, place), Version { number, size: size(kind, draw) });
        }
    }
    state
}

fn path(kind: &str, number: usize) -> Arc<str> {
    format!("{kind}/{}/{number:06}.bin", number % 7).into()
}

fn size(kind: &str, draw: &mut Draw) -> u64 {
    let range = KINDS.iter().find(|(name, ..)| *name == kind).map(|(.., range)| *range);
    range.map_or(0, |(from, to)| draw.between(from, to))
}

/// Makes the tree this state, changing only what differs; each file appears whole or not at all.
pub(super) fn write(tree: &Path, former: &State, state: &State) -> Result<()> {
    for (path, version) in state.iter().filter(|(path, version)| former.get(*path) != Some(version)) {
        let target = tree.join(path.as_ref());
        write_file(&target, path, *version).with_context(|| format!("write {path}"))?;
    }
    for path in former.keys().filter(|path| !state.contains_key(*path)) {
        fs::remove_file(tree.join(path.as_ref())).with_context(|| format!("remove {path}"))?;
    }
    Ok(())
}

fn write_file(target: &Path, path: &str, version: Version) -> Result<()> {
    let folder = target.parent().context("a path has a folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder.parent().unwrap_or(folder))?;
    let mut piece = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < version.size {
        let take = usize::try_from(version.size - offset).unwrap_or(usize::MAX).min(piece.len());
        let bytes = piece.get_mut(..take).context("at most a piece")?;
        fill(path, version.number, offset, bytes);
        file.write_all(bytes)?;
        offset += take as u64;
    }
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_file_can_be_computed() {
        let (mut whole, mut part) = (vec![0; 100_000], vec![0; 1000]);
        fill("packages/1/000001.bin", 7, 0, &mut whole);
        fill("packages/1/000001.bin", 7, 70_001, &mut part);
        assert_eq!(whole.get(70_001..71_001), Some(part.as_slice()));
        fill("packages/1/000001.bin", 8, 70_001, &mut part);
        assert_ne!(whole.get(70_001..71_001), Some(part.as_slice()));
    }

    #[test]
    fn a_tree_changes_with_each_head_and_keeps_its_size() {
        let mut draw = Draw::new(3, "content");
        let first = first(40 << 20, &mut draw);
        let bytes = |state: &State| state.values().map(|version| version.size).sum::<u64>();
        assert!((38 << 20..56 << 20).contains(&bytes(&first)), "{}", bytes(&first));
        let mut state = first.clone();
        for seq in 2..30 {
            let next = next(&state, seq, &mut draw);
            assert!(next != state && next.len() == first.len(), "{seq}");
            state = next;
        }
        assert!((20 << 20..80 << 20).contains(&bytes(&state)), "{}", bytes(&state));
    }
}
