//! A directory in memory: just enough of the protocol for a relay to join, follow and be told what to hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odi_manifest::{BlobId, CatalogId, Clock, PublicKey, SigningKey, SystemClock, Timestamp, Verified};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::StatusCode;
use odi_wire::layout::{LayoutPath, ORIGIN_FOLDER};
use odi_wire::limits::Limits;
use odi_wire::message::{
    Assign, AssignedCatalog, CBOR, CatalogInventory, CatalogSummary, Challenge, ChallengeAnswer,
    DOCUMENT_VERSION, DaemonKind, DirectoryStatus, IdRanges, Inventory, JSON, LeaseReply, Leave, Look,
    Notify, PeerStatus, PublicUrl, RegistrationReply, RelayCounts, RelayReg, RelayState, WellKnown,
    encode_holders, open, state, to_json,
};
use odi_wire::refusal::Refusal;
use odi_wire::request_signature::{key_id, sign};
use odi_wire::route::{self, ApiRoute, CHALLENGE, Route};
use odi_wire::serve::{Request, Response, Running, Server, Service};
use tokio::sync::watch;

use crate::publisher::Publisher;

/// What the directory has of one catalog.
struct Offered {
    name: String,
    summary: CatalogSummary,
    files: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct Roster {
    registered: BTreeMap<PublicKey, RelayReg>,
    proved: BTreeMap<PublicKey, bool>,
    inventories: BTreeMap<PublicKey, (Inventory, Vec<u8>)>,
    left: Vec<PublicKey>,
    assignment_gen: u64,
    announcements: u64,
}

struct Shared {
    key: SigningKey,
    client: Client,
    catalogs: Mutex<BTreeMap<CatalogId, Offered>>,
    ranges: Mutex<IdRanges>,
    /// Assigned beside what is offered: hot blobs of everything, and catalogs that nobody offers.
    beside: Mutex<(Vec<BlobId>, Vec<AssignedCatalog>)>,
    roster: Mutex<Roster>,
    heads: watch::Sender<u64>,
    heard: watch::Sender<u64>,
    challenge_refusals: Mutex<Vec<StatusCode>>,
    hangs_over_assignments: AtomicBool,
    heads_are_quiet: AtomicBool,
    /// Whom it works together with, while it says so.
    peers: Mutex<Option<Vec<PeerStatus>>>,
    /// How often it was asked that.
    asked_for_peers: AtomicU64,
    /// How often somebody tried to register, and so told it a secret.
    told_secrets: AtomicU64,
    lease: Mutex<Duration>,
}

/// A directory at work.
pub(crate) struct FakeDirectory {
    shared: Arc<Shared>,
    running: Option<Running>,
    pub(crate) url: String,
}

impl FakeDirectory {
    pub(crate) async fn start(seed: u8) -> Self {
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let shared = Arc::new(Shared {
            key: SigningKey::from_seed(&[seed; 32]),
            client: Client::new(policy).unwrap(),
            catalogs: Mutex::default(),
            ranges: Mutex::new(IdRanges::all()),
            beside: Mutex::default(),
            roster: Mutex::new(Roster { assignment_gen: 1, ..Roster::default() }),
            heads: watch::Sender::new(0),
            heard: watch::Sender::new(0),
            challenge_refusals: Mutex::default(),
            hangs_over_assignments: AtomicBool::new(false),
            heads_are_quiet: AtomicBool::new(false),
            peers: Mutex::new(Some(Vec::new())),
            asked_for_peers: AtomicU64::new(0),
            told_secrets: AtomicU64::new(0),
            lease: Mutex::new(Duration::from_secs(60)),
        });
        let server = Server::bind(&["127.0.0.1:0".parse().unwrap()], Limits::default()).await.unwrap();
        let url = format!("http://{}", server.local_addrs()[0]);
        let running = server.spawn(Arc::new(Answering(Arc::clone(&shared))));
        Self { shared, running: Some(running), url }
    }

