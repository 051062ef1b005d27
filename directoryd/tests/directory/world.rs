//! A catalog with its keys, an origin in memory, relays of any honesty, and a directory among them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use odi_directoryd::Server;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_fixtures::{ManualClock, Script, ScriptedServer};
use odi_manifest::{
    ArtifactPath, BlobHasher, CatalogId, Entry, Floor, Head, HeadBuilder, HeadId, HeadMeta, MemoryNodes, Pin,
    PublicKey, Reason, RevId, Revocation, RevocationList, Revoked, RootBuilder, SigningKey, Timestamp, Tree,
    TrustRoot, Verified, encode_full,
};
use odi_store::{RealDisk, Store, StoreOptions};
use odi_wire::client::{Ask, Client, ClientPolicy, Reply};
use odi_wire::file_response::{Caching, FileMeta, plan};
use odi_wire::http::{HeaderValue, Method, StatusCode};
use odi_wire::layout::LayoutPath;
use odi_wire::media_type::MediaType;
use odi_wire::message::{
    CBOR, CatalogInventory, CatalogPattern, CatalogSummary, Challenge, IdRanges, Inventory, LeaseReply,
    PreSharedKey, PublicUrl, Push, RelayReg, RelayState, state,
};
use odi_wire::refusal::Refusal;
use odi_wire::selftest::SELFTEST_NAME;
use odi_wire::serve::{self, Body, Request, Response, Running, Service};
use tempfile::TempDir;
use url::Url;

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp(1_790_000_000);
/// The longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

type Files = BTreeMap<String, Vec<u8>>;

/// A catalog and its maintainers: signs states and lays them out as an origin does.
pub(crate) struct Publisher {
    key: SigningKey,
    trust: TrustRoot,
    pub(crate) id: CatalogId,
    newest: Option<Verified<Head>>,
    heads: BTreeMap<u64, HeadId>,
    origins: Vec<String>,
    revoked: Option<RevId>,
    pub(crate) title: Option<String>,
    /// What the origin has, by target.
    files: Arc<Mutex<Files>>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let key = SigningKey::from_seed(&[1; 32]);
        let root = RootBuilder::first("world", START, START.plus(Duration::from_secs(1 << 30)))
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
            title: None,
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
            .times(START, START.plus(Duration::from_secs(1 << 30)))
            .tree(tree.root, tree.entries, tree.bytes)
            .meta(HeadMeta { title: self.title.clone(), ..HeadMeta::default() })
            .origins(self.origins.clone());
        if let Some(list) = self.revoked {
            builder = builder.revocations(list);
        }
        if let Some(seq) = builder.skip_to() {
            builder = builder.skip(self.heads.get(&seq).copied().unwrap_or(Floor::NO_HEAD));
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
        let root = RootBuilder::after(self.trust.root(), START, START.plus(Duration::from_secs(1 << 30)))
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

/// A directory, its clock and its folder.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: Option<Server>,
    config: Config,
    pub(crate) url: Url,
    pub(crate) client: Client,
    folder: TempDir,
}

impl World {
    /// A directory of one catalog, `world`.
    pub(crate) async fn start(catalog: &CatalogId, origin: Option<&str>) -> Self {
        Self::start_with(catalog, origin, "").await
    }

    /// The same with further settings.
    pub(crate) async fn start_with(catalog: &CatalogId, origin: Option<&str>, settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let origin = origin.map(|origin| format!("origin = \"{origin}\"")).unwrap_or_default();
        let text = format!(
            "data_dir = \"{}\"\nlisten = [\"127.0.0.1:0\"]\npublic_urls = [\"http://127.0.0.1:9999\"]\n\
             proxies = [\"127.0.0.0/8\"]\nadmin = \"127.0.0.1:0\"\n{settings}\n\
             [[catalog]]\nname = \"world\"\nid = \"{catalog}\"\n{origin}\npoll = \"1d\"\n",
            folder.path().join("data").display()
        );
        let config = Config::parse(&text, PrivateAddresses::Allowed).unwrap();
        let clock = Arc::new(ManualClock::at(START.plus(Duration::from_secs(1000))));
        let directory = Server::bind(config.clone(), clock.clone()).await.unwrap();
        let url = url_of(directory.local_addrs()[0]);
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Client::new(policy).unwrap();
        Self { clock, directory: Some(directory), config, url, client, folder }
    }

