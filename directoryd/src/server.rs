//! A directory from its configuration to its end: what is opened, which tasks run, and who joins them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odi_manifest::{Clock, SigningKey, Timestamp};
use odi_store::{Disk, Ledger, LedgerError, RealDisk, Store, StoreError, StoreOptions, ledger_folder};
use odi_wire::admin::Admin;
use odi_wire::client::{Client, ClientError, ClientPolicy, Family};
use odi_wire::denylist::Denied;
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::identity_key::{self, IdentityKeyError};
use odi_wire::limits::{LARGE_ANSWERS_BYTES, Limits};
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use odi_wire::serve::{self, LargeAnswers, Running, ServeError, TrustedProxies};
use odi_wire::sync::{SyncClient, SyncError};
use odi_wire::tls::{Tls, TlsError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::admin::Measured;
use crate::answer::{Answers, Lengths};
use crate::audit::Audits;
use crate::carry::Carry;
use crate::config::{CatalogConfig, Config, PrivateAddresses, Size};
use crate::configured::{Catalogs, Configured};
use crate::denying::Known;
use crate::directory::{CALLER_PACE, CALLERS_MAX, Directory};
use crate::fields::Fields;
use crate::followers;
use crate::geography::Geography;
use crate::hearing::{self, Hearing};
use crate::heat::Heat;
use crate::hook;
use crate::mirrors::Mirrors;
use crate::origins::Origins;
use crate::peers::Peer;
use crate::placing::Placing;
use crate::relays::Relays;
use crate::reload::{self, Reloaded};
use crate::reports::Reports;
use crate::roster::{Examined, RosterLimits};
use crate::select::Repeats;
use crate::selftest::{SelfTest, SelfTestError};
use crate::statistics::{self, ArchiveError, Statistics};
use crate::tend;
use crate::throttle::NetworkThrottle;
use crate::upkeep;

/// How long a health check may still take at the end.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// How long a former process of this directory may take to let go of the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a directory does not run, or runs no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder cannot be made or used.
    #[error("the data folder {} cannot be used", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no identity.
    #[error("the directory has no identity")]
    Identity(#[from] IdentityKeyError),
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[from] StoreError),
    /// The trust records do not open.
    #[error("the ledger of trust records does not open")]
    Ledger(#[from] LedgerError),
    /// What was kept of a catalog cannot be read.
    #[error("catalog {name} does not open")]
    Catalog {
        /// Its name here.
        name: CatalogName,
        /// Why.
        source: Box<SyncError>,
    },
    /// There is nowhere to count.
    #[error("the statistics do not open")]
    Statistics(#[from] ArchiveError),
    /// There is nothing to test relays with.
    #[error("the self-test catalog cannot be published")]
    SelfTest(#[from] SelfTestError),
    /// The client for outbound requests cannot be set up.
    #[error("outbound requests cannot be set up")]
    Client(#[from] ClientError),
    /// There is no certificate to listen with.
    #[error("TLS cannot be served")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on, or a listener died.
    #[error("the listener failed")]
    Serve(#[from] ServeError),
    /// A task ended that should run as long as the server.
    #[error("the task that {0} has died")]
    TaskDied(&'static str),
}

/// A directory at work. [`drain`](Self::drain) is its orderly end; dropping it stops everything at once.
pub struct Server {
    running: Running,
    admin: Option<Running>,
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    directory: Arc<Directory>,
}

impl Server {
    /// Opens what the configuration names, listens, and starts to follow its catalogs.
    ///
    /// # Errors
    /// Something cannot be opened, or an address cannot be listened on; nothing runs then.
    pub async fn bind(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ServerError> {
        let proxies = TrustedProxies::new(config.proxies.clone());
        let tls = match &config.tls {
            Some(tls) => {
                let (urls, clock) = (config.public_urls.clone(), Arc::clone(&clock));
                Some(Tls::open(tls, urls, &config.data_dir, config.private_addresses, clock).await?)
            }
            None => None,
        };
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls.certificates()));
        let (addrs, plain) = (&config.listen, &config.listen_plain);
        let listening = serve::Server::bind_public(addrs, plain, certificates, Limits::default()).await?;
        let listening = listening.trusting(proxies);
        let admin = match config.admin {
            Some(addr) => Some(serve::Server::bind(&[addr], Limits::default()).await?),
            None => None,
        };
        let directory = Arc::new(open(config, clock).await?);
        directory.selftest.keep_fresh(&directory).await?;
        let stop = CancellationToken::new();
        let mut tasks = tasks(&directory, &stop);
        if let Some(tls) = tls {
            let stopped = stop.clone();
            tasks.spawn(async move {
                tls.keep(stopped).await;
                "keeps the certificate current"
            });
        }
        let running = listening.spawn(Arc::new(Answers(Arc::clone(&directory))));
        tracing::info!(id = %directory.id, addrs = ?running.local_addrs(), "the directory listens");
        let measured = Measured { directory: Arc::clone(&directory), load: running.load() };
        let admin = admin.map(|listening| listening.spawn(Arc::new(Admin(Arc::new(measured)))));
        Ok(Self { running, admin, tasks, stop, directory })
    }

    /// The addresses in use, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.running.local_addrs().to_vec()
    }

    /// The directory's public key.
    #[must_use]
    pub fn id(&self) -> odi_manifest::PublicKey {
        self.directory.id
    }

    /// The address of the admin listener, if there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addrs().first().copied()
    }

    /// Takes another configuration, as far as it may change while the directory runs.
    pub async fn reload(&self, config: Config) -> Reloaded {
        reload::reload(&self.directory, config).await
    }

    /// Rung when the operator asks, on the admin listener, that the configuration be read again.
    #[must_use]
    pub fn reload_due(&self) -> Arc<Notify> {
        Arc::clone(&self.directory.reload_due)
    }

    /// Waits until something has died that must run: a server that lost a part must not look healthy.
    pub async fn failed(&mut self) -> ServerError {
        let admin = async {
            match &mut self.admin {
                Some(admin) => admin.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.running.failed() => error.into(),
            error = admin => error.into(),
            Some(joined) = self.tasks.join_next() => ServerError::TaskDied(joined.unwrap_or("panicked")),
        }
    }

    /// Stops accepting, finishes requests at hand, stops and joins every task, and writes out what is not durable yet.
    ///
    /// # Errors
    /// The store failed meanwhile.
    pub async fn drain(mut self, deadline: Duration) -> Result<(), ServerError> {
        self.stop.cancel();
        self.running.drain(deadline).await;
        if let Some(admin) = self.admin {
            admin.drain(ADMIN_DRAIN).await;
        }
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, finish).await.is_err() {
            tracing::warn!("tasks were cut at the end of the drain");
        }
        self.tasks.shutdown().await;
        let store = self.directory.store.clone();
        Ok(off_worker(move || store.flush()).await?)
    }
}

/// Starts all that runs beside the listeners but the certificate's keeper.
fn tasks(directory: &Arc<Directory>, stop: &CancellationToken) -> JoinSet<&'static str> {
    let mut tasks = JoinSet::new();
    let (following, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        followers::run(following, stopped).await;
        "follows catalogs"
    });
    let (tended, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        tend::tend(tended, stopped).await;
        "tends relays"
    });
    let (told, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        crate::notify::tell(told, stopped).await;
        "tells relays of news"
    });
    let (located, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        crate::geography::keep_current(located, stopped).await;
        "keeps geography current"
    });
    let (looking, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        crate::mirrors::look_for_lists(looking, stopped).await;
        "looks at mirrors for lists"
    });
    let (laid_out, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        crate::fields::keep_laid_out(laid_out, stopped).await;
        "lays out who holds what"
    });
    let (witness, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        crate::witness::keep(witness, stopped).await;
        "vouches for heads"
    });
    let (kept, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        upkeep::keep_up(kept, stopped).await;
        "keeps the store within its budget"
    });
    let (heard, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        hearing::run(heard, stopped).await;
        "hears what is new after a restore"
    });
    let (counted, stopped) = (Arc::clone(directory), stop.clone());
    tasks.spawn(async move {
        statistics::keep(counted, stopped).await;
        "writes statistics"
    });
    if let Some(hook) = directory.config.hook.clone() {
        let (told, stopped) = (Arc::clone(directory), stop.clone());
        tasks.spawn(async move {
            hook::run(told, hook, stopped).await;
            "tells the operator of changes"
        });
    }
    tasks
}