    /// Offers a catalog in its present state, and assigns all of it to everybody.
    pub(crate) fn offer(&self, name: &str, publisher: &Publisher) {
        let head = publisher.head();
        let summary = CatalogSummary {
            name: name.to_owned(),
            id: publisher.id(),
            seq: head.seq,
            head: head.id(),
            pin: head.pin(),
            entries: head.entries,
            bytes: head.bytes,
            expires: head.expires,
            stale: false,
            tags: head.meta.tags.iter().cloned().collect(),
            title: None,
            clients: Vec::new(),
        };
        let offered = Offered { name: name.to_owned(), summary, files: publisher.files.clone() };
        self.shared.catalogs.lock().unwrap().insert(publisher.id(), offered);
        self.shared.roster.lock().unwrap().assignment_gen += 1;
        self.shared.heads.send_modify(|count| *count += 1);
    }

    /// Names these directories as those that it works together with.
    pub(crate) fn works_with(&self, others: &[&Self]) {
        let named: Vec<_> = others.iter().map(|other| (other.url.clone(), other.key())).collect();
        self.names(&named);
    }

    /// The same by whatever URLs and keys.
    pub(crate) fn names(&self, others: &[(String, PublicKey)]) {
        let peer = |(url, key): &(String, PublicKey)| PeerStatus {
            url: format!("{url}/"),
            id: Some(*key),
            heard: None,
            fault: None,
            differs: Vec::new(),
            passed: 0,
            passing_fault: None,
        };
        *self.shared.peers.lock().unwrap() = Some(others.iter().map(peer).collect());
    }

    /// Says no longer whom it works together with.
    pub(crate) fn hide_peers(&self) {
        *self.shared.peers.lock().unwrap() = None;
    }

    pub(crate) fn asked_for_peers(&self) -> u64 {
        self.shared.asked_for_peers.load(Ordering::Relaxed)
    }

    pub(crate) fn told_secrets(&self) -> u64 {
        self.shared.told_secrets.load(Ordering::Relaxed)
    }

    /// How many requests it has answered.
    pub(crate) fn answered(&self) -> u64 {
        *self.shared.heard.borrow()
    }

    /// Leases end after this time from now on.
    pub(crate) fn lease(&self, lasts: Duration) {
        *self.shared.lease.lock().unwrap() = lasts;
    }

    /// Says that a catalog which it offers is tiny.
    pub(crate) fn understate(&self, catalog: &CatalogId) {
        if let Some(offered) = self.shared.catalogs.lock().unwrap().get_mut(catalog) {
            offered.summary.bytes = 1;
            offered.summary.entries = 1;
        }
    }

    /// Offers a catalog no more.
    pub(crate) fn withdraw(&self, catalog: &CatalogId) {
        self.shared.catalogs.lock().unwrap().remove(catalog);
    }

    /// Passes on an inventory as if this relay had announced it.
    pub(crate) fn plant_inventory(&self, relay: &SigningKey, url: PublicUrl, claim: CatalogInventory) {
        let now = SystemClock.now();
        let inventory = Inventory {
            v: 1,
            relay: relay.public_key(),
            generation: 1,
            t: now,
            exp: now.plus(Duration::from_secs(600)),
            bans: Vec::new(),
            urls: vec![url],
            caps: Vec::new(),
            catalogs: vec![claim],
        };
        let envelope = state(inventory.clone(), relay).unwrap();
        self.shared.roster.lock().unwrap().inventories.insert(relay.public_key(), (inventory, envelope));
    }

    /// Assigns these ranges of every catalog from now on.
    pub(crate) fn assign(&self, ranges: IdRanges) {
        *self.shared.ranges.lock().unwrap() = ranges;
        self.shared.roster.lock().unwrap().assignment_gen += 1;
    }

    /// Assigns a catalog that is not offered.
    pub(crate) fn assign_also(&self, catalog: AssignedCatalog) {
        self.shared.beside.lock().unwrap().1.push(catalog);
    }

    /// Assigns these blobs beside the ranges of every catalog.
    pub(crate) fn assign_beside(&self, blobs: Vec<BlobId>) {
        self.shared.beside.lock().unwrap().0 = blobs;
    }

    /// From now on nobody is told an assignment, or that there is none.
    pub(crate) fn hang_over_assignments(&self) {
        self.shared.hangs_over_assignments.store(true, Ordering::Relaxed);
    }

