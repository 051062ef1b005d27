//! A relay of any honesty, in the self-test and afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{CatalogId, Entry, HeadId, Pin, PublicKey, SigningKey, Timestamp};
use odi_wire::file_response::{Caching, FileMeta, plan};
use odi_wire::http::header::HeaderMap;
use odi_wire::http::{HeaderValue, Method, StatusCode};
use odi_wire::media_type::MediaType;
use odi_wire::message::{
    CBOR, CatalogInventory, CatalogPattern, CatalogSummary, Challenge, IdRanges, Inventory, LeaseReply, Look,
    Looked, PreSharedKey, PublicUrl, RelayPlace, RelayReg, RelayState, state,
};
use odi_wire::refusal::Refusal;
use odi_wire::selftest::SELFTEST_NAME;
use odi_wire::serve;
use odi_wire::serve::{Body, Request, Response, Running, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::publisher::entry;
use crate::world::World;

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
    /// Is honest to relays, which say that they pull, and gives wrong bytes to everybody else.
    LiesToClients,
    /// Is honest to that address alone.
    HonestTo(IpAddr),
    /// Never answers.
    Hangs,
}

/// How a relay looks at others for a directory: from 127.0.0.2, which nobody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vantage {
    Honest,
    /// Says that it got other bytes than it did.
    Frames,
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

/// A relay of any honesty.
pub(crate) struct FakeRelay {
    pub(crate) key: SigningKey,
    pub(crate) url: PublicUrl,
    pub(crate) psk: PreSharedKey,
    generation: u64,
    /// What it says of where it stands.
    pub(crate) place: Option<RelayPlace>,
    /// How many bytes of assignments it says that it takes, if fewer than it offered.
    pub(crate) takes: Option<u64>,
    /// Each directory's self-test catalog and its head, once taken.
    selftest: BTreeMap<PublicKey, (CatalogId, HeadId)>,
    shared: Arc<Shared>,
    _running: Running,
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
    /// Who asked for what is no self-test, in their own words.
    agents: Mutex<BTreeSet<String>>,
    vantage: Mutex<Option<Vantage>>,
    /// Header and body of each notice that there is news.
    notices: Mutex<Vec<(HeaderMap, Bytes)>>,
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
            agents: Mutex::default(),
            vantage: Mutex::default(),
            notices: Mutex::default(),
            elsewhere: Mutex::new("http://127.0.0.1:1/evil".to_owned()),
        });
        let listening =
            serve::Server::bind(&["127.0.0.1:0".parse().unwrap()], serve::Limits::default()).await.unwrap();
        let running = listening.spawn(Arc::new(RelayService(Arc::clone(&shared))));
        let url = PublicUrl::parse(&format!("http://{}", running.local_addrs()[0])).unwrap();
        *shared.url.lock().unwrap() = Some(url.clone());
        Self {
            key,
            url,
            psk,
            generation: 0,
            place: None,
            takes: None,
            selftest: BTreeMap::new(),
            shared,
            _running: running,
        }
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

    /// Lets it look at others, and say so.
    pub(crate) fn look_at_others(&self, vantage: Vantage) {
        *self.shared.vantage.lock().unwrap() = Some(vantage);
    }

    /// In what words it was asked for what is no self-test.
    pub(crate) fn agents(&self) -> BTreeSet<String> {
        self.shared.agents.lock().unwrap().clone()
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
        if let Some(taken) = self.selftest.get(&world.id()) {
            return *taken;
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
        self.selftest.insert(world.id(), (own.id, own.head));
        (own.id, own.head)
    }

    /// The targets of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The notices that there is news, as they came.
    pub(crate) fn notices(&self) -> Vec<(HeaderMap, Bytes)> {
        self.shared.notices.lock().unwrap().clone()
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
            place: self.place.clone(),
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
            sent: None,
        };
        let mut catalogs = vec![holding(*catalog, heads)];
        catalogs.extend(self.selftest.values().map(|(id, head)| holding(*id, &[*head])));
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
            caps: {
                let vantage = self.shared.vantage.lock().unwrap().map(|_| "vantage".to_owned());
                self.takes.map(odi_wire::message::room_cap).into_iter().chain(vantage).collect()
            },
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
        if request.method == Method::POST && target == "/odi/v1/notify" {
            let body = request.read_body(4096).await.unwrap();
            self.0.notices.lock().unwrap().push((std::mem::take(&mut request.headers), body));
            return Response::new(StatusCode::NO_CONTENT);
        }
        if request.method == Method::POST && target == "/odi/v1/look" {
            let look = Look::decode(&request.read_body(1 << 20).await.unwrap()).unwrap();
            let vantage = self.0.vantage.lock().unwrap().unwrap();
            let mut looked = from_elsewhere(&look).await;
            if vantage == Vantage::Frames {
                looked.bytes.iter_mut().for_each(|byte| *byte ^= 1);
            }
            return Response::ok(CBOR, looked.encode().unwrap());
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
        let agent = request.headers.get("user-agent").map(|agent| agent.to_str().unwrap().to_owned());
        self.0.agents.lock().unwrap().extend(agent);
        let conduct = *self.0.conduct.lock().unwrap();
        let honest = match conduct {
            Conduct::LiesToClients => request.headers.contains_key("odi-pull"),
            Conduct::HonestTo(only) => request.peer.ip() == only,
            _ => true,
        };
        match conduct {
            Conduct::LiesToClients | Conduct::HonestTo(_) => {
                let flip = u8::from(!honest);
                let bytes: Bytes = file.bytes.iter().map(|byte| byte ^ flip).collect();
                proper(&request, &target, &file, &bytes)
            }
            Conduct::Hangs => std::future::pending().await,
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

/// What somebody at 127.0.0.2 gets, as any client asks.
async fn from_elsewhere(look: &Look) -> Looked {
    let url: url::Url = look.url.parse().unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(format!("{host}:{port}").parse().unwrap()).await.unwrap();
    let range = look.range().map(|range| format!("Range: bytes={}-{}\r\n", range.start, range.end - 1));
    let (path, range) = (url.path(), range.unwrap_or_default());
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{range}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    Looked { v: 1, status, bytes: answer.split_off(end + 4) }
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
