//! What a file is, from a fixed table by its extension.
//!
//! A catalog cannot name a type that is not in the table, so nobody makes a volunteer's host serve their page.

use std::fmt;

/// A media type of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MediaType(&'static Row);

#[derive(PartialEq, Eq)]
struct Row {
    name: &'static str,
    shown: Shown,
    extensions: &'static [&'static str],
}

/// What a browser may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Shown in place: cannot carry a script.
    Inline,
    /// Nothing that a browser opens; programs read it.
    Data,
    /// Can act on behalf of the host that serves it: only ever saved.
    Saved,
}

use Shown::{Data, Inline, Saved};

const fn row(name: &'static str, shown: Shown, extensions: &'static [&'static str]) -> Row {
    Row { name, shown, extensions }
}

const OCTETS: &Row = &row("application/octet-stream", Data, &[]);

/// Files without any known extension are octets; compressed files are named for their compression, and never
/// carry a Content-Encoding.
static TABLE: [Row; 38] = [
    row(
        "text/plain; charset=utf-8",
        Inline,
        &[
            "txt", "text", "log", "md", "rst", "asc", "sig", "changes", "dsc", "conf", "list", "sha256",
            "sha512", "b3", "sums", "diff", "patch",
        ],
    ),
    row("text/csv; charset=utf-8", Inline, &["csv"]),
    row("image/png", Inline, &["png"]),
    row("image/jpeg", Inline, &["jpg", "jpeg"]),
    row("image/gif", Inline, &["gif"]),
    row("image/webp", Inline, &["webp"]),
    row("application/json", Data, &["json"]),
    // Only by a catalog's own rule: what pip asks for, and what container tools do.
    row("application/vnd.pypi.simple.v1+json", Data, &[]),
    row("application/vnd.oci.image.index.v1+json", Data, &[]),
    row("application/vnd.oci.image.manifest.v1+json", Data, &[]),
    row("application/vnd.docker.distribution.manifest.v2+json", Data, &[]),
    row("application/gzip", Data, &["gz", "tgz", "taz"]),
    row("application/x-xz", Data, &["xz", "txz"]),
    row("application/x-bzip2", Data, &["bz2", "tbz", "tbz2"]),
    row("application/zstd", Data, &["zst", "tzst"]),
    row("application/x-lzma", Data, &["lzma"]),
    row("application/x-tar", Data, &["tar", "crate", "gem"]),
    row("application/zip", Data, &["zip", "whl", "egg"]),
    row("application/java-archive", Data, &["jar", "war", "hpi", "jpi"]),
    row("application/x-7z-compressed", Data, &["7z"]),
    row("application/vnd.debian.binary-package", Data, &["deb", "udeb", "ddeb"]),
    row("application/x-rpm", Data, &["rpm", "drpm"]),
    row("application/vnd.android.package-archive", Data, &["apk"]),
    row("application/x-iso9660-image", Data, &["iso"]),
    row("application/x-apple-diskimage", Data, &["dmg"]),
    row("application/pgp-keys", Data, &["gpg", "pgp", "key"]),
    row("application/wasm", Data, &["wasm"]),
    row("application/toml", Data, &["toml"]),
    row("application/yaml", Data, &["yaml", "yml"]),
    row("font/woff2", Data, &["woff2"]),
    row("audio/ogg", Data, &["ogg", "opus"]),
    row("video/webm", Data, &["webm"]),
    row("text/html; charset=utf-8", Saved, &["html", "htm"]),
    row("text/css; charset=utf-8", Saved, &["css"]),
    row("text/javascript; charset=utf-8", Saved, &["js", "mjs"]),
    row("image/svg+xml", Saved, &["svg", "svgz"]),
    row("application/xml", Saved, &["xml", "xhtml", "xsl", "rdf", "atom"]),
    row("application/pdf", Saved, &["pdf"]),
];

impl MediaType {
    /// What nothing better is known of.
    pub const OCTETS: Self = Self(OCTETS);

    /// The type of the file at this path, by the last extension of its name.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').and_then(|(_, extension)| Self::of_extension(extension)).unwrap_or(Self::OCTETS)
    }

    fn of_extension(extension: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
            .map(Self)
    }

    /// The type by its name, without parameters, if the table has it: what a catalog's settings may choose from.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().chain([OCTETS]).find(|row| row.name.split(';').next() == Some(name)).map(Self)
    }

    /// As `Content-Type` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// Whether a browser that opened it would run what it says, so that it must be saved instead.
    #[must_use]
    pub fn is_active(self) -> bool {
        self.0.shown == Saved
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn by_the_last_extension_of_the_name() {
        for (path, expected) in [
            ("pool/a.deb", "application/vnd.debian.binary-package"),
            ("a.tar.gz", "application/gzip"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("dists/x/InRelease", "application/octet-stream"),
            ("v1.0/README", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(MediaType::of_path(path).as_str(), expected, "{path}");
        }
    }

    #[test]
    fn the_table_means_one_thing_and_offers_nothing_active_inline() {
        let mut extensions = BTreeSet::new();
        for row in &TABLE {
            assert!(row.extensions.iter().all(|extension| extensions.insert(*extension)), "{}", row.name);
            let acts =
                ["html", "svg", "xml", "javascript", "pdf", "css"].iter().any(|word| row.name.contains(word));
            assert_eq!(acts, row.shown == Saved, "{}", row.name);
        }
        assert_eq!(MediaType::named("text/html").map(MediaType::is_active), Some(true));
        assert_eq!(MediaType::named("text/event-stream"), None);
    }
}