    /// From now on no long poll is answered.
    pub(crate) fn keep_heads_quiet(&self) {
        self.shared.heads_are_quiet.store(true, Ordering::Relaxed);
    }

    /// A signed notice that these catalogs have news.
    pub(crate) fn notice(&self, relay: &PublicKey, url: &str, catalogs: &[CatalogId]) -> Ask {
        self.notice_by(&self.registration(relay).unwrap(), url, catalogs)
    }

    /// The same, signed as by that registration.
    pub(crate) fn notice_by(&self, registration: &RelayReg, url: &str, catalogs: &[CatalogId]) -> Ask {
        let dir = self.key();
        let assignment_gen = self.shared.roster.lock().unwrap().assignment_gen;
        let notice = Notify { v: 1, dir, catalogs: catalogs.to_vec(), assignment_gen };
        self.signed(registration, &format!("{url}/odi/v1/notify"), notice.encode().unwrap())
    }

    /// A signed request that a relay looks at a URL.
    pub(crate) fn look(&self, relay: &PublicKey, url: &str, at: &str, range: Option<(u64, u64)>) -> Ask {
        let look = Look { v: 1, dir: self.key(), url: at.to_owned(), range };
        let registration = self.registration(relay).unwrap();
        self.signed(&registration, &format!("{url}/odi/v1/look"), look.encode().unwrap())
    }

    fn signed(&self, registration: &RelayReg, url: &str, body: Vec<u8>) -> Ask {
        let (dir, ask) = (self.key(), Ask::post(&url.parse().unwrap(), CBOR, body));
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let key = registration.psk.request_key(&dir, &registration.relay);
        sign(ask, &key, key_id(&dir, registration.generation), SystemClock.now(), nonce)
    }

    /// The newest inventory of the only relay, or of one.
    pub(crate) fn inventory(&self, relay: &PublicKey) -> Option<Inventory> {
        self.shared.roster.lock().unwrap().inventories.get(relay).map(|(inventory, _)| inventory.clone())
    }

    /// Waits until a relay announces that it holds all of a catalog's newest head.
    pub(crate) async fn until_announced_full(&self, relay: &PublicKey, publisher: &Publisher) -> Inventory {
        let full = Some(publisher.head().id());
        self.until(|| {
            let inventory = self.inventory(relay)?;
            let held = inventory.catalog(&publisher.id())?;
            (held.full == full && held.minus.is_empty() && held.ranges == IdRanges::all())
                .then_some(inventory)
        })
        .await
    }

