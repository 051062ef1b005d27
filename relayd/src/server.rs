//! A running relay: its parts, their tasks, and the order in which they start and end.
//!
//! `bind` opens identity, ledger and store, listens, and starts every task; each task is owned by the [`Server`] and joined by
//! [`Server::drain`]. A relay that lost one of them says so through [`Server::failed`] instead of limping on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use odi_manifest::Clock;
use odi_store::{Disk, RealDisk, Store, StoreError, StoreOptions};
use odi_wire::admin::Admin;
use odi_wire::client::{Client, ClientError, ClientPolicy};
use odi_wire::limits::{LARGE_ANSWERS_BYTES, Limits};
use odi_wire::message::RelayState;
use odi_wire::off_worker::off_worker;
use odi_wire::private_file;
use odi_wire::request_signature::Verifier;
use odi_wire::serve::{self, LargeAnswers, Running, ServeError, Throttle, TrustedProxies};
use odi_wire::tls::{Tls, TlsError};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::admission::{FIT_WHOLE, MissBudget};
use crate::bell::Bell;
use crate::catalogs::Catalogs;
use crate::config::{Config, PrivateAddresses};
use crate::directories::{Directories, OpenError};
use crate::fill::{Fill, FillParts};
use crate::identity::{Identity, IdentityError};
use crate::looks::Looks;
use crate::measured::{Answers, Measured};
use crate::metering::{Meter, MeteringError};
use crate::peers::Peers;
use crate::relay::Relay;
use crate::revoking::{self, Withdrawn};
use crate::{directories, federating, following, housekeeping, membership, metering};
use odi_wire::denylist::Denied;

/// How long a look at the metrics may still take at the end.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// How long a former process of this relay may take to let go of the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a relay does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder cannot be used.
    #[error("cannot use the data folder {}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no random numbers, so there can be no keys.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The identity cannot be used.
    #[error("there is no usable identity")]
    Identity(#[from] IdentityError),
    /// What is remembered of a directory cannot be used.
    #[error(transparent)]
    Directories(#[from] OpenError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The ledger cannot be opened.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] odi_store::LedgerError),
    /// What was sent this month is not known.
    #[error("the monthly transfer cannot be counted")]
    Metering(#[from] MeteringError),
    /// There is no client.
    #[error("no requests can be made")]
    Client(#[from] ClientError),
    /// There is no certificate to listen with.
    #[error("TLS cannot be served")]
    Tls(#[from] TlsError),
    /// The listener failed.
    #[error("cannot serve")]
    Serve(#[from] ServeError),
    /// A task ended although nobody asked it to.
    #[error("a part of the relay ended")]
    TaskEnded {
        /// How, if it panicked.
        source: Option<JoinError>,
    },
}

/// A relay at work.
#[derive(Debug)]
pub struct Server {
    relay: Arc<Relay>,
    running: Running,
    admin: Option<Running>,
    /// Cancelled when the operator asks the relay to leave.
    leaving: CancellationToken,
    tasks: JoinSet<()>,
    /// The tasks of [`directories::run`], which owns those of all memberships, and of [`federating::run`].
    memberships: JoinSet<()>,
    /// Ends the memberships before everything else: whoever has left announces nothing any more.
    left: CancellationToken,
    /// Ends the rest.
    stop: CancellationToken,
}

impl Server {
    /// Opens everything, listens, and starts.
    ///
    /// # Errors
    /// [`ServerError`] says which part does not start.
    pub async fn bind(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ServerError> {
        let proxies = TrustedProxies::new(config.proxies.clone());
        let throttle = Arc::new(Throttle::default());
        let urls = config.public_urls.iter().map(|url| url.to_url()).collect();
        let tls = match &config.tls {
            Some(tls) => {
                let clock = Arc::clone(&clock);
                Some(Tls::open(tls, urls, &config.data_dir, config.private_addresses, clock).await?)
            }
            None => None,
        };
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls.certificates()));
        let (addrs, plain) = (&config.listen, &config.listen_plain);
        let listening = serve::Server::bind_public(addrs, plain, certificates, Limits::default()).await?;
        let listening = listening.trusting(proxies).limited_by(Arc::clone(&throttle));
        let admin = match config.admin {
            Some(addr) => Some(serve::Server::bind(&[addr], Limits::default()).await?),
            None => None,
        };
        let relay = Arc::new(off_worker(move || open(config, clock, throttle)).await?);
        // Before the first answer: nothing is sent that was not counted.
        metering::settle(&relay).await;
        following::open_wanted(&relay).await;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&relay.fill).work(stop.clone()));
        tasks.spawn(following::run(Arc::clone(&relay), stop.clone()));
        tasks.spawn(housekeeping::run(Arc::clone(&relay), stop.clone()));
        tasks.spawn(metering::run(Arc::clone(&relay), stop.clone()));
        tasks.spawn(revoking::run(Arc::clone(&relay), stop.clone()));
        let (mut memberships, left) = (JoinSet::new(), CancellationToken::new());
        memberships.spawn(directories::run(Arc::clone(&relay), left.clone()));
        memberships.spawn(federating::run(Arc::clone(&relay), left.clone()));
        if let Some(tls) = tls {
            tasks.spawn(tls.keep(stop.clone()));
        }
        let running = listening.spawn(Arc::clone(&relay));
        tracing::info!(id = %relay.identity.public_key(), addresses = ?running.local_addrs(), "serving");
        let leaving = CancellationToken::new();
        let (measured, load) = (Arc::clone(&relay), running.load());
        let measured = Measured { relay: measured, load, leaving: leaving.clone() };
        let admin = admin.map(|listening| listening.spawn(Arc::new(Admin(Arc::new(measured)))));
        Ok(Self { relay, running, admin, leaving, tasks, memberships, left, stop })
    }

    /// The addresses in use, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.running.local_addrs()
    }

    /// The address of the admin listener, if there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addrs().first().copied()
    }

    /// Waits until the operator asks the relay to leave, on its admin listener.
    #[must_use]
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// The state that all parts share.
    #[must_use]
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Waits until a part has failed; for ever while all work.
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
            Some(ended) = self.tasks.join_next() => ServerError::TaskEnded { source: ended.err() },
            Some(ended) = self.memberships.join_next() => ServerError::TaskEnded { source: ended.err() },
        }
    }

    /// Leaves the directories, finishes open downloads until the deadline, and ends every task.
    pub async fn drain(self, deadline: Duration) {
        self.drain_until(tokio::time::sleep(deadline)).await;
    }

    /// The same with a deadline that is whenever `deadline` ends.
    pub async fn drain_until(self, deadline: impl Future<Output = ()>) {
        let Self { relay, running, admin, leaving, tasks, memberships, left, stop } = self;
        leaving.cancel();
        // First, so that no directory sends anybody new; an announcement after the leave would renew the lease.
        left.cancel();
        joined(memberships).await;
        let directories = relay.directories.all();
        let leaves = directories.iter().filter(|directory| directory.link().state != RelayState::Unknown);
        futures_util::future::join_all(leaves.map(|directory| membership::leave(&relay, directory))).await;
        // Fills go on meanwhile: open downloads may wait for them.
        running.drain_until(deadline).await;
        stop.cancel();
        joined(tasks).await;
        if let Some(admin) = admin {
            admin.drain(ADMIN_DRAIN).await;
        }
        let closing = Arc::clone(&relay);
        let flushed = off_worker(move || {
            if let Err(error) = closing.meter.close(&closing.throttle) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the transfer counts a little too much"
                );
            }
            closing.store.flush()
        })
        .await;
        if let Err(error) = flushed {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last fills may be lost");
        }
    }
}

