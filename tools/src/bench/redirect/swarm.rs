//! Many relays in one: each has a key, an address of 127.0.0.0/8 and a network of its own, and behaves as relays do.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use odi_manifest::{BlobId, CatalogId, Clock, Entry, HeadId, PublicKey, Sha256, SigningKey, SystemClock};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::file_response::{Caching, FileMeta, plan};
use odi_wire::http::{HeaderValue, Method, StatusCode};
use odi_wire::media_type::MediaType;
use odi_wire::message::{
    CBOR, CHALLENGE_BYTES_MAX, CatalogInventory, CatalogSummary, Challenge, DirectoryStatus, IdRanges,
    Inventory, PreSharedKey, PublicUrl, RelayReg, WellKnown, from_json, state,
};
use odi_wire::refusal::Refusal;
use odi_wire::selftest::SELFTEST_NAME;
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use tokio::task::JoinHandle;
use url::Url;

use super::catalog::Catalog;
use super::rows::network;
use super::servers::Directory;

/// How often each relay announces itself.
const ANNOUNCED_EVERY: Duration = Duration::from_secs(20);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Relays are at networks that no client is at.
const RELAY_NETWORKS: u64 = 1 << 40;

/// The relays at work.
pub(super) struct Swarm {
    running: Running,
    announcing: JoinHandle<()>,
}

/// One of them.
struct Relay {
    key: SigningKey,
    psk: PreSharedKey,
    url: PublicUrl,
    from: HeaderValue,
}

/// What all of them share.
struct Shared {
    relays: Vec<Relay>,
    /// Where each is among them, by host and port.
    by_host: HashMap<String, usize>,
    catalog: Arc<Catalog>,
    /// The directory's self-test, by `/{pin}/{path}`.
    test: HashMap<String, (Entry, Bytes)>,
}

/// A directory as a relay sees it.
#[derive(Clone)]
struct There {
    client: Client,
    url: Url,
    id: PublicKey,
}

impl Swarm {
    /// Lets so many relays join, and waits until clients are sent to all of them.
    pub(super) async fn join(count: usize, directory: &Directory, catalog: &Arc<Catalog>) -> Result<Self> {
        let server = Server::bind(&[(Ipv4Addr::UNSPECIFIED, 0).into()], Limits::default()).await?;
        let there = There::meet(&directory.url).await?;
        let test = there.selftest().await?;
        let test_inventory = (test.id, test.head);
        let files = there.files_of(&test).await?;
        let listening_port = server.local_addrs().first().context("the relays listen")?.port();
        let relays =
            (0..count).map(|number| Relay::numbered(number, listening_port)).collect::<Result<Vec<_>>>()?;
        let by_host = relays.iter().map(|relay| relay.url.to_url().authority().to_owned()).zip(0..).collect();
        let shared = Arc::new(Shared { relays, by_host, catalog: Arc::clone(catalog), test: files });
        let running = server.spawn(Arc::new(Relays(Arc::clone(&shared))));
        for relay in &shared.relays {
            there.post("odi/v1/relays", relay, state(relay.registration(there.id), &relay.key)?).await?;
        }
        let announcing = tokio::spawn(announce(Arc::clone(&shared), there.clone(), test_inventory));
        there.until_ready(count).await?;
        Ok(Self { running, announcing })
    }

    /// Ends them.
    pub(super) async fn stop(self) {
        self.announcing.abort();
        self.running.drain(Duration::from_secs(1)).await;
    }
}

impl Relay {
    fn numbered(number: usize, port: u16) -> Result<Self> {
        let mut seed = [0; 32];
        blake3::Hasher::new().update(b"relay").update(&number.to_le_bytes()).finalize_xof().fill(&mut seed);
        let host = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(number)?;
        let from = network(RELAY_NETWORKS + number as u64).to_string();
        Ok(Self {
            key: SigningKey::from_seed(&seed),
            psk: PreSharedKey::from_bytes(seed),
            url: PublicUrl::parse(&format!("http://{}:{port}", Ipv4Addr::from(host)))?,
            from: HeaderValue::from_str(&from)?,
        })
    }

    fn registration(&self, dir: PublicKey) -> RelayReg {
        let now = SystemClock.now();
        RelayReg {
            v: 1,
            relay: self.key.public_key(),
            dir,
            urls: vec![self.url.clone()],
            psk: self.psk.clone(),
            generation: now.0,
            ct: now,
            nonce: [7; 16],
            catalogs: Vec::new(),
            tags: Vec::new(),
            disk: 1 << 44,
            rate: 0,
            place: None,
        }
    }

    /// It holds everything.
    fn inventory(&self, holdings: &[(CatalogId, HeadId)]) -> Inventory {
        let holding = |(cat, head): &(CatalogId, HeadId)| CatalogInventory {
            cat: *cat,
            served: vec![*head],
            full: Some(*head),
            fills: IdRanges::all(),
            ranges: IdRanges::all(),
            plus: Vec::new(),
            minus: Vec::new(),
            sent: None,
        };
        let mut catalogs: Vec<CatalogInventory> = holdings.iter().map(holding).collect();
        catalogs.sort_by_key(|holding| holding.cat);
        let now = SystemClock.now();
        Inventory {
            v: 1,
            relay: self.key.public_key(),
            generation: now.0,
            t: now,
            exp: now.plus(3 * ANNOUNCED_EVERY),
            bans: Vec::new(),
            urls: vec![self.url.clone()],
            caps: Vec::new(),
            catalogs,
        }
    }

