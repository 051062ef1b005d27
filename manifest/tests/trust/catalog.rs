//! A catalog with its keys in hand: publishes, rotates and forges, for tests.

use std::collections::HashMap;
use std::time::Duration;

use odi_manifest::{
    Head, HeadBuilder, HeadId, NodeId, PublicKey, RootBuilder, SigningKey, Timestamp, TrustRoot, Unverified,
    Verified,
};

/// When everything in these tests happens.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

pub(crate) fn later(time: Timestamp, days: u64) -> Timestamp {
    time.plus(Duration::from_secs(days * 86_400))
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn publics(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| key(*seed).public_key()).collect()
}

#[derive(Clone)]
pub(crate) struct Catalog {
    pub(crate) trust: TrustRoot,
    pub(crate) root_keys: Vec<SigningKey>,
    /// Who signs the next head.
    pub(crate) release: Vec<SigningKey>,
    pub(crate) newest: Option<Unverified<Head>>,
    heads: HashMap<HeadId, Unverified<Head>>,
    by_seq: HashMap<u64, HeadId>,
}

impl Catalog {
    pub(crate) fn begin() -> Self {
        Self::begin_named("debian")
    }

    pub(crate) fn begin_named(name: &str) -> Self {
        let first = RootBuilder::first(name, NOW, later(NOW, 365))
            .root_keys(1, publics(&[1]))
            .release_keys(1, publics(&[2]))
            .build()
            .unwrap();
        let trust = TrustRoot::found(&first.signed_by(&key(1)).unwrap()).unwrap();
        Self {
            trust,
            root_keys: vec![key(1)],
            release: vec![key(2)],
            newest: None,
            heads: HashMap::new(),
            by_seq: HashMap::new(),
        }
    }

    pub(crate) fn publish(&mut self, tree: &str) -> Unverified<Head> {
        self.publish_with(tree, |head| head)
    }

    pub(crate) fn publish_with(
        &mut self,
        tree: &str,
        change: impl FnOnce(HeadBuilder) -> HeadBuilder,
    ) -> Unverified<Head> {
        let former = self.newest.as_ref().map(|head| odi_manifest::verify_named(head, &head.id()).unwrap());
        let mut builder = HeadBuilder::after(&self.trust, former.as_ref()).times(NOW, later(NOW, 30)).tree(
            NodeId::of(tree.as_bytes()),
            1,
            1,
        );
        if let Some(target) = builder.skip_to().filter(|target| *target > 0) {
            builder = builder.skip(self.by_seq[&target]);
        }
        let mut head = change(builder).build().unwrap();
        for release in &self.release {
            head.sign(release).unwrap();
        }
        self.by_seq.insert(head.claims().seq, head.id());
        self.keep(&head);
        self.newest = Some(head.clone());
        head
    }

    /// A head that no builder would make, signed all the same.
    pub(crate) fn forge(
        &mut self,
        like: &Unverified<Head>,
        change: impl FnOnce(&mut Head),
    ) -> Unverified<Head> {
        let mut forged = like.claims().clone();
        change(&mut forged);
        if odi_manifest::skip_target(forged.seq).is_none() {
            forged.skip = None;
        }
        let mut head = Unverified::draft(forged).unwrap();
        for release in &self.release {
            head.sign(release).unwrap();
        }
        self.keep(&head);
        head
    }

    pub(crate) fn keep(&mut self, head: &Unverified<Head>) {
        self.heads.insert(head.id(), head.clone());
    }

    pub(crate) fn head(&self, id: &HeadId) -> Option<&Unverified<Head>> {
        self.heads.get(id)
    }

    /// A head as one that was adopted earlier.
    pub(crate) fn verified(&self, head: &Unverified<Head>) -> Verified<Head> {
        odi_manifest::verify_named(head, &head.id()).unwrap()
    }

    pub(crate) fn rotate(&mut self, change: impl FnOnce(RootBuilder) -> RootBuilder) {
        let mut next = change(RootBuilder::after(self.trust.root(), NOW, later(NOW, 365))).build().unwrap();
        for root_key in &self.root_keys {
            next.sign(root_key).unwrap();
        }
        self.trust.rotate(&next).unwrap();
    }
}
