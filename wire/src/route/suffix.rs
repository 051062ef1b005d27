//! Names that are made from an artifact's own: its digests and its mirrors.

use odi_manifest::ArtifactPath;

/// A document about an artifact, under the artifact's name and one more extension. An entry of the catalog with
/// that very name always wins; only the holder of the catalog knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suffix {
    /// `.sha256`: what `sha256sum` prints.
    Sha256,
    /// `.b3`: what `b3sum` prints.
    B3,
    /// `.meta4`: a Metalink 4 document (RFC 5854).
    Meta4,
    /// `.metalink`: a Metalink 3 document, which is what dnf reads.
    Metalink,
    /// `.mirrorlist`: a list of URLs.
    Mirrorlist,
}

impl Suffix {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sha256, Self::B3, Self::Meta4, Self::Metalink, Self::Mirrorlist];

    /// The suffix with its dot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => ".sha256",
            Self::B3 => ".b3",
            Self::Meta4 => ".meta4",
            Self::Metalink => ".metalink",
            Self::Mirrorlist => ".mirrorlist",
        }
    }

    /// `Content-Type` of such a document.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Sha256 | Self::B3 | Self::Mirrorlist => "text/plain; charset=utf-8",
            Self::Meta4 => "application/metalink4+xml",
            Self::Metalink => "application/metalink+xml",
        }
    }

    /// The artifact that a path would be a document about.
    #[must_use]
    pub fn split(path: &ArtifactPath) -> Option<(ArtifactPath, Self)> {
        Self::ALL.into_iter().find_map(|suffix| {
            let base = path.as_str().strip_suffix(suffix.as_str())?;
            Some((ArtifactPath::parse(base).ok()?, suffix))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_one_known_suffix_off_a_name() {
        let split = |path: &str| Suffix::split(&ArtifactPath::parse(path).unwrap());
        assert_eq!(split("a/b.deb.b3"), Some((ArtifactPath::parse("a/b.deb").unwrap(), Suffix::B3)));
        assert_eq!(split("x.meta4.sha256").unwrap().0.as_str(), "x.meta4");
        assert_eq!(split("a/.sha256"), None, "no artifact has an empty name");
        assert_eq!(split("a.md5"), None);
    }
}
