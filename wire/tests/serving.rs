//! The accept loop under callers that stall, flood, break off or are caught by a drain.
//!
//! Connections are in memory and time is tokio's own, paused: an hour of stalling takes no time and nothing races.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[path = "serving/http2.rs"]
mod http2;
#[path = "serving/in_memory.rs"]
mod in_memory;
#[path = "serving/pacing.rs"]
mod pacing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use odi_wire::http::StatusCode;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Body, BodyError, Drained, Limits, Request, Response, ServeError, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use in_memory::{Network, get, text_of};

const PIECE: usize = 16 * 1024;
const LARGE: u64 = 64 * PIECE as u64;

/// A service with a path for every way to behave.
#[derive(Default)]
struct Corpus {
    /// Opens the gate of `/gated`.
    gate: Arc<Notify>,
}

impl Service for Corpus {
    async fn call(&self, mut request: Request) -> Response {
        match request.target() {
            "/large" => Response::new(StatusCode::OK).with_body(Body::stream(LARGE, pieces(64))),
            "/gated" => {
                let gate = Arc::clone(&self.gate);
                let first = stream::once(async { Ok(Bytes::from_static(b"first")) });
                let second = stream::once(async move {
                    gate.notified().await;
                    Ok(Bytes::from_static(b"second"))
                });
                Response::new(StatusCode::OK).with_body(Body::stream(11, first.chain(second)))
            }
            "/broken" => {
                let failing =
                    pieces(20).chain(stream::once(async { Err(BodyError::source("the disk is gone")) }));
                Response::new(StatusCode::OK).with_body(Body::stream(LARGE, failing))
            }
            "/short" => Response::new(StatusCode::OK).with_body(Body::stream(LARGE, pieces(20))),
            "/panic" => panic!("as the test wants"),
            "/hang" => std::future::pending().await,
            "/echo" => match request.read_body(1000).await {
                Ok(body) => Response::ok("text/plain", body),
                Err(refusal) => refusal.into_response(),
            },
            "/nothing" => Response::new(StatusCode::NOT_MODIFIED).with_body("never sent"),
            "/peer" => Response::ok("text/plain", request.peer.ip().to_string()),
            _ => Response::from(Refusal::NotFound),
        }
    }
}

fn pieces(count: usize) -> impl futures_util::Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    stream::iter((0..count).map(|_| Ok(Bytes::from(vec![b'x'; PIECE]))))
}

fn limits() -> Limits {
    Limits { connections: 50, connections_per_address: 10, ..Limits::default() }
}

fn network() -> Network {
    Network::serve(Corpus::default(), limits())
}