async fn joined(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task did not end well");
        }
    }
}

fn open(config: Config, clock: Arc<dyn Clock>, throttle: Arc<Throttle>) -> Result<Relay, ServerError> {
    private_file::create_folder(&config.data_dir)
        .map_err(|source| ServerError::DataDir { path: config.data_dir.clone(), source })?;
    // First, for its lock guards the whole data folder: what a relay that is still ending writes to its ledger must be
    // there before ours is read, and must not be swept as litter.
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options =
        StoreOptions { budget_bytes: config.disk.0, clock: Arc::clone(&clock), ..StoreOptions::default() }
            .with_ram_cache(config.ram_cache.0);
    let store = Store::open_after(&disk, &config.data_dir.join("store"), &options, LOCK_PATIENCE)?;
    let ledger = odi_store::Ledger::open(disk, &odi_store::ledger_folder(&config.data_dir))?;
    let identity = Identity::open(&config.data_dir, &Zeroizing::new(random()?))?;
    let me = identity.public_key();
    let directories = Arc::new(Directories::open(&config)?);
    let client = Client::new(ClientPolicy {
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
        extra_roots: config.extra_roots.clone(),
        user_agent: concat!("odi-relayd/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..ClientPolicy::default()
    })?;
    let denied = Arc::new(Denied::default());
    denied.replace(Arc::clone(&config.terms.denied));
    let peers = Arc::new(Peers::default());
    let fill = Arc::new(Fill::new(FillParts {
        store: store.clone(),
        network: Arc::new(client.clone()),
        peers: Arc::clone(&peers),
        me,
        directories: Arc::clone(&directories),
        denied: Arc::clone(&denied),
        clock: Arc::clone(&clock),
        misses: MissBudget::for_disk(config.disk.0),
    }));
    let started = clock.now();
    let terms = config.terms.clone();
    let budget = terms.transfer.map(|transfer| transfer.0);
    let meter = Meter::open(&config.data_dir, budget, &throttle, started)?;
    let urls: Vec<url::Url> = config.public_urls.iter().map(|url| url.to_url()).collect();
    Ok(Relay {
        config,
        identity,
        started,
        clock,
        store,
        ledger: Arc::new(ledger),
        client,
        catalogs: Catalogs::default(),
        peers,
        fill,
        directories,
        denied,
        terms: RwLock::new(Arc::new(terms)),
        terms_changed: Bell::default(),
        throttle,
        answers: Answers::default(),
        meter,
        announce: Arc::new(Bell::default()),
        wanted_changed: Bell::default(),
        unneeded: Bell::default(),
        withdrawn: Withdrawn::default(),
        looks: Looks::default(),
        chunk_lists: LargeAnswers::new(LARGE_ANSWERS_BYTES),
        fit: AtomicU64::new(FIT_WHOLE),
        verifier: Mutex::new(Verifier::new(&urls, started)),
    })
}

fn random() -> Result<[u8; 32], ServerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
    Ok(bytes)
}