    /// Ends the directory in order and starts it again on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.go_on().await;
    }

    pub(crate) async fn stop(&mut self) {
        self.directory.take().unwrap().drain(Duration::from_secs(5)).await.unwrap();
    }

    pub(crate) fn store_folder(&self) -> PathBuf {
        self.data_dir().join("data/store")
    }

    /// The store of a directory that was stopped.
    pub(crate) fn store(&self) -> Store {
        let folder = self.store_folder();
        Store::open(Arc::new(RealDisk), &folder, StoreOptions::default()).unwrap()
    }

    pub(crate) async fn go_on(&mut self) {
        let directory = Server::bind(self.config.clone(), self.clock.clone()).await.unwrap();
        self.url = url_of(directory.local_addrs()[0]);
        self.directory = Some(directory);
    }

    pub(crate) fn id(&self) -> PublicKey {
        self.directory.as_ref().unwrap().id()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client.send(Ask::get(&self.at(path))).await.unwrap()
    }

    pub(crate) async fn body(&self, path: &str) -> Vec<u8> {
        self.get(path).await.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.body(path).await).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Reply {
        self.client.send(Ask::post(&self.at(path), CBOR, body)).await.unwrap()
    }

    /// Asks the directory to look at the origin and waits until it has adopted `seq`.
    pub(crate) async fn pull(&self, catalog: &CatalogId, seq: u64) {
        self.post(&format!("/odi/v1/catalogs/{catalog}/trigger"), Vec::new()).await;
        self.until(async || self.adopted().await == Some(seq)).await;
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            while !holds().await {
                looks.tick().await;
            }
        });
        waited.await.expect("what must happen has not happened");
    }

    pub(crate) async fn adopted(&self) -> Option<u64> {
        self.json("/odi/v1/status").await["catalogs"][0]["adopted"]["seq"].as_u64()
    }

    pub(crate) async fn served(&self) -> Option<u64> {
        self.json("/odi/v1/status").await["catalogs"][0]["served"]["seq"].as_u64()
    }

    pub(crate) async fn carried_bytes(&self) -> u64 {
        self.json("/odi/v1/status").await["carried_bytes"].as_u64().unwrap()
    }

    /// The status of an item of the catalog's layout.
    pub(crate) async fn item(&self, catalog: &CatalogId, item: LayoutPath) -> StatusCode {
        self.get(&format!("/odi/v1/catalogs/{catalog}/{item}")).await.status
    }

    pub(crate) async fn until_served(&self, seq: u64) {
        self.until(async || self.served().await == Some(seq)).await;
    }

    /// Where the directory sends a GET; the status and the `Location`.
    pub(crate) async fn sent(&self, path: &str) -> (StatusCode, String) {
        let reply = self.get(path).await;
        let location = reply.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        (reply.status, location.unwrap_or_default())
    }
}

fn url_of(addr: SocketAddr) -> Url {
    format!("http://{addr}/").parse().unwrap()
}

/// What a relay does with a request for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Honest,
    WrongBytes,
    Absent,
    RedirectsOn,
    /// Promises everything and breaks off half way.
    Truncates,
    /// Gives wrong bytes to one request in so many.
    LiesEvery(usize),
    /// Answers the challenge with keys of its own.
    Impostor,
}

/// A relay of any honesty.
pub(crate) struct FakeRelay {
    pub(crate) key: SigningKey,
    pub(crate) url: PublicUrl,
    pub(crate) psk: PreSharedKey,
    generation: u64,
    /// The directory's self-test catalog, its head and its pin, once taken.
    selftest: Option<(CatalogId, HeadId)>,
    shared: Arc<Shared>,
    _running: Running,
}

