//! The catalogs, and what clients want of them: few artifacts often, most hardly ever.

use odi_directoryd::placement::Offer;
use odi_manifest::{BlobId, CatalogId};

use super::chance::Chance;

/// Of all artifacts, and all bytes, in thousandths: a few huge catalogs, some of middle size, and small ones.
const SHARES: [(&str, u64, u64); 12] = [
    ("debian", 250, 60),
    ("ubuntu", 200, 110),
    ("fedora", 150, 130),
    ("pypi", 180, 380),
    ("maven", 140, 160),
    ("cran", 30, 20),
    ("images", 2, 100),
    ("jenkins", 8, 10),
    ("apache", 10, 20),
    ("kernel", 10, 8),
    ("eclipse", 15, 1),
    ("tools", 5, 1),
];
/// The mean of all artifacts.
const ARTIFACT_BYTES: u64 = 40_000_000;
/// How far sizes lie apart: the deviation of their logarithm.
const SPREAD: f64 = 1.5;
/// The largest that is asked for; of the most wanted thousand, a tenth of that.
const LARGEST: f64 = 20e9;
const WANTED: u64 = 1000;

/// Something that a client wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Artifact {
    pub(super) catalog: usize,
    pub(super) blob: BlobId,
    pub(super) size: u64,
}

/// All catalogs.
#[derive(Clone, Debug)]
pub(super) struct Catalogs {
    pub(super) offers: Vec<Offer>,
    artifacts: u64,
    /// The mean size in each.
    means: Vec<f64>,
    /// Of 1000 artifacts, those of this catalog and the ones before it.
    up_to: Vec<u64>,
}

impl Catalogs {
    #[expect(clippy::cast_precision_loss, reason = "sizes are made up")]
    pub(super) fn new(artifacts: u64) -> Self {
        let total = u128::from(artifacts) * u128::from(ARTIFACT_BYTES);
        let bytes = |share: u64| u64::try_from(total * u128::from(share) / 1000).unwrap_or(u64::MAX);
        let offer = |(n, (name, _, share)): (u8, &(&str, u64, u64))| Offer {
            id: CatalogId::from_bytes([n; 32]),
            name: (*name).to_owned(),
            tags: Vec::new(),
            bytes: bytes(*share),
        };
        let mut sum = 0;
        let up_to = SHARES.iter().map(|(_, count, _)| {
            sum += count;
            sum
        });
        let mean =
            |(_, count, share): &(&str, u64, u64)| ARTIFACT_BYTES as f64 * *share as f64 / *count as f64;
        Self {
            up_to: up_to.collect(),
            offers: (1..).zip(&SHARES).map(offer).collect(),
            artifacts,
            means: SHARES.iter().map(mean).collect(),
        }
    }

    /// What the next client wants: the n-th most wanted artifact n times less often than the first (Zipf).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 1 and the number of artifacts"
    )]
    pub(super) fn wanted(&self, chance: &mut Chance) -> Artifact {
        self.artifact((self.artifacts as f64).powf(chance.part()) as u64)
    }

    /// The artifact of a rank; all about it follows from that.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size between 1 and 20 GB")]
    pub(super) fn artifact(&self, rank: u64) -> Artifact {
        let blob = BlobId::of(&rank.to_le_bytes());
        let mut own = Chance::new(rank, "artifact");
        let thousandth = own.below(1000);
        let catalog = self.up_to.iter().position(|up_to| thousandth < *up_to).unwrap_or(0);
        // The sum of twelve uniform numbers is as good as normal.
        let normal: f64 = (0..12).map(|_| own.part()).sum::<f64>() - 6.0;
        let mean = self.means.get(catalog).copied().unwrap_or(1.0);
        let size = mean * (SPREAD * normal - SPREAD * SPREAD / 2.0).exp();
        let largest = if rank <= WANTED { LARGEST / 10.0 } else { LARGEST };
        Artifact { catalog, blob, size: size.clamp(1.0, largest) as u64 }
    }
}
