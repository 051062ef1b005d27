//! A gate before a server: it counts, it may be slow, and it may do mischief to what relays ask for.
//!
//! The origin always stands behind one, for its count. Relays do where they are to be hostile, since a real relay behind a
//! lying gate joins, answers challenges and passes a directory's tests like any other; and where no namespace shapes
//! their links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use odi_wire::http::{Method, StatusCode};
use odi_wire::serve::{Body, BodyError, Limits, Request, Response, Server, Service};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::demo::Origin;

/// Where a gate says how many bytes it has sent.
pub(super) const COUNT: &str = "/-/sent";
/// The largest request body that passes: statements and challenges.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// What goes through a shaped gate at once.
const PIECE: usize = 16 << 10;

/// What a gate does to content that a relay asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mischief {
    /// One bit of the answer is wrong.
    Flip,
    /// The answer ends half way.
    Truncate,
    /// The answer begins and never goes on.
    Stall,
    /// The file is said to be longer than it is, and so is the answer.
    Length,
}

/// What `odi bench swarm --gate` takes: the bench starts itself so in each namespace that needs one.
#[derive(Clone, Debug, clap::Args)]
pub struct GateArgs {
    /// Is a gate that listens here.
    #[arg(long = "gate", hide = true, value_name = "ADDR", requires = "behind")]
    pub listen: Option<std::net::SocketAddr>,
    /// What is behind the gate: the URL of a relay, or the path of an origin's folder.
    #[arg(long, hide = true)]
    pub behind: Option<String>,
    /// Bits per second.
    #[arg(long, hide = true)]
    pub gate_rate: Option<u64>,
    /// What it does to relays.
    #[arg(long, hide = true)]
    pub mischief: Option<Mischief>,
}

/// Serves until it is killed.
pub(super) async fn run(args: &GateArgs) -> Result<()> {
    let listen = args.listen.context("a gate listens somewhere")?;
    let behind = args.behind.clone().context("a gate stands before something")?;
    let _origin;
    let inner = if behind.starts_with("http:") {
        Url::parse(&behind)?
    } else {
        let origin = Origin::start(behind.into()).await?;
        let url = Url::parse(&origin.url())?;
        _origin = origin;
        url
    };
    let client = Client::new(ClientPolicy {
        allow_private_addresses: true,
        stall_interval: Duration::from_secs(600),
        ..ClientPolicy::default()
    })?;
    let shaper = args.gate_rate.map(|bits| Arc::new(Shaper::new(bits / 8)));
    let gate = Gate { inner, client, shaper, mischief: args.mischief, sent: Arc::default() };
    let server = Server::bind(&[listen], Limits::default()).await?;
    let mut running = server.spawn(Arc::new(gate));
    Err(running.failed().await.into())
}

struct Gate {
    inner: Url,
    client: Client,
    shaper: Option<Arc<Shaper>>,
    mischief: Option<Mischief>,
    sent: Arc<AtomicU64>,
}

impl Service for Gate {
    async fn call(&self, mut request: Request) -> Response {
        if request.target() == COUNT {
            return Response::ok("text/plain", self.sent.load(Ordering::Relaxed).to_string());
        }
        self.pass(&mut request).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "behind the gate");
            Response::new(StatusCode::BAD_GATEWAY)
        })
    }
}