/// What a relay gets wrong in the self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    IgnoresRanges,
    RedirectsOn,
    LacksDigests,
    OneWrongByte,
    RunsPages,
    Forgets304,
    Encodes,
}

/// A file as a relay serves it.
#[derive(Clone)]
struct Served {
    bytes: Bytes,
    entry: Entry,
    of_test: bool,
}

struct Shared {
    key: SigningKey,
    psk: PreSharedKey,
    url: Mutex<Option<PublicUrl>>,
    conduct: Mutex<Conduct>,
    flaw: Mutex<Option<Flaw>>,
    /// By `/{pin}/{path}`, escaped.
    files: Mutex<BTreeMap<String, Served>>,
    asked: Mutex<Vec<String>>,
    /// Where [`Conduct::RedirectsOn`] leads.
    elsewhere: Mutex<String>,
}

impl FakeRelay {
    pub(crate) async fn start(seed: u8) -> Self {
        let (key, psk) = (SigningKey::from_seed(&[seed; 32]), PreSharedKey::from_bytes([seed; 32]));
        let shared = Arc::new(Shared {
            key: key.clone(),
            psk: psk.clone(),
            url: Mutex::default(),
            conduct: Mutex::new(Conduct::Honest),
            flaw: Mutex::default(),
            files: Mutex::default(),
            asked: Mutex::default(),
            elsewhere: Mutex::new("http://127.0.0.1:1/evil".to_owned()),
        });
        let listening =
            serve::Server::bind(&["127.0.0.1:0".parse().unwrap()], serve::Limits::default()).await.unwrap();
        let running = listening.spawn(Arc::new(RelayService(Arc::clone(&shared))));
        let url = PublicUrl::parse(&format!("http://{}", running.local_addrs()[0])).unwrap();
        *shared.url.lock().unwrap() = Some(url.clone());
        Self { key, url, psk, generation: 0, selftest: None, shared, _running: running }
    }

    /// Sends everybody on to that URL.
    pub(crate) fn send_on_to(&self, url: &str) {
        *self.shared.elsewhere.lock().unwrap() = url.to_owned();
        self.behave(Conduct::RedirectsOn);
    }

    pub(crate) fn err(&self, flaw: Option<Flaw>) {
        *self.shared.flaw.lock().unwrap() = flaw;
    }

    pub(crate) fn behave(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap() = conduct;
    }

    /// Lets it hold the artifacts of a state.
    pub(crate) fn hold(&self, pin: &Pin, artifacts: &[(&str, &[u8])]) {
        for (path, bytes) in artifacts {
            let served = Served { bytes: Bytes::copy_from_slice(bytes), entry: entry(bytes), of_test: false };
            self.shared.files.lock().unwrap().insert(format!("/{pin}/{path}"), served);
        }
    }

    /// Takes the directory's self-test catalog, as it lies there, unless it has it.
    pub(crate) async fn take_test(&mut self, world: &World) -> (CatalogId, HeadId) {
        if let Some(taken) = self.selftest {
            return taken;
        }
        let catalogs: Vec<CatalogSummary> =
            serde_json::from_slice(&world.body("/odi/v1/catalogs").await).unwrap();
        let own = catalogs.iter().find(|catalog| catalog.name == SELFTEST_NAME).unwrap();
        let paths = ["sizes/0", "sizes/1", "sizes/262143", "sizes/262144", "sizes/262145", "sizes/8388609"];
        for path in paths.into_iter().chain(["page/index.html"]) {
            let target = format!("/{}/{path}", own.pin);
            let reply = world.get(&target).await;
            assert_eq!(reply.status, StatusCode::OK);
            let mtime = odi_wire::http_date::parse(reply.headers["last-modified"].to_str().unwrap()).unwrap();
            let bytes = reply.body.collect().await.unwrap();
            let entry = Entry { mtime, ..entry(&bytes) };
            self.shared.files.lock().unwrap().insert(target, Served { bytes, entry, of_test: true });
        }
        *self.selftest.insert((own.id, own.head))
    }

