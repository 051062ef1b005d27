//! A catalog with its keys in hand, and a follower that judges and adopts as daemons do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{
    Adoption, Ancestors, CatalogId, Floor, Head, HeadBuilder, HeadId, NodeId, Root, RootBuilder, SigningKey,
    Timestamp, TrustRoot, Unverified, judge, verify_named,
};
use odi_store::{CatalogTrust, Ledger, LedgerError};

pub const NOW: Timestamp = Timestamp(1_800_000_000);

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn expires() -> Timestamp {
    NOW.plus(Duration::from_secs(86_400))
}

#[derive(Clone)]
pub struct Catalog {
    pub trust: TrustRoot,
    pub roots: Vec<Unverified<Root>>,
    pub release: SigningKey,
    pub newest: Option<Unverified<Head>>,
    heads: HashMap<HeadId, Unverified<Head>>,
    by_seq: HashMap<u64, HeadId>,
}

impl Catalog {
    pub fn begin() -> Self {
        let first = RootBuilder::first("debian", NOW, expires())
            .root_keys(1, [key(1).public_key()])
            .release_keys(1, [key(2).public_key()])
            .build()
            .unwrap()
            .signed_by(&key(1))
            .unwrap();
        Self {
            trust: TrustRoot::found(&first).unwrap(),
            roots: vec![first],
            release: key(2),
            newest: None,
            heads: HashMap::new(),
            by_seq: HashMap::new(),
        }
    }

    pub fn id(&self) -> CatalogId {
        *self.trust.catalog()
    }

    pub fn publish(&mut self, tree: &str) -> Unverified<Head> {
        self.publish_with(tree, |head| head)
    }

    pub fn publish_with(
        &mut self,
        tree: &str,
        change: impl FnOnce(HeadBuilder) -> HeadBuilder,
    ) -> Unverified<Head> {
        let former = self.newest.as_ref().map(|head| verify_named(head, &head.id()).unwrap());
        let mut builder = HeadBuilder::after(&self.trust, former.as_ref()).times(NOW, expires()).tree(
            NodeId::of(tree.as_bytes()),
            1,
            1,
        );
        if let Some(target) = builder.skip_to().filter(|target| *target > 0) {
            builder = builder.skip(self.by_seq[&target]);
        }
        let head = change(builder).build().unwrap().signed_by(&self.release).unwrap();
        self.by_seq.insert(head.claims().seq, head.id());
        self.heads.insert(head.id(), head.clone());
        self.newest = Some(head.clone());
        head
    }

    /// A new release key in a new epoch above the given head.
    pub fn recover_above(&mut self, good: &Unverified<Head>, next: u64, release: u8) {
        let floor = Floor { seq: good.claims().seq, head: good.id(), next };
        let root = RootBuilder::after(self.trust.root(), NOW, expires())
            .release_keys(1, [key(release).public_key()])
            .new_epoch(floor)
            .build()
            .unwrap()
            .signed_by(&key(1))
            .unwrap();
        self.trust.rotate(&root).unwrap();
        self.roots.push(root);
        self.release = key(release);
        self.newest = Some(good.clone());
    }

    pub fn put_roots(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        self.roots.iter().try_for_each(|root| ledger.put_root(&self.id(), root))
    }

    /// Judges a head against what the ledger holds, and adopts it, fetching ancestors as asked.
    pub fn follow(&self, ledger: &Ledger, head: &Unverified<Head>) -> Result<Arc<CatalogTrust>, LedgerError> {
        let state = ledger.load(&self.id()).unwrap();
        let candidate = state.trust.verify_head(head).unwrap();
        let mut ancestors = Ancestors::default();
        loop {
            let wanted =
                match judge(&state.trust, state.newest.as_ref(), &candidate, &ancestors, NOW).unwrap() {
                    Adoption::Same => return Ok(state),
                    Adoption::Adopt(adopted) => {
                        match ledger.adopt(&self.id(), &candidate, &adopted, &ancestors) {
                            Err(LedgerError::NeedsAncestor { head, .. }) => head,
                            decided => return decided,
                        }
                    }
                    Adoption::NeedsAncestor { head, .. } => head,
                    Adoption::Equivocation(_) => panic!("equivocation"),
                };
            ancestors.insert(&wanted, self.heads[&wanted].clone()).unwrap();
        }
    }

    pub fn learn(&mut self, heads: &[Unverified<Head>]) {
        self.heads.extend(heads.iter().map(|head| (head.id(), head.clone())));
    }
}