impl Gate {
    async fn pass(&self, request: &mut Request) -> Result<Response> {
        let url = self.inner.join(request.target())?;
        let mut ask = if request.method == Method::POST {
            let body = request.read_body(REQUEST_BYTES_MAX).await.map_err(|_| anyhow::anyhow!("no body"))?;
            Ask::post(&url, "application/cbor", body)
        } else {
            Ask::get(&url)
        };
        for (name, value) in request.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
            ask = ask.header(name.clone(), value.clone());
        }
        // The relay behind compares it with its public URLs.
        let reply = self.client.send(ask.reply_bytes_max(u64::MAX)).await?;
        let length = reply.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let mischief = self.mischief.filter(|_| is_content(request) && reply.status.is_success());
        let mut response = Response::new(reply.status);
        response.headers = headers_for(&reply.headers, mischief);
        let body = reply.body.into_stream().map(|item| item.map_err(BodyError::source)).boxed();
        let (length, body) = spoiled(length.unwrap_or(0), body, mischief);
        let body = pieces(body);
        let (shaper, sent) = (self.shaper.clone(), Arc::clone(&self.sent));
        let body = body.then(move |item| {
            let (shaper, sent) = (shaper.clone(), Arc::clone(&sent));
            async move {
                let bytes = item?;
                if let Some(shaper) = shaper {
                    shaper.pass(bytes.len()).await;
                }
                sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            }
        });
        Ok(response.with_body(Body::stream(length, body)))
    }
}

/// Whether a relay asks for bytes of artifacts: directories that test a liar see an honest relay.
fn is_content(request: &Request) -> bool {
    let by_relay =
        request.headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"odi-relayd"));
    let path = request.target();
    by_relay && (path.starts_with("/@") || path.starts_with("/blake3/"))
}

fn headers_for(inner: &HeaderMap, mischief: Option<Mischief>) -> HeaderMap {
    let mut headers = inner.clone();
    for hop in [CONTENT_LENGTH, HOST] {
        headers.remove(hop);
    }
    headers.remove("connection");
    headers.remove("date");
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    if mischief == Some(Mischief::Length)
        && let Some(range) = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok())
        && let Some((range, size)) = range.rsplit_once('/')
        && let Ok(longer) =
            HeaderValue::from_str(&format!("{range}/{}", size.parse::<u64>().unwrap_or(0) + 999))
    {
        headers.insert(CONTENT_RANGE, longer);
    }
    headers
}

type Pieces = BoxStream<'static, Result<Bytes, BodyError>>;

fn spoiled(length: u64, body: Pieces, mischief: Option<Mischief>) -> (u64, Pieces) {
    match mischief {
        None => (length, body),
        Some(Mischief::Flip) => {
            let flipped = body.enumerate().map(|(at, item)| {
                let mut bytes = BytesMut::from(item?.as_ref());
                if let Some(byte) = bytes.first_mut().filter(|_| at == 0) {
                    *byte ^= 1;
                }
                Ok(bytes.freeze())
            });
            (length, flipped.boxed())
        }
        Some(Mischief::Truncate) => {
            let mut left = length / 2;
            let cut = body.map(move |item| {
                let bytes = item?;
                left = left
                    .checked_sub(bytes.len() as u64)
                    .ok_or_else(|| BodyError::source("cut by the gate"))?;
                Ok(bytes)
            });
            (length, cut.boxed())
        }
        Some(Mischief::Stall) => (length, body.take(1).chain(stream::pending()).boxed()),
        Some(Mischief::Length) => {
            let more = stream::iter([Ok(Bytes::from_static(&[0; 999]))]);
            (length + 999, body.chain(more).boxed())
        }
    }
}

/// The same bytes in pieces that a shaped link would carry.
fn pieces(body: Pieces) -> Pieces {
    body.flat_map(|item| match item {
        Ok(mut bytes) => {
            let mut cut = Vec::with_capacity(bytes.len() / PIECE + 1);
            while !bytes.is_empty() {
                cut.push(Ok(bytes.split_to(bytes.len().min(PIECE))));
            }
            stream::iter(cut)
        }
        Err(error) => stream::iter(vec![Err(error)]),
    })
    .boxed()
}

/// A link of so many bytes a second, first come, first served.
struct Shaper {
    bytes_a_second: u64,
    free_at: Mutex<Instant>,
}

impl Shaper {
    fn new(bytes_a_second: u64) -> Self {
        Self { bytes_a_second: bytes_a_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    async fn pass(&self, bytes: usize) {
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_a_second);
        let until = {
            let mut free_at = self.free_at.lock().await;
            *free_at = (*free_at).max(Instant::now()) + takes;
            *free_at
        };
        tokio::time::sleep_until(until).await;
    }
}
