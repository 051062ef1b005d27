//! The artifacts of the self-test: bytes that follow from a secret, so that none are stored and any part can be made
//! again. They are never read from a disk; the tree over them is what they hash to.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use odi_manifest::{ArtifactPath, BlobHasher, CHUNK_BYTES, ChunkList, Entry};
use odi_wire::serve::BodyError;

/// What every artifact says of its last change: 2026-01-01.
const MTIME: u64 = 1_767_225_600;

/// Around every size at which a relay changes how it stores and serves; ascending by path.
const PATHS: [&str; 7] =
    [INDEX, "sizes/0", "sizes/1", "sizes/262143", "sizes/262144", "sizes/262145", LARGEST];

/// A page that would run a script, were it not served as it should be.
pub(crate) const INDEX: &str = "page/index.html";
/// Several chunks and a byte, for ranges and for the rate.
pub(crate) const LARGEST: &str = "sizes/8388609";

/// One artifact.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    pub(crate) path: ArtifactPath,
    pub(crate) entry: Entry,
    pub(crate) chunks: Option<ChunkList>,
    maker: Maker,
}

/// How an artifact's bytes are made.
#[derive(Clone, Debug)]
enum Maker {
    /// Noise, from anywhere in it.
    Noise(Box<blake3::Hasher>),
    /// These.
    Text(Bytes),
}

/// Makes every artifact once, for its hashes. Costs about 9 MiB of hashing.
pub(crate) fn artifacts(seed: &[u8; 32]) -> Vec<Artifact> {
    PATHS.iter().map(|path| Artifact::new(seed, path)).collect()
}

impl Artifact {
    fn new(seed: &[u8; 32], path: &str) -> Self {
        let mut noise = blake3::Hasher::new_keyed(seed);
        noise.update(path.as_bytes());
        let (maker, size) = match path.strip_prefix("sizes/").and_then(|size| size.parse().ok()) {
            Some(size) => (Maker::Noise(Box::new(noise)), size),
            None => {
                let text = page(&noise.finalize().to_hex());
                let size = text.len() as u64;
                (Maker::Text(text), size)
            }
        };
        let mut hasher = BlobHasher::new();
        for piece in pieces(0..size) {
            hasher.update(&maker.bytes(piece));
        }
        let hashed = hasher.finalize();
        Self {
            path: ArtifactPath::parse(path).expect("the paths above are such as manifests hold"),
            entry: Entry { size, blob: hashed.blob, sha256: hashed.sha256, mtime: MTIME, ext: None },
            chunks: hashed.chunks,
            maker,
        }
    }

    /// Some of its bytes.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Bytes {
        self.maker.bytes(range.start..range.end.min(self.entry.size))
    }

    /// Some of its bytes, made as they are taken.
    pub(crate) fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let maker = self.maker.clone();
        stream::iter(pieces(range).map(move |piece| Ok(maker.bytes(piece)))).boxed()
    }
}

impl Maker {
    fn bytes(&self, range: Range<u64>) -> Bytes {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        match self {
            Self::Noise(noise) => {
                let mut bytes = vec![0; length];
                let mut reader = noise.finalize_xof();
                reader.set_position(range.start);
                reader.fill(&mut bytes);
                bytes.into()
            }
            Self::Text(text) => {
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(text.len());
                text.slice(start..start.saturating_add(length).min(text.len()))
            }
        }
    }
}

/// A range cut into pieces that are made at once.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send + 'static {
    let end = range.end;
    (range.start..end)
        .step_by(usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX))
        .map(move |start| start..end.min(start + CHUNK_BYTES))
}

fn page(mark: &str) -> Bytes {
    format!(
        "<!doctype html>\n<title>ODI self-test</title>\n<p>A relay must not let this page run: {mark}</p>\n\
         <script>document.title = \"it ran\"</script>\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use odi_manifest::BlobId;

    use super::*;

    #[test]
    fn any_part_is_what_the_whole_has_there() {
        for artifact in artifacts(&[7; 32]) {
            let size = artifact.entry.size;
            let whole = artifact.bytes(0..size);
            assert_eq!(whole.len() as u64, size, "{}", artifact.path.as_str());
            assert_eq!(BlobId::of(&whole), artifact.entry.blob);
            for range in
                [0..size.min(3), size / 2..size.min(size / 2 + 100_000), size.saturating_sub(1)..size]
            {
                let (from, to) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
                assert_eq!(artifact.bytes(range), whole[from..to]);
            }
            assert_eq!(artifact.chunks.is_some(), size > CHUNK_BYTES);
        }
    }

    #[test]
    fn another_directory_has_other_bytes() {
        let (one, other) = (artifacts(&[1; 32]), artifacts(&[2; 32]));
        assert!(
            one.iter()
                .zip(&other)
                .filter(|(a, _)| a.entry.size > 0)
                .all(|(a, b)| a.entry.blob != b.entry.blob)
        );
        assert!(one.is_sorted_by(|a, b| a.path < b.path));
        let bytes: u64 = one.iter().map(|artifact| artifact.entry.size).sum();
        assert!(bytes <= odi_wire::selftest::SELFTEST_BYTES_MAX);
    }
}
