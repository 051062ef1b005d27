//! The tree that both servers serve: files of a few sizes, of bytes that nothing compresses or shares.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A size of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
    /// How many clients ask at once.
    pub(super) connections: u32,
}

/// Ascending.
pub(super) const SIZES: [Size; 5] = [
    Size { name: "4 KiB", bytes: 4 * KIB, connections: 64 },
    Size { name: "64 KiB", bytes: 64 * KIB, connections: 64 },
    Size { name: "256 KiB", bytes: 256 * KIB, connections: 64 },
    Size { name: "1 MiB", bytes: MIB, connections: 16 },
    Size { name: "32 MiB", bytes: 32 * MIB, connections: 4 },
];

/// Hot rows ask for at most so many artifacts, and so many bytes in all, but for at least one.
const HOT: (usize, u64) = (16, 4 * MIB);
/// More files than this of one size say nothing new.
const FILES_MAX: u64 = 4096;

/// The tree.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) tree: PathBuf,
    /// Per size, in the order of [`SIZES`].
    files: Vec<Vec<String>>,
}

impl Bodies {
    /// Writes files of each size, `set_bytes` of each, and at least one.
    pub(super) fn write(tree: &Path, set_bytes: u64) -> Result<Self> {
        let mut files = Vec::new();
        for (number, size) in (0_u64..).zip(SIZES) {
            let folder = size.name.replace(' ', "-");
            fs::create_dir_all(tree.join(&folder)).with_context(|| format!("make {}", tree.display()))?;
            let mut names = Vec::new();
            let mut bytes = vec![0; usize::try_from(size.bytes)?];
            for file in 0..(set_bytes / size.bytes).clamp(1, FILES_MAX) {
                let seed = [number.to_le_bytes(), file.to_le_bytes()].concat();
                blake3::Hasher::new().update(&seed).finalize_xof().fill(&mut bytes);
                let name = format!("{folder}/{file:04}.bin");
                fs::write(tree.join(&name), &bytes).with_context(|| format!("write {name}"))?;
                names.push(name);
            }
            files.push(names);
        }
        Ok(Self { tree: tree.to_owned(), files })
    }

    /// All files of a size.
    pub(super) fn all(&self, size: Size) -> &[String] {
        let place = SIZES.iter().position(|known| *known == size);
        place.and_then(|place| self.files.get(place)).map_or(&[], Vec::as_slice)
    }

    /// A few files of a size, which fit into memory.
    pub(super) fn hot(&self, size: Size) -> &[String] {
        let all = self.all(size);
        let count = usize::try_from(HOT.1 / size.bytes).unwrap_or(usize::MAX).clamp(1, HOT.0);
        all.get(..count).unwrap_or(all)
    }
}
