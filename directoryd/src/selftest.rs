//! The self-test catalog of this directory (PROTOCOL.md § Self-test), and the tests that it is for.
//!
//! Invariants
//! - Its id follows from the directory's identity alone: keys, first root and bytes are derived, nothing is stored.
//! - So do its heads, with the public URLs: each belongs to a period and says that period's times, so that a directory
//!   which lost what it had stored signs the very same ones again, and relays that hold them go on.
//! - It is served like any catalog, with no origin but this directory; its head is renewed long before it expires.
//! - Nobody signs it but this process.

pub(crate) mod checks;
pub(crate) mod content;
mod multipart;

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{
    BlobId, DiffHeader, Floor, Head, HeadBuilder, HeadId, HeadMeta, NodesError, ORIGINS_MAX, Op, RecordError,
    RootBuilder, RootRefusal, SignError, SigningKey, Timestamp, Tree, TreeError, TrustRoot, Unverified,
    Verified, encode_diff,
};
use odi_store::{Ledger, LedgerError, Store};
use odi_wire::message::Push;
use odi_wire::off_worker::off_worker;
use odi_wire::selftest::SELFTEST_NAME;
use odi_wire::sync::{FollowedCatalog, PushOutcome, SyncError};
use url::Url;

use crate::catalog::{Catalog, follow};
use crate::config::CatalogConfig;
use crate::directory::Directory;
use content::Artifact;

/// When every first root begins and ends. Fixed, so that the catalog's id follows from its key: 2026 to 2100.
const ROOT_TIMES: (Timestamp, Timestamp) = (Timestamp(1_767_225_600), Timestamp(4_102_444_800));
/// Every head belongs to a period of its own, the first one to the first.
const PERIOD: Duration = Duration::from_secs(30 * 86_400);
/// For how long a head holds from the beginning of its period on.
const HEAD_LIFE: Duration = Duration::from_secs(60 * 86_400);