    /// Waits until something comes out of this.
    pub(crate) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let mut heard = self.shared.heard.subscribe();
        let waiting = async {
            loop {
                if let Some(seen) = look() {
                    return seen;
                }
                heard.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap()
    }

    pub(crate) fn registration(&self, relay: &PublicKey) -> Option<RelayReg> {
        self.shared.roster.lock().unwrap().registered.get(relay).cloned()
    }

    pub(crate) fn is_proved(&self, relay: &PublicKey) -> bool {
        self.shared.roster.lock().unwrap().proved.get(relay).copied().unwrap_or(false)
    }

    pub(crate) fn left(&self) -> Vec<PublicKey> {
        self.shared.roster.lock().unwrap().left.clone()
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.shared.key.public_key()
    }

    /// As after a loss of its state: nobody is registered.
    pub(crate) fn forget_everybody(&self) {
        let mut roster = self.shared.roster.lock().unwrap();
        roster.registered.clear();
        roster.proved.clear();
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain(Duration::ZERO).await;
        }
    }
}

struct Answering(Arc<Shared>);

impl Service for Answering {
    async fn call(&self, mut request: Request) -> Response {
        let answer = self.0.answer(&mut request).await.unwrap_or_else(Refusal::into_response);
        self.0.heard.send_modify(|count| *count += 1);
        answer
    }
}

impl Shared {
    async fn answer(&self, request: &mut Request) -> Result<Response, Refusal> {
        match route::parse(&request.method, request.target())? {
            Route::WellKnown => Ok(Response::ok(
                JSON,
                to_json(&WellKnown {
                    v: DOCUMENT_VERSION,
                    kind: DaemonKind::Directory,
                    id: self.key.public_key(),
                    urls: Vec::new(),
                    catalogs: Vec::new(),
                }),
            )),
            Route::Api(ApiRoute::Status) => {
                self.asked_for_peers.fetch_add(1, Ordering::Relaxed);
                let peers = self.peers.lock().unwrap().clone().ok_or(Refusal::NotFound)?;
                let status = DirectoryStatus {
                    v: DOCUMENT_VERSION,
                    kind: DaemonKind::Directory,
                    id: self.key.public_key(),
                    version: String::new(),
                    started: Timestamp(0),
                    ready: true,
                    catalogs: Vec::new(),
                    relays: RelayCounts::default(),
                    peers,
                    carried_bytes: 0,
                    carry_budget: 0,
                };
                Ok(Response::ok(JSON, to_json(&status)))
            }
            Route::Api(ApiRoute::Catalogs) => {
                let catalogs = self.catalogs.lock().unwrap();
                let list: Vec<_> = catalogs.values().map(|offered| offered.summary.clone()).collect();
                Ok(Response::ok(JSON, to_json(&list)))
            }
            Route::Api(ApiRoute::Head { catalog, after, wait }) => {
                if self.heads_are_quiet.load(Ordering::Relaxed) && !wait.is_zero() {
                    std::future::pending::<()>().await;
                }
                let mut heads = self.heads.subscribe();
                let _ = tokio::time::timeout(wait, async {
                    while after.is_some_and(|after| self.seq(&catalog) <= after)
                        || self.heads_are_quiet.load(Ordering::Relaxed) && !wait.is_zero()
                    {
                        heads.changed().await.unwrap();
                    }
                })
                .await;
                self.item(&catalog, LayoutPath::Head)
            }
            Route::Api(ApiRoute::Layout { catalog, item, .. }) => self.item(&catalog, item),
            Route::Api(ApiRoute::Holders { .. }) => {
                let roster = self.roster.lock().unwrap();
                let envelopes = roster.inventories.values().map(|(_, envelope)| envelope.as_slice());
                Ok(Response::ok(CBOR, encode_holders(envelopes)))
            }
            Route::Api(ApiRoute::Assignment { relay }) => {
                if self.hangs_over_assignments.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                self.assignment(&relay)
            }
            Route::Api(ApiRoute::Register) => self.register(request).await,
            Route::Api(ApiRoute::Inventory) => self.announced(request).await,
            Route::Api(ApiRoute::Leave) => {
                let leave: Verified<Leave> = open(&request.read_body(1 << 20).await?).unwrap();
                self.roster.lock().unwrap().left.push(leave.relay);
                Ok(Response::ok(JSON, "{}"))
            }
            _ => Err(Refusal::NotFound),
        }
    }

    fn seq(&self, catalog: &CatalogId) -> u64 {
        self.catalogs.lock().unwrap().get(catalog).map_or(0, |offered| offered.summary.seq)
    }

    fn item(&self, catalog: &CatalogId, item: LayoutPath) -> Result<Response, Refusal> {
        let catalogs = self.catalogs.lock().unwrap();
        let files = &catalogs.get(catalog).ok_or(Refusal::NotFound)?.files;
        let file = files.get(&format!("{ORIGIN_FOLDER}{item}")).ok_or(Refusal::NotFound)?;
        Ok(Response::ok("application/octet-stream", file.clone()))
    }

    fn assignment(&self, relay: &[u8; 32]) -> Result<Response, Refusal> {
        let ranges = self.ranges.lock().unwrap().clone();
        let (plus, others) = self.beside.lock().unwrap().clone();
        let offered = self.catalogs.lock().unwrap();
        let mut catalogs: Vec<AssignedCatalog> = offered
            .iter()
            .map(|(id, offered)| AssignedCatalog {
                cat: *id,
                name: offered.name.clone(),
                ranges: ranges.clone(),
                plus: plus.clone(),
            })
            .chain(others)
            .collect();
        catalogs.sort_by_key(|catalog| catalog.cat);
        let assign = Assign {
            v: 1,
            dir: self.key.public_key(),
            relay: PublicKey::from_bytes(relay).unwrap(),
            generation: self.roster.lock().unwrap().assignment_gen,
            exp: Timestamp(4_000_000_000),
            catalogs,
        };
        Ok(Response::ok(CBOR, state(assign, &self.key).unwrap()))
    }

