//! Everything that requests and tasks of a directory share: independently owned parts, built once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_manifest::{
    BlobId, CatalogId, ChunkList, Clock, Entry, HeadId, Pin, PublicKey, SigningKey, Timestamp,
};
use odi_store::{Ledger, Store};
use odi_wire::client::{Client, Family};
use odi_wire::denylist::Denied;
use odi_wire::fetch::{Fetcher, Source, Wanted};
use odi_wire::refusal::Refusal;
use odi_wire::route::CatalogRef;
use odi_wire::serve::{LargeAnswers, Request, Scheme};
use odi_wire::sync::SyncClient;
use tokio::sync::Notify;
use url::Url;

use crate::answer::Lengths;
use crate::audit::Audits;
use crate::balance::Balance;
use crate::carry::Carry;
use crate::catalog::Catalog;
use crate::catalog::view::{State, View};
use crate::config::Config;
use crate::configured::Configured;
use crate::denying::Known;
use crate::fields::Fields;
use crate::geography::Geography;
use crate::hearing::Hearing;
use crate::heat::{Heat, Hot};
use crate::mirrors::Mirrors;
use crate::network::Network;
use crate::origins::Origins;
use crate::peers::Peer;
use crate::placement::Offer;
use crate::placing::Placing;
use crate::relays::{self, Relays};
use crate::reports::Reports;
use crate::roster::Member;
use crate::select::{Met, Repeats};
use crate::selftest::SelfTest;
use crate::statistics::Statistics;
use crate::throttle::{NetworkThrottle, Pace};

/// Where decoded nodes come from.
pub(crate) type Nodes = odi_store::StoreNodes;

/// What one network may ask of the endpoints that cost something.
pub(crate) const CALLER_PACE: Pace = Pace { burst: 200, per_minute: 1200 };
/// How many networks are told apart.
pub(crate) const CALLERS_MAX: usize = 50_000;
/// After a start, relays that are known get this long to announce themselves before they count as gone.
const RETURN_GRACE: Duration = Duration::from_secs(30);
/// How many relays are asked for a chunk list.
const RELAYS_ASKED: usize = 2;

/// What is large, made as a whole and asked for by many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Large {
    /// The operations from one state of a catalog to another.
    Diff(CatalogId, HeadId, HeadId),
    /// Who holds something of a catalog, by the roster's revision and a time.
    Holders(CatalogId, u64, u64),
}

/// A directory at work.
pub(crate) struct Directory {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: SigningKey,
    pub(crate) id: PublicKey,
    /// Keeps clients with their relay over restarts, and is nobody else's to know.
    pub(crate) seed: [u8; 32],
    pub(crate) started: Timestamp,
    pub(crate) client: Client,
    /// The same over one family of addresses only, for self-tests.
    pub(crate) client_v4: Client,
    pub(crate) client_v6: Client,
    pub(crate) fetcher: Fetcher,
    pub(crate) sync: SyncClient,
    pub(crate) store: Store,
    pub(crate) nodes: Nodes,
    pub(crate) ledger: Arc<Ledger>,
    /// Those of the configuration; [`Self::catalogs`] has the self-test's too.
    pub(crate) configured: Configured,
    pub(crate) selftest: SelfTest,
    /// Other directories, in the order of the configuration.
    pub(crate) peers: Vec<Arc<Peer>>,
    pub(crate) relays: Arc<Relays>,
    /// What is held against relays, here and elsewhere.
    pub(crate) reports: Reports,
    /// What became of looks at relays.
    pub(crate) audits: Audits,
    pub(crate) placing: Placing,
    pub(crate) fields: Fields,
    /// Where networks are.
    pub(crate) geography: Geography,
    pub(crate) balance: Mutex<Balance>,
    pub(crate) heat: Mutex<Heat>,
    pub(crate) statistics: Statistics,
    /// After a restore, whether it listens before it speaks.
    pub(crate) hearing: Hearing,
    /// Something about relays may be due.
    pub(crate) relays_due: Notify,
    /// The operator's list of what is not given here, and what it means.
    pub(crate) denied: Denied,
    /// Whether it is known what it means.
    pub(crate) denials_known: Known,
    /// There may be something to look up for it.
    pub(crate) denials_due: Notify,
    /// Relays may have something to hear: a newer head, or other relays and so other assignments.
    pub(crate) news: Notify,
    /// There may be a head to vouch for.
    pub(crate) to_witness: Notify,
    /// The store may have something to drop.
    pub(crate) upkeep_due: Notify,
    /// The operator asks that the configuration be read again.
    pub(crate) reload_due: Arc<Notify>,
    pub(crate) carry: Carry,
    pub(crate) origins: Origins,
    pub(crate) mirrors: Mirrors,
    pub(crate) callers: Mutex<NetworkThrottle>,
    /// The same of what relays sign, apart, so that no reader in their network keeps them from being heard.
    pub(crate) signers: Mutex<NetworkThrottle>,
    pub(crate) repeats: Mutex<Repeats>,
    /// Of whole manifests, as they are sent.
    pub(crate) lengths: Lengths,
    pub(crate) large: LargeAnswers<Large>,
}

