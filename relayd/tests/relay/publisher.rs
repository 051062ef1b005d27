//! A maintainer in memory: signs states of a small catalog and writes the files that an origin would serve.

use std::collections::BTreeMap;

use odi_manifest::{
    ArtifactPath, BlobHasher, CatalogId, DiffHeader, Entry, Floor, Head, HeadBuilder, HeadId, MemoryNodes,
    Op, Pin, Revocation, RevocationList, RootBuilder, SigningKey, Timestamp, Tree, TrustRoot, Unverified,
    Verified, encode_diff, encode_full,
};
use odi_wire::layout::{LayoutPath, ORIGIN_FOLDER};
use odi_wire::message::{CatalogInventory, IdRanges};

pub(crate) struct Publisher {
    key: SigningKey,
    trust: TrustRoot,
    nodes: MemoryNodes,
    newest: Option<(Verified<Head>, Tree)>,
    content: BTreeMap<String, Vec<u8>>,
    revocations: RevocationList,
    now: Timestamp,
    origins: Vec<String>,
    /// Everything an origin would have, below the tree's URL.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Far enough ahead for every test.
const EXPIRES: Timestamp = Timestamp(4_000_000_000);

impl Publisher {
    pub(crate) fn new(name: &str, now: Timestamp, origins: Vec<String>) -> Self {
        let key = SigningKey::from_seed(blake3::hash(name.as_bytes()).as_bytes());
        let root = RootBuilder::first(name, now, EXPIRES)
            .root_keys(1, [key.public_key()])
            .release_keys(1, [key.public_key()])
            .build()
            .unwrap()
            .signed_by(&key)
            .unwrap();
        let trust = TrustRoot::found(&root).unwrap();
        let mut files = BTreeMap::new();
        files.insert(format!("{ORIGIN_FOLDER}{}", LayoutPath::Root(1)), root.encode());
        Self {
            key,
            trust,
            nodes: MemoryNodes::new(),
            newest: None,
            content: BTreeMap::new(),
            revocations: RevocationList::default(),
            now,
            origins,
            files,
        }
    }

    pub(crate) fn id(&self) -> CatalogId {
        *self.trust.catalog()
    }

    /// What a relay says that fills all of the newest head and holds what is in `ranges`.
    pub(crate) fn claim(&self, ranges: IdRanges) -> CatalogInventory {
        let head = self.head().id();
        CatalogInventory {
            cat: self.id(),
            served: vec![head],
            full: Some(head),
            fills: IdRanges::all(),
            ranges,
            plus: Vec::new(),
            minus: Vec::new(),
            sent: None,
        }
    }

    pub(crate) fn head(&self) -> &Verified<Head> {
        &self.newest.as_ref().unwrap().0
    }

    pub(crate) fn pin(&self) -> Pin {
        self.head().pin()
    }

    pub(crate) fn tree(&self) -> Tree {
        self.newest.as_ref().unwrap().1
    }

    /// Publishes a state in which these paths have these bytes; `None` removes a path.
    pub(crate) fn publish(&mut self, changes: &[(&str, Option<&[u8]>)]) -> Pin {
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => self.content.insert((*path).to_owned(), bytes.to_vec()),
                None => self.content.remove(*path),
            };
        }
        let mut artifacts = Vec::new();
        for (path, bytes) in &self.content.clone() {
            let entry = self.keep(bytes);
            artifacts.push((ArtifactPath::parse(path).unwrap(), entry));
        }
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => self.files.insert((*path).to_owned(), bytes.to_vec()),
                None => self.files.remove(*path),
            };
        }
        let tree = Tree::build(artifacts, &mut self.nodes).unwrap();
        self.sign(tree)
    }

    /// Publishes a state that takes something back.
    pub(crate) fn revoke(&mut self, revocation: Revocation) -> Pin {
        self.revocations.insert(revocation);
        let name = LayoutPath::Revocations(self.revocations.id());
        self.files.insert(format!("{ORIGIN_FOLDER}{name}"), self.revocations.encode());
        let tree = self.tree();
        self.sign(tree)
    }

    /// What is newest now, for [`fall_back`](Self::fall_back).
    pub(crate) fn snapshot(&self) -> (Verified<Head>, Tree) {
        self.newest.clone().unwrap()
    }

    /// Opens an epoch that goes on from `floor` with the number `next`, and voids every state after it.
    pub(crate) fn fall_back(&mut self, floor: (Verified<Head>, Tree), next: u64) {
        let epoch = Floor { seq: floor.0.seq, head: floor.0.id(), next };
        let root = RootBuilder::after(self.trust.root(), self.now, EXPIRES).new_epoch(epoch);
        let root = root.build().unwrap().signed_by(&self.key).unwrap();
        self.trust.rotate(&root).unwrap();
        self.put(LayoutPath::Root(root.claims().version), root.encode());
        self.put(LayoutPath::Head, floor.0.encode());
        self.newest = Some(floor);
    }

    fn keep(&mut self, bytes: &[u8]) -> Entry {
        let mut hasher = BlobHasher::new();
        hasher.update(bytes);
        let hashed = hasher.finalize();
        if let Some(chunks) = &hashed.chunks {
            self.put(LayoutPath::Chunks(hashed.blob), chunks.to_bytes());
        }
        self.put(LayoutPath::Blob(hashed.blob), bytes.to_vec());
        Entry {
            size: hashed.size,
            blob: hashed.blob,
            sha256: hashed.sha256,
            mtime: 1_700_000_000 + bytes.len() as u64,
            ext: None,
        }
    }

    fn sign(&mut self, tree: Tree) -> Pin {
        let former = self.newest.take();
        self.now = Timestamp(self.now.0 + 1);
        let mut builder = HeadBuilder::after(&self.trust, former.as_ref().map(|(head, _)| head))
            .times(self.now, EXPIRES)
            .tree(tree.root, tree.entries, tree.bytes)
            .origins(self.origins.clone());
        if self.revocations.iter().next().is_some() {
            builder = builder.revocations(self.revocations.id());
        }
        if let Some(ancestor) = builder.skip_to() {
            builder = builder.skip(self.head_id(ancestor));
        }
        let head = builder.build().unwrap().signed_by(&self.key).unwrap();
        let head = self.trust.verify_head(&head).unwrap();
        let mut full = Vec::new();
        encode_full(&tree, &self.nodes, |bytes| full.extend_from_slice(bytes)).unwrap();
        self.put(LayoutPath::Full(head.id()), full);
        if let Some((former, former_tree)) = &former {
            let ops: Vec<Op> = Tree::diff(&self.nodes, former_tree, &tree).collect::<Result<_, _>>().unwrap();
            let header = DiffHeader { cat: self.id(), from: former.id(), to: head.id(), n: ops.len() as u64 };
            self.put(LayoutPath::Diff { from: former.id(), to: head.id() }, encode_diff(&header, &ops));
        }
        self.put(LayoutPath::HeadAt(head.seq), head.encode());
        self.put(LayoutPath::Head, head.encode());
        let pin = head.pin();
        self.newest = Some((head, tree));
        pin
    }

    fn head_id(&self, seq: u64) -> HeadId {
        let envelope = &self.files[&format!("{ORIGIN_FOLDER}{}", LayoutPath::HeadAt(seq))];
        Unverified::<Head>::decode(envelope).unwrap().id()
    }

    fn put(&mut self, item: LayoutPath, bytes: Vec<u8>) {
        self.files.insert(format!("{ORIGIN_FOLDER}{item}"), bytes);
    }
}
