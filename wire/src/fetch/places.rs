//! The URLs under which origins, directories and relays have a blob or its chunk list.

use odi_manifest::{ArtifactPath, BlobId, CatalogId};
use url::Url;

use super::Source;
use crate::layout::{LayoutPath, ORIGIN_FOLDER, api_base};

impl Source {
    /// An artifact at an origin. `tree` is the URL of the published tree; it counts as a folder whether or not it
    /// ends with a slash.
    #[must_use]
    pub fn artifact(tree: &Url, path: &ArtifactPath) -> Self {
        Self::origin(under(tree, path.segments()))
    }

    /// The bytes that an origin keeps of an artifact that has been replaced or may soon be.
    #[must_use]
    pub fn kept_blob(tree: &Url, blob: &BlobId) -> Self {
        Self::origin(layout_at(tree, ORIGIN_FOLDER, LayoutPath::Blob(*blob)))
    }

    /// A chunk list at an origin.
    #[must_use]
    pub fn origin_chunk_list(tree: &Url, blob: &BlobId) -> Self {
        Self::origin(layout_at(tree, ORIGIN_FOLDER, LayoutPath::Chunks(*blob)))
    }

    /// A blob by content at a relay, or at a directory that carries it.
    #[must_use]
    pub fn by_content(daemon: &Url, blob: &BlobId) -> Self {
        Self::peer(under(daemon, ["blake3", &blob.to_string()]))
    }

    /// A chunk list at a relay that has the blob, or at a directory, which gets it for those who say the blob's size.
    #[must_use]
    pub fn chunk_list(daemon: &Url, catalog: &CatalogId, blob: &BlobId, size: u64) -> Self {
        let mut url = layout_at(daemon, &api_base(catalog), LayoutPath::Chunks(*blob));
        url.set_query(Some(&format!("size={size}")));
        Self::peer(url)
    }
}

/// The URL of an item of the layout, `folder` below `base`.
pub(crate) fn layout_at(base: &Url, folder: &str, item: LayoutPath) -> Url {
    let item = item.to_string();
    under(base, folder.trim_matches('/').split('/').chain(item.split('/')))
}

/// A URL below another, segment by segment, each percent-encoded. Query and fragment of the base do not carry over.
fn under<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_segment_by_segment() {
        let path = ArtifactPath::parse("pool/a b/@scope%2f+#?\u{e9}.deb").unwrap();
        for base in ["http://h/debian", "http://h/debian/", "http://h/debian/?q#f"] {
            let source = Source::artifact(&Url::parse(base).unwrap(), &path);
            assert_eq!(source.url.as_str(), "http://h/debian/pool/a%20b/@scope%252f+%23%3F%C3%A9.deb");
        }
    }

    #[test]
    fn the_layout_lies_where_each_party_has_it() {
        let (blob, catalog) = (BlobId::of(b"x"), CatalogId::of(b"root"));
        let base = Url::parse("https://h/").unwrap();
        let hex = blob.to_string();
        let shard = &hex[..2];
        assert_eq!(Source::kept_blob(&base, &blob).url.path(), format!("/.odi/blobs/{shard}/{hex}"));
        assert_eq!(Source::by_content(&base, &blob).url.path(), format!("/blake3/{hex}"));
        assert_eq!(
            Source::chunk_list(&base, &catalog, &blob, 300_000).url.as_str(),
            format!("https://h/odi/v1/catalogs/{catalog}/chunks/{shard}/{hex}?size=300000")
        );
    }
}