impl Directory {
    /// One catalog by its id.
    pub(crate) fn catalog(&self, id: &CatalogId) -> Option<Arc<Catalog>> {
        let own = || Some(&self.selftest.catalog).filter(|catalog| catalog.id() == *id).cloned();
        self.configured.now().get(id).cloned().or_else(own)
    }

    /// The catalog that a URL names.
    pub(crate) fn catalog_named(&self, named: &CatalogRef) -> Option<Arc<Catalog>> {
        let is_meant = |catalog: &&Arc<Catalog>| match named {
            CatalogRef::Named(name) => catalog.name() == name,
            CatalogRef::Id(id) => catalog.id() == *id,
        };
        let configured = self.configured.now();
        configured.values().chain([&self.selftest.catalog]).find(is_meant).cloned()
    }

    /// All catalogs; the self-test's is the last.
    pub(crate) fn catalogs(&self) -> Vec<Arc<Catalog>> {
        self.configured.now().values().chain([&self.selftest.catalog]).cloned().collect()
    }

    /// The servable state that a pin names, whichever catalog it is of.
    pub(crate) fn pinned(&self, pin: &Pin) -> Option<(Arc<Catalog>, Arc<View>, Arc<State>)> {
        let configured = self.configured.now();
        configured.values().chain([&self.selftest.catalog]).find_map(|catalog| {
            let view = catalog.view();
            let state = Arc::clone(view.pinned(pin)?);
            Some((Arc::clone(catalog), view, state))
        })
    }

    /// The client that connects over one family of addresses only.
    pub(crate) const fn over(&self, family: Family) -> &Client {
        match family {
            Family::V4 => &self.client_v4,
            Family::V6 => &self.client_v6,
        }
    }

    pub(crate) fn seq_of(&self, catalog: &CatalogId, head: &HeadId) -> Option<u64> {
        self.catalog(catalog)?.seq_of(head)
    }

    /// Whether some catalog has taken a blob back.
    pub(crate) fn is_withdrawn(&self, blob: &BlobId) -> bool {
        let configured = self.configured.now();
        configured.values().chain([&self.selftest.catalog]).any(|catalog| catalog.has_withdrawn(blob))
    }