    /// The targets of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn registration(&mut self, directory: PublicKey, now: Timestamp) -> RelayReg {
        self.generation += 1;
        RelayReg {
            v: 1,
            relay: self.key.public_key(),
            dir: directory,
            urls: vec![self.url.clone()],
            psk: self.psk.clone(),
            generation: self.generation,
            ct: now,
            nonce: [7; 16],
            catalogs: vec![CatalogPattern::parse("*").unwrap()],
            tags: vec![],
            disk: 1 << 40,
            rate: 0,
        }
    }

    pub(crate) async fn register(&mut self, world: &World) -> StatusCode {
        let registration = self.registration(world.id(), now(world));
        let envelope = state(registration, &self.key).unwrap();
        world.post("/odi/v1/relays", envelope).await.status
    }

    pub(crate) fn inventory(&mut self, world: &World, catalog: &CatalogId, heads: &[HeadId]) -> Inventory {
        self.generation += 1;
        let holding = |cat: CatalogId, heads: &[HeadId]| CatalogInventory {
            cat,
            served: heads.to_vec(),
            full: heads.first().copied(),
            fills: IdRanges::all(),
            ranges: IdRanges::all(),
            plus: vec![],
            minus: vec![],
        };
        let mut catalogs = vec![holding(*catalog, heads)];
        catalogs.extend(self.selftest.map(|(id, head)| holding(id, &[head])));
        catalogs.sort_by_key(|holding| holding.cat);
        let now = now(world);
        Inventory {
            v: 1,
            relay: self.key.public_key(),
            generation: self.generation,
            t: now,
            exp: now.plus(Duration::from_secs(3000)),
            bans: Vec::new(),
            urls: vec![self.url.clone()],
            caps: vec![],
            catalogs,
        }
    }

    /// Says that it serves these heads and is full at the first.
    pub(crate) async fn announce(
        &mut self,
        world: &World,
        catalog: &CatalogId,
        heads: &[HeadId],
    ) -> LeaseReply {
        self.take_test(world).await;
        let inventory = self.inventory(world, catalog, heads);
        let envelope = state(inventory, &self.key).unwrap();
        let reply = world.post("/odi/v1/relays/inventory", envelope).await;
        assert_eq!(reply.status, StatusCode::OK);
        serde_json::from_slice(&reply.body.collect().await.unwrap()).unwrap()
    }

    /// Registers, announces and waits until the directory sends it traffic.
    pub(crate) async fn join(&mut self, world: &World, catalog: &CatalogId, heads: &[HeadId]) {
        assert_eq!(self.register(world).await, StatusCode::ACCEPTED);
        self.until(world, RelayState::Probation).await;
        self.announce(world, catalog, heads).await;
        self.until(world, RelayState::Ready).await;
    }

    pub(crate) async fn until(&self, world: &World, state: RelayState) {
        let wanted = serde_json::to_value(state).unwrap();
        world.until(async || self.summary(world).await["state"] == wanted).await;
    }

    /// What the directory says of it; null if nothing.
    pub(crate) async fn summary(&self, world: &World) -> serde_json::Value {
        let id = self.key.public_key().to_string();
        let relays = world.json("/odi/v1/relays").await;
        relays
            .as_array()
            .unwrap()
            .iter()
            .find(|relay| relay["id"] == id.as_str())
            .cloned()
            .unwrap_or_default()
    }
}

fn now(world: &World) -> Timestamp {
    use odi_manifest::Clock;
    world.clock.now()
}

struct RelayService(Arc<Shared>);