    fn answer(&self, body: &[u8]) -> Result<Response, Refusal> {
        let challenge = Challenge::decode(body).map_err(|_| Refusal::bad_request("no challenge"))?;
        let key = self.psk.answer_key(&challenge.dir, &self.key.public_key());
        let answer = challenge.answer(&self.url, &key, &self.key).map_err(|_| Refusal::Internal)?;
        Ok(Response::ok(CBOR, answer.encode().map_err(|_| Refusal::Internal)?))
    }
}

/// Says for each relay what it holds, one after the other all the time.
async fn announce(shared: Arc<Shared>, there: There, test: (CatalogId, HeadId)) {
    let holdings = [(shared.catalog.id, shared.catalog.head), test];
    let every = ANNOUNCED_EVERY / u32::try_from(shared.relays.len()).unwrap_or(u32::MAX);
    let mut turns = tokio::time::interval(every);
    for relay in shared.relays.iter().cycle() {
        turns.tick().await;
        let Ok(envelope) = state(relay.inventory(&holdings), &relay.key) else { continue };
        // One that does not arrive is made up for by the next.
        let _lost = there.post("odi/v1/relays/inventory", relay, envelope).await;
    }
}

impl There {
    async fn meet(url: &str) -> Result<Self> {
        let client = Client::new(ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() })?;
        let url = Url::parse(url)?;
        let bytes = get(&client, &url, ".well-known/odi").await?;
        let id = from_json::<WellKnown>(&bytes, "a directory")?.id;
        Ok(Self { client, url, id })
    }

    async fn selftest(&self) -> Result<CatalogSummary> {
        let bytes = get(&self.client, &self.url, "odi/v1/catalogs").await?;
        let catalogs: Vec<CatalogSummary> = from_json(&bytes, "a list of catalogs")?;
        let own = catalogs.into_iter().find(|catalog| catalog.name == SELFTEST_NAME);
        own.context("the directory has a self-test")
    }

    async fn files_of(&self, test: &CatalogSummary) -> Result<HashMap<String, (Entry, Bytes)>> {
        let mut files = HashMap::new();
        let sizes = ["0", "1", "262143", "262144", "262145", "8388609"].map(|size| format!("sizes/{size}"));
        for path in sizes.into_iter().chain(["page/index.html".to_owned()]) {
            let target = format!("{}/{path}", test.pin);
            let reply = self.client.send(Ask::get(&self.url.join(&target)?)).await?;
            let modified = reply.headers.get("last-modified").and_then(|time| time.to_str().ok());
            let mtime = modified.and_then(odi_wire::http_date::parse).context("a file has a time")?;
            let bytes = reply.body.collect().await?;
            let (blob, sha256) = (BlobId::of(&bytes), Sha256::of(&bytes));
            let entry = Entry { size: bytes.len() as u64, blob, sha256, mtime, ext: None };
            files.insert(format!("/{target}"), (entry, bytes));
        }
        Ok(files)
    }

    async fn post(&self, path: &str, relay: &Relay, envelope: Vec<u8>) -> Result<()> {
        let ask = Ask::post(&self.url.join(path)?, CBOR, envelope);
        let reply = self.client.send(ask.header("x-forwarded-for", relay.from.clone())).await?;
        ensure!(reply.status.is_success(), "{path} of {} was answered {}", relay.url, reply.status);
        Ok(())
    }

    async fn until_ready(&self, count: usize) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let bytes = get(&self.client, &self.url, "odi/v1/status").await?;
            let status = from_json::<DirectoryStatus>(&bytes, "a status")?;
            let ready = usize::try_from(status.relays.ready)?;
            if ready == count && status.ready {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "after {} s {ready} of {count} relays are ready: {:?}",
                    PATIENCE.as_secs(),
                    status.relays
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn get(client: &Client, base: &Url, path: &str) -> Result<Bytes> {
    let reply = client.send(Ask::get(&base.join(path)?)).await?;
    ensure!(reply.status == StatusCode::OK, "{path} was answered {}", reply.status);
    Ok(reply.body.collect().await?)
}

/// The relays' one server.
struct Relays(Arc<Shared>);

impl Service for Relays {
    async fn call(&self, request: Request) -> Response {
        self.answer(request).await.unwrap_or_else(Refusal::into_response)
    }
}

impl Relays {
    async fn answer(&self, mut request: Request) -> Result<Response, Refusal> {
        let target = request.target().to_owned();
        if request.method == Method::POST && target == "/.well-known/odi/challenge" {
            let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let at = self.0.by_host.get(host).copied();
            let relay = at.and_then(|at| self.0.relays.get(at)).ok_or(Refusal::NotFound)?;
            let body = request.read_body(CHALLENGE_BYTES_MAX).await?;
            return relay.answer(&body);
        }
        if request.method == Method::POST {
            return Ok(Response::new(StatusCode::NO_CONTENT));
        }
        if target.ends_with('/') {
            return Ok(Response::ok("text/html", "a folder"));
        }
        let of_test = self.0.test.get(&target).cloned();
        let (entry, bytes) = of_test.or_else(|| self.0.catalog.at(&target)).ok_or(Refusal::NotFound)?;
        let file = FileMeta {
            size: entry.size,
            blob: entry.blob,
            sha256: Some(entry.sha256),
            mtime: Some(entry.mtime),
            media: MediaType::of_path(&target),
            caching: Caching::Pinned,
        };
        Ok(plan(&request.method, &request.headers, &file).respond_from(&bytes))
    }
}
