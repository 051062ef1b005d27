//! A catalog and its maintainers, and the origin that serves what they lay out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use odi_fixtures::{Script, ScriptedServer};
use odi_manifest::{
    ArtifactPath, BlobHasher, CatalogId, Entry, Floor, Head, HeadBuilder, HeadId, HeadMeta, MemoryNodes, Pin,
    PublicKey, Reason, RevId, Revocation, RevocationList, Revoked, RootBuilder, SigningKey, Timestamp, Tree,
    TrustRoot, Verified, Witness, encode_full,
};
use odi_wire::layout::LayoutPath;
use odi_wire::message::Push;

use crate::world::START;

/// Far enough ahead for every test that does not say otherwise.
const FAR: Timestamp = Timestamp(START.0 + (1 << 30));

type Files = BTreeMap<String, Vec<u8>>;

/// A catalog and its maintainers: signs states and lays them out as an origin does.
pub(crate) struct Publisher {
    key: SigningKey,
    pub(crate) trust: TrustRoot,
    pub(crate) id: CatalogId,
    newest: Option<Verified<Head>>,
    heads: BTreeMap<u64, HeadId>,
    origins: Vec<String>,
    revoked: Option<RevId>,
    /// What the next head voids.
    void: Option<HeadId>,
    pub(crate) title: Option<String>,
    /// When the next head is made and when it expires.
    pub(crate) times: (Timestamp, Timestamp),
    /// What the origin has, by target.
    files: Arc<Mutex<Files>>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self::under_a_root_until(FAR)
    }

    /// The same with a root of trust that expires.
    pub(crate) fn under_a_root_until(expires: Timestamp) -> Self {
        Self::under(|root| root, expires)
    }

    /// The same with witnesses, the directories with these seeds, and a quorum of them.
    pub(crate) fn witnessed_by(seeds: &[u8], quorum: u32) -> Self {
        let witnesses =
            seeds.iter().map(|seed| Witness { key: key_of(*seed), name: format!("witness {seed}") });
        Self::under(|root| root.witnesses(witnesses, Some(quorum)), FAR)
    }

    fn under(change: impl FnOnce(RootBuilder) -> RootBuilder, expires: Timestamp) -> Self {
        let key = SigningKey::from_seed(&[1; 32]);
        let root = change(RootBuilder::first("world", START, expires))
            .root_keys(1, [key.public_key()])
            .release_keys(1, [key.public_key()])
            .build()
            .unwrap()
            .signed_by(&key)
            .unwrap();
        let trust = TrustRoot::found(&root).unwrap();
        let id = *trust.catalog();
        let files = Arc::<Mutex<Files>>::default();
        files.lock().unwrap().insert("/.odi/roots/1".to_owned(), root.encode());
        Self {
            key,
            trust,
            id,
            newest: None,
            heads: BTreeMap::new(),
            origins: vec![],
            revoked: None,
            void: None,
            title: None,
            times: (START, FAR),
            files,
        }
    }

    /// Signs the next state and puts it on the origin, artifacts and all.
    pub(crate) fn publish(&mut self, artifacts: &[(&str, &[u8])]) -> Pin {
        let head = self.sign(artifacts);
        self.lay_out(artifacts);
        self.put(LayoutPath::Head, head.encode());
        head.pin()
    }

    /// Signs the next state without showing its head; returns it. Its tree lies on the origin.
    pub(crate) fn sign(&mut self, artifacts: &[(&str, &[u8])]) -> Verified<Head> {
        let mut sorted: Vec<(ArtifactPath, Entry)> = artifacts
            .iter()
            .map(|(path, bytes)| (ArtifactPath::parse(path).unwrap(), entry(bytes)))
            .collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut nodes = MemoryNodes::new();
        let tree = Tree::build(sorted, &mut nodes).unwrap();
        let mut builder = HeadBuilder::after(&self.trust, self.newest.as_ref())
            .times(self.times.0, self.times.1)
            .tree(tree.root, tree.entries, tree.bytes)
            .meta(HeadMeta { title: self.title.clone(), ..HeadMeta::default() })
            .origins(self.origins.clone());
        if let Some(list) = self.revoked {
            builder = builder.revocations(list);
        }
        if let Some(seq) = builder.skip_to() {
            builder = builder.skip(self.heads.get(&seq).copied().unwrap_or(Floor::NO_HEAD));
        }
        if let Some(divergent) = self.void.take() {
            builder = builder.void(divergent);
        }
        let head = builder.build().unwrap().signed_by(&self.key).unwrap();
        let head = self.trust.verify_head(&head).unwrap();
        self.heads.insert(head.seq, head.id());
        let mut full = Vec::new();
        encode_full(&tree, &nodes, |frame| full.extend_from_slice(frame)).unwrap();
        self.put(LayoutPath::Full(head.id()), full);
        self.put(LayoutPath::HeadAt(head.seq), head.encode());
        self.newest = Some(head.clone());
        head
    }

    /// The push of the first state, with the root; the head names where the rest is to be had.
    pub(crate) fn push_of_first(&mut self, artifacts: &[(&str, &[u8])], origin: &str) -> Vec<u8> {
        self.origins = vec![origin.to_owned()];
        self.lay_out(artifacts);
        let head = self.sign(artifacts).encode();
        let roots = vec![self.trust.roots()[0].encode()];
        Push { head, roots, ..Push::default() }.encode().unwrap()
    }

    /// The push of the newest state, root and all; the head names where the rest is to be had.
    pub(crate) fn push_of_newest(&self) -> Vec<u8> {
        let head = self.newest().encode();
        Push { head, roots: vec![self.trust.roots()[0].encode()], ..Push::default() }.encode().unwrap()
    }

    /// Somebody with the same keys and the same past, and an origin of their own.
    pub(crate) fn fork(&self) -> Self {
        let files = self.files.lock().unwrap().clone();
        Self {
            key: self.key.clone(),
            trust: self.trust.clone(),
            newest: self.newest.clone(),
            heads: self.heads.clone(),
            origins: self.origins.clone(),
            title: self.title.clone(),
            files: Arc::new(Mutex::new(files)),
            ..*self
        }
    }

    /// Has the next head void a divergent one.
    pub(crate) const fn void(&mut self, divergent: HeadId) {
        self.void = Some(divergent);
    }

    fn lay_out(&self, artifacts: &[(&str, &[u8])]) {
        for (path, bytes) in artifacts {
            self.files.lock().unwrap().insert(format!("/{path}"), bytes.to_vec());
            let mut hasher = BlobHasher::new();
            hasher.update(bytes);
            let hashed = hasher.finalize();
            if let Some(list) = hashed.chunks {
                self.put(LayoutPath::Chunks(hashed.blob), list.to_bytes());
            }
        }
    }

    pub(crate) fn put(&self, item: LayoutPath, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(format!("/.odi/{item}"), bytes);
    }

    /// Opens an epoch that goes on from `floor` with the number `next`, and voids every state after it.
    pub(crate) fn open_epoch(&mut self, floor: &Verified<Head>, next: u64) {
        let root = RootBuilder::after(self.trust.root(), START, FAR)
            .new_epoch(Floor { seq: floor.seq, head: floor.id(), next })
            .build()
            .unwrap()
            .signed_by(&self.key)
            .unwrap();
        self.trust.rotate(&root).unwrap();
        self.put(LayoutPath::Root(2), root.encode());
    }

    /// Takes something back with the next state.
    pub(crate) fn revoke(&mut self, what: Vec<Revoked>) {
        let mut list = RevocationList::default();
        for what in what {
            list.insert(Revocation { what, reason: Reason::COMPROMISED, since: 2 });
        }
        self.put(LayoutPath::Revocations(list.id()), list.encode());
        self.revoked = Some(list.id());
    }

    /// Puts other bytes at a path of the origin than were signed.
    pub(crate) fn tamper(&self, target: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(target.to_owned(), bytes.to_vec());
    }

    pub(crate) fn newest(&self) -> &Verified<Head> {
        self.newest.as_ref().unwrap()
    }

    /// A web server of the origin's files, with ranges.
    pub(crate) async fn serve(&self) -> ScriptedServer {
        let files = Arc::clone(&self.files);
        ScriptedServer::start(move |seen| {
            let files = files.lock().unwrap();
            files.get(&seen.target).map_or_else(Script::absent, |file| Script::respond(seen, file))
        })
        .await
        .unwrap()
    }
}

/// The key of the directory, or relay, that was made from a seed.
pub(crate) fn key_of(seed: u8) -> PublicKey {
    SigningKey::from_seed(&[seed; 32]).public_key()
}

pub(crate) fn entry(bytes: &[u8]) -> Entry {
    let mut hasher = BlobHasher::new();
    hasher.update(bytes);
    let hashed = hasher.finalize();
    Entry { size: hashed.size, blob: hashed.blob, sha256: hashed.sha256, mtime: 1_700_000_000, ext: None }
}

/// Bytes of an artifact too large to be carried, different for each `seed`.
pub(crate) fn large(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; 300_000];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}