    async fn register(&self, request: &mut Request) -> Result<Response, Refusal> {
        self.told_secrets.fetch_add(1, Ordering::Relaxed);
        let registration: Verified<RelayReg> = open(&request.read_body(1 << 20).await?).unwrap();
        if registration.dir != self.key.public_key() {
            return Err(Refusal::Unprocessable("meant for another directory".into()));
        }
        let mut roster = self.roster.lock().unwrap();
        roster.registered.insert(registration.relay, registration.value().clone());
        roster.proved.insert(registration.relay, false);
        drop(roster);
        let reply = RegistrationReply { state: RelayState::Unproven };
        Ok(Response { status: StatusCode::ACCEPTED, ..Response::ok(JSON, to_json(&reply)) })
    }

    async fn announced(&self, request: &mut Request) -> Result<Response, Refusal> {
        let envelope = request.read_body(2 << 20).await?;
        let inventory: Verified<Inventory> = open(&envelope).unwrap();
        let relay = inventory.relay;
        let registration = self.roster.lock().unwrap().registered.get(&relay).cloned();
        let state = match registration {
            None => RelayState::Unknown,
            Some(registration) => {
                let proved = self.roster.lock().unwrap().proved[&relay];
                let proved = proved || self.challenge(&registration).await;
                let mut roster = self.roster.lock().unwrap();
                roster.proved.insert(relay, proved);
                roster.announcements += 1;
                let former = roster.inventories.get(&relay).map_or(0, |(former, _)| former.generation);
                assert!(inventory.generation > former, "generations rise");
                roster.inventories.insert(relay, (inventory.value().clone(), envelope.to_vec()));
                if proved { RelayState::Ready } else { RelayState::Unproven }
            }
        };
        let roster_gen = self.roster_gen();
        let reply = LeaseReply {
            state,
            lease_until: SystemClock.now().plus(*self.lease.lock().unwrap()),
            assignment_gen: self.roster.lock().unwrap().assignment_gen,
            roster_gen,
            reason: None,
        };
        Ok(Response::ok(JSON, to_json(&reply)))
    }

    /// Rises as relays say that they fill something.
    fn roster_gen(&self) -> u64 {
        let roster = self.roster.lock().unwrap();
        let fills = |inventory: &Inventory| inventory.catalogs.iter().any(|c| !c.fills.is_empty());
        roster.inventories.values().filter(|(inventory, _)| fills(inventory)).count() as u64
    }

    /// The two-key challenge, at every URL of the registration.
    async fn challenge(&self, registration: &RelayReg) -> bool {
        let dir = self.key.public_key();
        for url in &registration.urls {
            let answered = self.challenge_at(url, registration, &dir).await;
            if !answered {
                return false;
            }
        }
        true
    }

    async fn challenge_at(&self, url: &PublicUrl, registration: &RelayReg, dir: &PublicKey) -> bool {
        let relay = &registration.relay;
        let challenge = Challenge { v: 1, dir: *dir, nonce: [7; 32] };
        let mut at = url.to_url();
        at.set_path(CHALLENGE);
        let ask = Ask::post(&at, CBOR, challenge.encode().unwrap());
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let key = registration.psk.request_key(dir, relay);
        let ask = sign(ask, &key, key_id(dir, registration.generation), SystemClock.now(), nonce);
        let Ok(reply) = self.client.send(ask).await else { return false };
        if reply.status != StatusCode::OK {
            self.challenge_refusals.lock().unwrap().push(reply.status);
            return false;
        }
        let answer = ChallengeAnswer::decode(&reply.body.collect().await.unwrap()).unwrap();
        challenge.check(&answer, url, &registration.psk.answer_key(dir, relay), relay) == Ok(())
    }
}