    /// The catalogs that have a state, as assignments see them: relays take the self-test's without being asked.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let offer = |catalog: &Arc<Catalog>| {
            let view = catalog.view();
            let state = view.adopted()?;
            Some(Offer {
                id: catalog.id(),
                name: catalog.name().to_string(),
                tags: state.head.meta.tags.clone(),
                bytes: state.tree.bytes,
            })
        };
        self.configured.now().values().filter_map(offer).collect()
    }

    /// How many relays may be about to announce a catalog: after a start nobody has a lease yet, and the rule that a
    /// state waits for its holders must not fall away for that.
    pub(crate) fn relays_expected(&self, catalog: &CatalogId, now: Timestamp) -> usize {
        if now.since(self.started) >= RETURN_GRACE {
            return 0;
        }
        let Some(offer) = self.offers().into_iter().find(|offer| offer.id == *catalog) else { return 0 };
        let roster = self.relays.roster();
        let proved = roster.members().filter_map(Member::registration);
        proved.filter(|registration| relays::wants(registration, &offer)).count()
    }

    /// How a client came. A directory with TLS of its own sees that; behind a proxy that ends TLS and is not named in the configuration the socket says http; then
    /// it counts that this directory has no other URL than https ones.
    pub(crate) fn scheme_of(&self, request: &Request) -> Scheme {
        let only_https = self.config.public_urls.iter().all(|url| url.scheme() == "https");
        if only_https && self.config.tls.is_none() { Scheme::Https } else { request.scheme }
    }

    /// Takes a permit of a caller's network for something that costs more than a look-up.
    pub(crate) fn pace(&self, network: Network) -> Result<(), Refusal> {
        self.pace_of(&self.callers, network)
    }

    /// The same for a statement that a relay signed, or says so.
    pub(crate) fn pace_signed(&self, network: Network) -> Result<(), Refusal> {
        self.pace_of(&self.signers, network)
    }

    fn pace_of(&self, throttle: &Mutex<NetworkThrottle>, network: Network) -> Result<(), Refusal> {
        let mut throttle = throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.take(network, self.clock.now()).map_err(|retry_after| Refusal::Busy { retry_after })
    }

    /// Whom a network met lately that asks for a blob.
    pub(crate) fn met(&self, network: Network, blob: &BlobId) -> Met {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner).met(network, blob, self.clock.now())
    }

    /// Which relay of its order a network is sent to: the first, unless it has just been there. If so, this directory looks there
    /// too, before others run into the same.
    pub(crate) fn turn(&self, met: &Met, order: &[PublicKey]) -> usize {
        let now = self.clock.now();
        let turn = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).turn(met, order, now);
        if turn.doubted.is_some_and(|relay| self.relays.roster().doubt(&relay, now)) {
            self.relays_due.notify_one();
        }
        turn.index
    }

    /// What relays were sent, and what that makes of their weights. Held for look-ups and for a draw, which takes it
    /// for no one else; after the roster, if both are.
    pub(crate) fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody wants a blob that is not carried here.
    pub(crate) fn note_wish(&self, catalog: &CatalogId, entry: &Entry, network: Network) {
        let mut heat = self.heat.lock().unwrap_or_else(PoisonError::into_inner);
        heat.note(*catalog, entry.blob, entry.size, network, self.clock.now());
    }

    /// What many want now, the hottest first.
    pub(crate) fn hot(&self) -> Vec<Hot> {
        let ordinary = self.balance().ordinary();
        self.heat.lock().unwrap_or_else(PoisonError::into_inner).hot(ordinary, self.clock.now())
    }

    /// Random bytes from the operating system.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system has randomness once a process runs");
        bytes
    }

    /// A random number for choices that nobody can profit from.
    pub(crate) fn draw(&self) -> u32 {
        u32::from_le_bytes(self.random())
    }

    /// The verified chunk list of a large artifact, from the origin or from relays; `None` for a small one, and where
    /// nobody has it now.
    pub(crate) async fn chunk_list(&self, catalog: &Catalog, entry: &Entry) -> Option<Arc<ChunkList>> {
        self.chunk_list_of(catalog, &entry.blob, entry.size).await
    }

    /// The same from a copy of the origin's whole tree.
    pub(crate) async fn chunk_list_at(&self, tree: &Url, entry: &Entry) -> Option<Arc<ChunkList>> {
        if entry.size <= odi_manifest::CHUNK_BYTES {
            return None;
        }
        let wanted = Wanted { blob: entry.blob, size: entry.size, sha256: None };
        let place = Source::origin_chunk_list(tree, &entry.blob);
        self.fetcher.chunk_list(&wanted, &[place]).await.result.ok().map(Arc::new)
    }

    /// The same of a blob that somebody says is this large. A list that is found merges to the blob's name.
    pub(crate) async fn chunk_list_of(
        &self,
        catalog: &Catalog,
        blob: &BlobId,
        size: u64,
    ) -> Option<Arc<ChunkList>> {
        if size <= odi_manifest::CHUNK_BYTES {
            return None;
        }
        let mut places: Vec<Source> =
            catalog.origin().map(|origin| Source::origin_chunk_list(&origin, blob)).into_iter().collect();
        {
            let roster = self.relays.roster();
            let urls =
                roster.live(self.clock.now()).filter_map(|member| member.urls().first()).take(RELAYS_ASKED);
            places.extend(urls.map(|url| Source::chunk_list(&url.to_url(), &catalog.id(), blob, size)));
        }
        let wanted = Wanted { blob: *blob, size, sha256: None };
        self.fetcher.chunk_list(&wanted, &places).await.result.ok().map(Arc::new)
    }
}
