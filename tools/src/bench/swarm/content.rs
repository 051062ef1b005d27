//! What the swarm moves: a tree of big, middling and small files, the same bytes for the same seed and size.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Shares of the content in percent, and the size of the files that each is cut into.
const KINDS: [(&str, u64, u64); 4] =
    [("images", 48, 48 << 20), ("packages", 32, 8 << 20), ("wheels", 12, 700 << 10), ("notes", 8, 24 << 10)];

/// Writes `bytes` of files under `folder`, and returns how many bytes there are.
pub(super) fn write(folder: &Path, bytes: u64) -> Result<u64> {
    let mut written = 0;
    for (kind, percent, size) in KINDS {
        let mut left = bytes / 100 * percent;
        for number in 0.. {
            let length = size.min(left);
            if length == 0 {
                break;
            }
            left -= length;
            let name = format!("{kind}/{}/{number:05}.bin", number % 7);
            file(&folder.join(&name), &name, length).with_context(|| format!("write {name}"))?;
            written += length;
        }
    }
    Ok(written)
}

/// BLAKE3's extended output, keyed by the name: it neither compresses nor repeats.
fn file(path: &Path, name: &str, length: u64) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut noise = blake3::Hasher::new().update(name.as_bytes()).finalize_xof();
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let mut piece = vec![0; 1 << 20];
    let mut left = length;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let Some(bytes) = piece.get_mut(..take) else { break };
        noise.fill(bytes);
        std::io::Write::write_all(&mut file, bytes)?;
        left -= take as u64;
    }
    std::io::Write::flush(&mut file)?;
    Ok(())
}