#[tokio::test(start_paused = true)]
async fn answers_one_request_after_the_other() {
    let network = network();
    let mut caller = network.connect().await;
    for _ in 0..3 {
        let reply = get(&mut caller, "GET", "/peer").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "192.0.2.1"));
    }
    let head = get(&mut caller, "HEAD", "/large").await;
    assert_eq!((head.header("content-length"), head.body.len()), (LARGE.to_string(), 0));
    let none = get(&mut caller, "GET", "/nothing").await;
    assert_eq!((none.status, none.header("content-length")), (304, String::new()));
    assert_eq!(get(&mut caller, "GET", "/other").await.body, "not found\n");
    assert_eq!(network.running.open_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut_off_while_others_are_served() {
    let network = network();
    let mut slow = network.connect_from("192.0.2.66").await;
    let began = Instant::now();
    let mut sent = 0;
    for byte in b"GET /peer HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a')) {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 1000, "never cut off");
        tokio::time::advance(Duration::from_secs(1)).await;
        if sent == 10 {
            let mut other = network.connect().await;
            assert_eq!(get(&mut other, "GET", "/peer").await.status, 200);
        }
    }
    assert!(began.elapsed() <= limits().head_timeout + Duration::from_secs(5), "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_an_open_one_forgotten() {
    let network = network();
    let mut caller = network.connect().await;
    assert_eq!(get(&mut caller, "GET", "/peer").await.status, 200);
    let idle_since = Instant::now();
    assert_eq!(caller.read(&mut [0; 1]).await.unwrap(), 0, "closed");
    assert!(idle_since.elapsed() <= limits().head_timeout + Duration::from_secs(1));
    network.settled(0).await;
}

async fn silence(seconds: u64) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_every_silence_within_the_limit() {
    let network = network();
    let mut caller = network.connect().await;
    for seconds in [0, 1, 2, 3, 10, 18] {
        silence(seconds).await;
        assert_eq!(get(&mut caller, "GET", "/peer").await.status, 200, "after {seconds} s");
    }
    // However a request is cut up by silences, none of it is lost.
    for parts in
        [["G", "ET /peer HTTP/1.1\r\nHost: x\r\n\r\n"], ["GET /peer HTTP/1.1\r\nHo", "st: x\r\n\r\n"]]
    {
        silence(4).await;
        for part in parts {
            caller.write_all(part.as_bytes()).await.unwrap();
            silence(4).await;
        }
        let mut reply = Vec::new();
        while !reply.ends_with(b"192.0.2.1") {
            assert_ne!(caller.read_buf(&mut reply).await.unwrap(), 0, "closed");
        }
    }
    // The first request's answer, and half of the next request in the same packet.
    let (first, rest) = ("GET /peer HTTP/1.1\r\nHost: x\r\n\r\nGET /ec", "ho HTTP/1.1\r\nHost: x\r\n\r\n");
    caller.write_all(first.as_bytes()).await.unwrap();
    silence(4).await;
    caller.write_all(rest.as_bytes()).await.unwrap();
    silence(1).await;
    let mut replies = Vec::new();
    while String::from_utf8_lossy(&replies).matches("HTTP/1.1 200").count() < 2 {
        assert_ne!(caller.read_buf(&mut replies).await.unwrap(), 0, "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_for_a_while_is_not_forgotten() {
    let network = network();
    let mut caller = network.connect().await;
    caller.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut got = 0;
    let mut room = vec![0; 8 * 1024];
    while got < LARGE {
        silence(3).await;
        let count = caller.read(&mut room).await.unwrap();
        assert_ne!(count, 0, "closed after {got} bytes");
        got += count as u64;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_refused() {
    let network = network();
    let mut caller = network.connect().await;
    caller
        .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nten bytes.")
        .await
        .unwrap();
    let reply = text_of(&mut caller).await;
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("stalled"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_long_upload_is_no_hanging_service() {
    let limits = Limits { stall_bytes: 1, ..limits() };
    let network = Network::serve(Corpus::default(), limits.clone());
    let mut caller = network.connect().await;
    caller.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n").await.unwrap();
    let began = Instant::now();
    for _ in 0..30 {
        let early = tokio::time::timeout(Duration::from_secs(10), caller.read_u8()).await;
        assert!(early.is_err(), "answered after {:?}", began.elapsed());
        caller.write_all(b"x").await.unwrap();
    }
    assert!(began.elapsed() > limits.answer_timeout * 2);
    assert_eq!(in_memory::reply(&mut caller, "POST").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_up_to_its_bound_and_no_further() {
    let network = network();
    let mut caller = network.connect().await;
    caller.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
    assert_eq!(in_memory::reply(&mut caller, "POST").await.body, "hello");
    let mut caller = network.connect().await;
    caller.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n").await.unwrap();
    assert_eq!(in_memory::reply(&mut caller, "POST").await.status, 413, "known before a byte came");
    let mut caller = network.connect().await;
    let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    caller.write_all(head.as_bytes()).await.unwrap();
    let refused = text_of(&mut caller).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_reading_is_cut_off() {
    let network = network();
    let mut caller = network.connect().await;
    caller.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let began = Instant::now();
    network.settled(1).await;
    network.settled(0).await;
    let stall = limits().stall_interval;
    assert!(began.elapsed() >= stall && began.elapsed() <= stall * 3, "{:?}", began.elapsed());
    let mut got = Vec::new();
    caller.read_to_end(&mut got).await.unwrap();
    assert!((got.len() as u64) < LARGE, "a short body");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_reads_slowly_gets_everything() {
    let network = network();
    let mut caller = network.connect().await;
    caller.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut got = 0;
    let mut some = [0; 2048];
    while got < LARGE {
        let read = caller.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "cut off after {got} bytes");
        got += read as u64;
        tokio::time::advance(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_short_and_the_connection_ends() {
    let network = network();
    for path in ["/broken", "/short"] {
        let mut caller = network.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        caller.write_all(head.as_bytes()).await.unwrap();
        let reply = text_of(&mut caller).await;
        assert!(reply.contains(&format!("content-length: {LARGE}\r\n")), "{path}: {} bytes", reply.len());
        assert!((reply.len() as u64) < LARGE, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_500() {
    let network = network();
    let mut caller = network.connect().await;
    let reply = get(&mut caller, "GET", "/panic").await;
    assert_eq!((reply.status, reply.body.as_str()), (500, "internal error\n"));
    assert_eq!(get(&mut caller, "GET", "/peer").await.status, 200, "the same connection goes on");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_answered_for() {
    let network = network();
    let mut caller = network.connect().await;
    let reply = get(&mut caller, "GET", "/hang").await;
    assert_eq!((reply.status, reply.header("retry-after").as_str()), (503, "10"));
}

#[tokio::test(start_paused = true)]
async fn one_address_cannot_take_every_connection() {
    let network = network();
    let mut held = Vec::new();
    for _ in 0..limits().connections_per_address {
        held.push(network.connect_from("192.0.2.66").await);
    }
    network.settled(held.len()).await;
    let mut over = network.connect_from("192.0.2.66").await;
    let turned_away = text_of(&mut over).await;
    assert!(turned_away.starts_with("HTTP/1.1 503 ") && turned_away.ends_with("too many connections\n"));
    let mut other = network.connect().await;
    assert_eq!(get(&mut other, "GET", "/peer").await.status, 200);
    drop(held);
    network.settled(1).await;
}

#[tokio::test(start_paused = true)]
async fn there_is_a_limit_in_all() {
    let network = network();
    let mut held = Vec::new();
    for i in 0..limits().connections {
        held.push(network.connect_from(&format!("192.0.2.{}", 100 + i % 10)).await);
    }
    network.settled(held.len()).await;
    let mut over = network.connect().await;
    assert!(text_of(&mut over).await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_downloads_finish_and_closes_the_idle() {
    let corpus = Corpus::default();
    let gate = Arc::clone(&corpus.gate);
    let network = Network::serve(corpus, limits());
    let mut idle = network.connect().await;
    assert_eq!(get(&mut idle, "GET", "/peer").await.status, 200);
    let mut download = network.connect().await;
    download.write_all(b"GET /gated HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 1024];
    let mut head = String::new();
    while !head.ends_with("first") {
        let read = download.read(&mut first).await.unwrap();
        head.push_str(std::str::from_utf8(&first[..read]).unwrap());
    }
    let drain = tokio::spawn(network.running.drain(Duration::from_secs(60)));
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle connection is closed at once");
    gate.notify_one();
    assert_eq!(text_of(&mut download).await, "second");
    assert_eq!(drain.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline() {
    let network = network();
    let mut download = network.connect().await;
    download.write_all(b"GET /gated HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    network.settled(1).await;
    let began = Instant::now();
    assert_eq!(network.running.drain(Duration::from_secs(7)).await, Drained { cut: 1 });
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert!(!text_of(&mut download).await.ends_with("second"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_accept_loop_is_reported() {
    let mut network = network();
    network.break_accept();
    let failed = network.running.failed().await;
    assert!(matches!(failed, ServeError::AcceptLoopEnded { source: Some(panic) } if panic.is_panic()));
}