/// Why the self-test catalog is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// A record could not be made.
    #[error("a record of the self-test catalog cannot be made")]
    Record(#[from] RecordError),
    /// It could not be signed.
    #[error("the self-test catalog cannot be signed")]
    Sign(#[from] SignError),
    /// Its tree could not be stored.
    #[error("the tree of the self-test catalog cannot be stored")]
    Tree(#[from] TreeError),
    /// What was kept of it cannot be read.
    #[error("former heads of the self-test catalog cannot be read")]
    Ledger(#[from] LedgerError),
    /// The state could not be shown.
    #[error("the self-test catalog cannot be shown")]
    Nodes(#[from] NodesError),
    /// The directory does not adopt its own head.
    #[error("the head of the self-test catalog is not adopted")]
    Sync(#[from] Box<SyncError>),
    /// The derived root is not one that could be followed.
    #[error("the root of the self-test catalog is refused")]
    Root(#[from] RootRefusal),
    /// Another process has signed a head with this directory's key.
    #[error("the self-test catalog has a newer head than this directory made")]
    Superseded,
}

/// The catalog, its key and its bytes.
pub(crate) struct SelfTest {
    pub(crate) catalog: Arc<Catalog>,
    key: SigningKey,
    trust: TrustRoot,
    artifacts: Vec<Artifact>,
    tree: Tree,
    /// Where relays fetch it: this directory's public URLs.
    origins: Vec<String>,
}

impl SelfTest {
    /// Derives everything from the identity and puts the tree in the store. Blocks on the disk.
    pub(crate) fn open(
        identity: &SigningKey,
        public_urls: &[Url],
        store: &Store,
        ledger: &Arc<Ledger>,
        now: Timestamp,
    ) -> Result<Self, SelfTestError> {
        let seed = identity.seed();
        let key = SigningKey::from_seed(&blake3::derive_key("ODI 2026-11 selftest key v1", &*seed));
        let artifacts = content::artifacts(&blake3::derive_key("ODI 2026-11 selftest content v1", &*seed));
        let trust = first_root(&key)?;
        let entries = artifacts.iter().map(|artifact| (artifact.path.clone(), artifact.entry.clone()));
        let tree = Tree::build(entries, &mut store.nodes())?;
        let id = *trust.catalog();
        let followed = FollowedCatalog::open(id, store.clone(), Arc::clone(ledger), now).map_err(Box::new)?;
        let view = follow::restored_view(&followed, now);
        let name = SELFTEST_NAME.parse().expect("it is a name that catalogs may have");
        let config =
            CatalogConfig { name, id, origin: None, poll: Duration::ZERO, mirrors: Vec::new(), file: None };
        let origin = |url: &Url| url.join(&format!("{SELFTEST_NAME}/")).ok().map(String::from);
        let origins = public_urls.iter().filter_map(origin).take(ORIGINS_MAX).collect();
        let catalog = Arc::new(Catalog::own(config, followed, view));
        Ok(Self { catalog, key, trust, artifacts, tree, origins })
    }

    /// One of its artifacts, by content.
    pub(crate) fn artifact(&self, blob: &BlobId) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.entry.blob == *blob)
    }

    /// One of its artifacts, by path.
    pub(crate) fn at(&self, path: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.path.as_str() == path)
    }

    /// Signs and adopts heads up to the present period's, and another one if the newest says other things than it would.
    pub(crate) async fn keep_fresh(&self, directory: &Arc<Directory>) -> Result<(), SelfTestError> {
        let now = directory.clock.now();
        loop {
            let newest = self.catalog.believed().newest().map(|state| state.head.clone());
            if newest.as_ref().is_some_and(|head| self.is_fresh(head, now)) {
                break;
            }
            self.go_on(directory, newest.as_ref()).await?;
        }
        Ok(follow::show(directory, &self.catalog).await?)
    }

    async fn go_on(
        &self,
        directory: &Arc<Directory>,
        newest: Option<&Verified<Head>>,
    ) -> Result<(), SelfTestError> {
        let (ledger, id) = (Arc::clone(&directory.ledger), self.catalog.id());
        let ancestor = move |seq| {
            let envelope = ledger.head(&id, seq)?;
            Ok(envelope.and_then(|bytes| Unverified::<Head>::decode(&bytes).ok()).map(|head| head.id()))
        };
        let builder = HeadBuilder::after(&self.trust, newest);
        let times = times_of(builder.seq());
        let skip = match builder.skip_to() {
            Some(seq) => off_worker(move || ancestor(seq)).await.map_err(SelfTestError::Ledger)?,
            None => None,
        };
        let head = self.head(builder, skip, times)?;
        let push = self.push(head, newest.is_none())?;
        // As of its own time: what came before the present period has expired.
        self.adopt(directory, &push, times.0).await
    }

    fn is_fresh(&self, head: &Head, now: Timestamp) -> bool {
        head.seq >= period_of(now) && head.origins == self.origins && head.tree == self.tree.root
    }

    fn head(
        &self,
        builder: HeadBuilder,
        skip: Option<HeadId>,
        (created, expires): (Timestamp, Timestamp),
    ) -> Result<Unverified<Head>, SelfTestError> {
        let title = "What a directory tests new relays with".to_owned();
        let mut builder = builder
            .times(created, expires)
            .tree(self.tree.root, self.tree.entries, self.tree.bytes)
            .origins(self.origins.clone())
            .meta(HeadMeta { title: Some(title), ..HeadMeta::default() });
        if let Some(skip) = skip {
            builder = builder.skip(skip);
        }
        Ok(builder.build()?.signed_by(&self.key)?)
    }

    /// What a maintainer would hand over. The first head comes with its tree; later ones have the same.
    fn push(&self, head: Unverified<Head>, is_first: bool) -> Result<Push, SelfTestError> {
        let diff = is_first.then(|| {
            let put = |artifact: &Artifact| Op::Put(artifact.path.clone(), artifact.entry.clone());
            let ops: Vec<Op> = self.artifacts.iter().map(put).collect();
            let (cat, to) = (self.catalog.id(), head.id());
            encode_diff(&DiffHeader { cat, from: Floor::NO_HEAD, to, n: ops.len() as u64 }, &ops)
        });
        let roots = self.trust.roots().iter().map(Verified::encode).collect();
        Ok(Push { head: head.encode(), roots, rev: None, diff })
    }

    async fn adopt(
        &self,
        directory: &Arc<Directory>,
        push: &Push,
        now: Timestamp,
    ) -> Result<(), SelfTestError> {
        let _alone = self.catalog.advancing.lock().await;
        let taken = directory.sync.receive(self.catalog.followed(), push, None, now).await;
        match taken.map_err(Box::new)? {
            PushOutcome::Taken(_) => Ok(()),
            PushOutcome::Conflict(_) => Err(SelfTestError::Superseded),
        }
    }
}

/// The number of the period that a time lies in, from 1, and never one that the root does not see the end of.
fn period_of(now: Timestamp) -> u64 {
    let (begin, end) = ROOT_TIMES;
    let last = end.since(begin).saturating_sub(HEAD_LIFE);
    now.since(begin).min(last).as_secs() / PERIOD.as_secs() + 1
}

/// When a head of that number is made, and until when it holds.
fn times_of(seq: u64) -> (Timestamp, Timestamp) {
    let begin =
        Timestamp(ROOT_TIMES.0.0.saturating_add((seq.saturating_sub(1)).saturating_mul(PERIOD.as_secs())));
    (begin, begin.plus(HEAD_LIFE))
}

fn first_root(key: &SigningKey) -> Result<TrustRoot, SelfTestError> {
    let (created, expires) = ROOT_TIMES;
    let root = RootBuilder::first(SELFTEST_NAME, created, expires)
        .root_keys(1, [key.public_key()])
        .release_keys(1, [key.public_key()])
        .build()?
        .signed_by(key)?;
    Ok(TrustRoot::found(&root)?)
}
