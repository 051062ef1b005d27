//! A catalog of many paths, as its origin has it: only what a directory follows is there, for nobody is sent to the origin.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use odi_manifest::{
    ArtifactPath, BlobId, CatalogId, Clock, Entry, HeadBuilder, HeadId, MemoryNodes, RootBuilder, Sha256,
    SigningKey, SystemClock, Tree, TrustRoot, encode_full,
};
use odi_wire::layout::LayoutPath;

/// So many contents are behind the paths, each as large as the least that a directory does not carry itself.
pub(super) const CONTENTS: u64 = 16_384;
const CONTENT_BYTES: usize = 65_537;
/// How long the catalog holds.
const LIFE: Duration = Duration::from_secs(86_400);

/// The catalog.
pub(super) struct Catalog {
    pub(super) id: CatalogId,
    pub(super) head: HeadId,
    pub(super) paths: u64,
    /// By the content's number.
    digests: Vec<(BlobId, Sha256)>,
}

impl Catalog {
    /// Signs it and writes it for an origin.
    pub(super) fn write(origin: &Path, paths: u64) -> Result<Self> {
        let digests = (0..CONTENTS).map(|number| {
            let bytes = content(number);
            (BlobId::of(&bytes), Sha256::of(&bytes))
        });
        let digests: Vec<(BlobId, Sha256)> = digests.collect();
        let now = SystemClock.now();
        let mut nodes = MemoryNodes::new();
        let entry = |number: u64| {
            let at = usize::try_from(number % CONTENTS).unwrap_or(0);
            let (blob, sha256) = digests.get(at).copied().context("each content has its digests")?;
            let entry = Entry { size: CONTENT_BYTES as u64, blob, sha256, mtime: now.0, ext: None };
            Ok((ArtifactPath::parse(&path(number))?, entry))
        };
        let entries = (0..paths).map(entry).collect::<Result<Vec<_>>>()?;
        let tree = Tree::build(entries, &mut nodes).context("build the tree")?;
        let key = SigningKey::from_seed(&[17; 32]);
        let root = RootBuilder::first("bench", now, now.plus(LIFE))
            .root_keys(1, [key.public_key()])
            .release_keys(1, [key.public_key()])
            .build()?
            .signed_by(&key)?;
        let trust = TrustRoot::found(&root)?;
        let head = HeadBuilder::after(&trust, None)
            .times(now, now.plus(LIFE))
            .tree(tree.root, tree.entries, tree.bytes)
            .build()?
            .signed_by(&key)?;
        let id = head.id();
        let write = |item: LayoutPath, bytes: &[u8]| {
            let file = origin.join(".odi").join(item.to_string());
            let folder = file.parent().context("every item is in a folder")?;
            fs::create_dir_all(folder)?;
            fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))
        };
        write(LayoutPath::Root(1), &root.encode())?;
        write(LayoutPath::HeadAt(1), &head.encode())?;
        write(LayoutPath::Full(id), &[])?;
        let mut full = fs::File::create(origin.join(".odi").join(LayoutPath::Full(id).to_string()))?;
        let mut written = Ok(());
        encode_full(&tree, &nodes, |bytes| {
            if written.is_ok() {
                written = full.write_all(bytes);
            }
        })?;
        written.context("write the whole manifest")?;
        write(LayoutPath::Head, &head.encode())?;
        Ok(Self { id: *trust.catalog(), head: id, paths, digests })
    }

    /// What a path below the pin names, if it is one of the catalog's.
    pub(super) fn at(&self, path: &str) -> Option<(Entry, Bytes)> {
        let number: u64 = path.rsplit_once('-')?.1.strip_suffix(".deb")?.parse().ok()?;
        let number = number % CONTENTS;
        let (blob, sha256) = self.digests.get(usize::try_from(number).ok()?).copied()?;
        Some((Entry { size: CONTENT_BYTES as u64, blob, sha256, mtime: 0, ext: None }, content(number)))
    }
}

/// The path of a number; paths ascend with it.
pub(super) fn path(number: u64) -> String {
    format!(
        "pool/main/{:03}/package{:05}/package{:05}-{number:08}.deb",
        number / 10_000,
        number / 50,
        number / 50
    )
}

/// Bytes that no other content has.
fn content(number: u64) -> Bytes {
    let mut bytes = vec![0; CONTENT_BYTES];
    let mut noise = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    noise.fill(&mut bytes);
    bytes.into()
}