impl Service for RelayService {
    async fn call(&self, mut request: Request) -> Response {
        let target = request.target().to_owned();
        self.0.asked.lock().unwrap().push(target.clone());
        if request.method == Method::POST && target == "/.well-known/odi/challenge" {
            let body = request.read_body(4096).await.unwrap();
            return self.answer_challenge(&body);
        }
        if target.ends_with('/') {
            return Response::ok("text/html", "a folder");
        }
        let Some(file) = self.0.files.lock().unwrap().get(&target).cloned() else {
            return Refusal::NotFound.into_response();
        };
        if file.of_test {
            let flaw = *self.0.flaw.lock().unwrap();
            return tested(&mut request, &target, &file, flaw);
        }
        let conduct = *self.0.conduct.lock().unwrap();
        match conduct {
            Conduct::RedirectsOn => {
                let elsewhere = self.0.elsewhere.lock().unwrap().clone();
                Response::redirect(StatusCode::FOUND, &elsewhere).unwrap()
            }
            Conduct::Truncates => {
                let half = file.bytes.slice(..file.bytes.len() / 2);
                let whole = proper(&request, &target, &file, &file.bytes);
                let promised = whole.body.len();
                let begun = futures_util::stream::once(async move { Ok(half) });
                whole.with_body(Body::stream(promised, begun))
            }
            Conduct::LiesEvery(n) => {
                let asked = self.0.asked.lock().unwrap().iter().filter(|asked| **asked == target).count();
                let flip = u8::from(asked % n == 0);
                let bytes: Bytes = file.bytes.iter().map(|byte| byte ^ flip).collect();
                proper(&request, &target, &file, &bytes)
            }
            Conduct::Honest | Conduct::Impostor => proper(&request, &target, &file, &file.bytes),
            Conduct::WrongBytes => {
                let wrong: Bytes = file.bytes.iter().map(|byte| byte ^ 1).collect();
                proper(&request, &target, &file, &wrong)
            }
            Conduct::Absent => Refusal::NotFound.into_response(),
        }
    }
}

/// As a relay should.
fn proper(request: &Request, path: &str, file: &Served, bytes: &Bytes) -> Response {
    let meta = FileMeta {
        size: file.entry.size,
        blob: file.entry.blob,
        sha256: Some(file.entry.sha256),
        mtime: Some(file.entry.mtime),
        media: MediaType::of_path(path),
        caching: Caching::Pinned,
    };
    plan(&request.method, &request.headers, &meta).respond_from(bytes)
}

fn tested(request: &mut Request, path: &str, file: &Served, flaw: Option<Flaw>) -> Response {
    let without = |request: &mut Request, names: &[&str]| {
        for name in names {
            request.headers.remove(*name);
        }
    };
    match flaw {
        Some(Flaw::RedirectsOn) => {
            return Response::redirect(StatusCode::FOUND, "http://127.0.0.1:1/evil").unwrap();
        }
        Some(Flaw::IgnoresRanges) => without(request, &["range"]),
        Some(Flaw::Forgets304) => without(request, &["if-none-match", "if-modified-since"]),
        _ => {}
    }
    let mut bytes = file.bytes.clone();
    if flaw == Some(Flaw::OneWrongByte) && bytes.len() > 1_000_000 {
        let mut wrong = bytes.to_vec();
        wrong[5_000_000] ^= 1;
        bytes = wrong.into();
    }
    let mut response = proper(request, path, file, &bytes);
    match flaw {
        Some(Flaw::LacksDigests) => _ = response.headers.remove("repr-digest"),
        Some(Flaw::RunsPages) => _ = response.headers.remove("content-disposition"),
        Some(Flaw::Encodes) => {
            response = response.with_header("content-encoding", HeaderValue::from_static("gzip"));
        }
        _ => {}
    }
    response
}

impl RelayService {
    fn answer_challenge(&self, body: &[u8]) -> Response {
        let challenge = Challenge::decode(body).unwrap();
        let url = self.0.url.lock().unwrap().clone().unwrap();
        let psk = match *self.0.conduct.lock().unwrap() {
            Conduct::Impostor => PreSharedKey::from_bytes([0xee; 32]),
            _ => self.0.psk.clone(),
        };
        let key = psk.answer_key(&challenge.dir, &self.0.key.public_key());
        let answer = challenge.answer(&url, &key, &self.0.key).unwrap();
        Response::ok(CBOR, answer.encode().unwrap())
    }
}