async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Directory, ServerError> {
    let client = Client::new(ClientPolicy {
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
        extra_roots: config.extra_roots.clone(),
        ..ClientPolicy::default()
    })?;
    off_worker(move || open_blocking(config, clock, client)).await
}

/// What keeps clients with their relay, over restarts too: derived, so that it is one secret less on the disk.
fn selection_seed(identity: &SigningKey) -> [u8; 32] {
    blake3::derive_key("ODI 2026-11 selection seed v1", &*identity.seed())
}

/// Every request is looked up in the trees, and few are answered with bytes from here: nodes get four times as much as those, which
/// is enough for a catalog of a million paths unless the operator says otherwise.
fn node_cache_bytes(ram_cache: Size) -> u64 {
    ram_cache.0.saturating_mul(4).clamp(8 << 20, 256 << 20)
}

fn open_blocking(config: Config, clock: Arc<dyn Clock>, client: Client) -> Result<Directory, ServerError> {
    let now: Timestamp = clock.now();
    let data_dir = |source| ServerError::DataDir { path: config.data_dir.clone(), source };
    std::fs::create_dir_all(&config.data_dir).map_err(data_dir)?;
    let mut fresh = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *fresh).map_err(|error| data_dir(std::io::Error::other(error)))?;
    let identity = identity_key::kept_or_made(&config.data_dir, &fresh)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut options = StoreOptions {
        clock: Arc::clone(&clock),
        budget_bytes: upkeep::store_budget(config.carry),
        ..StoreOptions::default()
    }
    .with_ram_cache(config.ram_cache.0);
    options.node_cache_bytes = node_cache_bytes(config.ram_cache);
    let store = Store::open_after(&disk, &config.data_dir.join("store"), &options, LOCK_PATIENCE)?;
    let ledger = Arc::new(Ledger::open(disk, &ledger_folder(&config.data_dir))?);
    let fetcher = Fetcher::new(Arc::new(client.clone()), FetchLimits::default());
    let configured = open_catalogs(&config, &store, &ledger, now)?;
    let selftest = SelfTest::open(&identity, &config.public_urls, &store, &ledger, now)?;
    let limits = match config.private_addresses {
        PrivateAddresses::Refused => RosterLimits::open_network(),
        PrivateAddresses::Allowed => RosterLimits::laboratory(),
    };
    let examined =
        Examined { selftest: Some(selftest.catalog.id()), followed: configured.keys().copied().collect() };
    let relays = Relays::open(&config.data_dir, limits, examined, now).map_err(data_dir)?;
    let reports = Reports::open(&config.data_dir, &identity.public_key()).map_err(data_dir)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| data_dir(std::io::Error::other(error)))?;
    let statistics = Statistics::open(&config.data_dir, config.statistics_days, secret, now)?;
    Ok(Directory {
        id: identity.public_key(),
        seed: selection_seed(&identity),
        started: now,
        carry: Carry::new(store.clone(), fetcher.clone()),
        origins: Origins::new(now),
        mirrors: Mirrors::new(now),
        repeats: Mutex::new(Repeats::new(&selection_seed(&identity))),
        callers: Mutex::new(NetworkThrottle::new(CALLER_PACE, CALLERS_MAX)),
        signers: Mutex::new(NetworkThrottle::new(CALLER_PACE, CALLERS_MAX)),
        lengths: Lengths::default(),
        large: LargeAnswers::new(LARGE_ANSWERS_BYTES),
        denied: Denied::of(Arc::clone(&config.denied)),
        denials_known: Known::default(),
        denials_due: Notify::new(),
        relays_due: Notify::new(),
        upkeep_due: Notify::new(),
        reload_due: Arc::default(),
        news: Notify::new(),
        to_witness: Notify::new(),
        nodes: store.nodes(),
        peers: config.peers.iter().map(|peer| Arc::new(Peer::new(peer))).collect(),
        relays: Arc::new(relays),
        reports,
        audits: Audits::default(),
        placing: Placing::default(),
        fields: Fields::default(),
        geography: Geography::open(&config.geography, &selection_seed(&identity)),
        balance: Mutex::default(),
        heat: Mutex::new(Heat::new(&selection_seed(&identity))),
        statistics,
        hearing: Hearing::of(&config.data_dir),
        config,
        clock,
        identity,
        client_v4: client.over(Family::V4)?,
        client_v6: client.over(Family::V6)?,
        client,
        sync: SyncClient::new(fetcher.clone()),
        fetcher,
        store,
        ledger,
        configured: Configured::new(configured),
        selftest,
    })
}

fn open_catalogs(
    config: &Config,
    store: &Store,
    ledger: &Arc<Ledger>,
    now: Timestamp,
) -> Result<Catalogs, ServerError> {
    let open = |catalog: &CatalogConfig| {
        let opened = reload::open_catalog(catalog, store, ledger, now).map_err(|source| {
            ServerError::Catalog { name: catalog.name.clone(), source: Box::new(source) }
        })?;
        Ok((catalog.id, opened))
    };
    config.catalogs.iter().map(open).collect()
}
