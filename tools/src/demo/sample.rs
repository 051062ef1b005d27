//! Small trees that look like what people publish: a release with every size that is an edge somewhere in ODI and names that
//! clients quote, a folder of packages, and a handbook of pages so small that directories carry them themselves.

use std::fs;
use std::io;
use std::path::Path;

/// Sizes around every boundary: empty, one byte, one chunk more or less, several chunks.
const EDGES: [(&str, usize); 9] = [
    ("edge/empty", 0),
    ("edge/one-byte", 1),
    ("edge/64KiB", 65_536),
    ("edge/64KiB-and-1", 65_537),
    ("edge/chunk-less-1", 262_143),
    ("edge/chunk", 262_144),
    ("edge/chunk-and-1", 262_145),
    ("edge/two-chunks", 524_288),
    ("edge/8MiB-and-1", 8_388_609),
];

const NAMES: [&str; 6] = [
    "pool/main/libfoo++_1.2~rc1+dfsg-1_amd64.deb",
    "pool/main/bar_2:1.0-1_all.deb",
    "wheels/baz-1.0+local-py3-none-any.whl",
    "npm/@scope/package/-/package-1.0.0.tgz",
    "docs/a name with spaces & signs.html",
    "docs/Grüße.txt",
];

/// Writes a release under `folder`; the same bytes every time.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    for (name, size) in EDGES {
        artifact(folder, name, &noise(name, size))?;
    }
    for (name, size) in NAMES.into_iter().zip([90_000, 3_000, 700_000, 1_500_000, 900, 120]) {
        artifact(folder, name, &noise(name, size))?;
    }
    for number in 0..40_usize {
        let name = format!("releases/1.{}/tool-1.{}-{number:02}.tar.gz", number / 8, number / 8);
        let size = 2_000 + number * 17_389;
        artifact(folder, &name, &noise(&name, size))?;
    }
    artifact(folder, "README.txt", b"A sample tree, made by `odi demo`. Everything in it is noise.\n")
}

/// Writes packages of two versions each under `folder`. One of them is an artifact of the release too: relays keep it once.
pub(super) fn write_packages(folder: &Path) -> io::Result<()> {
    for number in 0..24_usize {
        for version in ["1.0-1", "1.1-1"] {
            let name = format!("pool/lib{number:02}/lib{number:02}_{version}_amd64.deb");
            artifact(folder, &name, &noise(&name, 40_000 + number * 31_013))?;
        }
    }
    artifact(folder, "pool/edge/two-chunks", &noise("edge/two-chunks", 524_288))
}

/// Writes the pages of a handbook under `folder`.
pub(super) fn write_handbook(folder: &Path) -> io::Result<()> {
    for chapter in 1..=12_usize {
        let name = format!("chapter-{chapter:02}.html");
        let sections: String =
            (1..=chapter * 6).map(|section| format!("<h2>{chapter}.{section}</h2><p>Noise.</p>\n")).collect();
        artifact(folder, &name, format!("<!doctype html><title>{name}</title>\n{sections}").as_bytes())?;
    }
    artifact(folder, "handbook.pdf", &noise("handbook.pdf", 1_234_567))
}

fn artifact(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)
}

/// Bytes that do not compress and do not repeat between names: BLAKE3's extended output, keyed by the name.
fn noise(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_the_same_every_time_and_no_two_artifacts_are_equal() {
        assert_eq!(noise("a", 100), noise("a", 100));
        assert_ne!(noise("a", 100), noise("b", 100));
    }
}
