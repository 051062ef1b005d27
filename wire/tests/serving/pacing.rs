//! The budget of all that a server sends: its rate, shared between clients, and its count.
//!
//! Connections are in memory and time is tokio's own, paused: ten seconds of downloads take none, and their bytes are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use odi_wire::http::StatusCode;
use odi_wire::serve::{Body, Request, Response, Service, Throttle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::in_memory::{Network, get, text_of};

const CHUNK: usize = 256 * 1024;
const RATE: u64 = 2_000_000;

/// `/endless` is a gigabyte, `/middling` 100 kB, everything else a line.
struct Files;

impl Service for Files {
    async fn call(&self, request: Request) -> Response {
        let chunks = |count: usize| {
            let chunk = Bytes::from(vec![b'x'; CHUNK]);
            Body::stream((count * CHUNK) as u64, stream::iter((0..count).map(move |_| Ok(chunk.clone()))))
        };
        match request.target() {
            "/endless" => Response::new(StatusCode::OK).with_body(chunks(4000)),
            "/middling" => Response::ok("text/plain", vec![b'y'; 100_000]),
            _ => Response::ok("text/plain", "a line\n"),
        }
    }
}

/// Downloads without end on so many connections; what has come is counted.
async fn download(
    network: &Network,
    address: &str,
    connections: usize,
    tasks: &mut JoinSet<()>,
) -> Arc<AtomicU64> {
    let received = Arc::new(AtomicU64::new(0));
    for _ in 0..connections {
        let mut caller = network.connect_from(address).await;
        let received = Arc::clone(&received);
        tasks.spawn(async move {
            caller.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut some = vec![0; CHUNK];
            while let Ok(read @ 1..) = caller.read(&mut some).await {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
    }
    received
}

/// Lets so many seconds pass.
async fn pass(secs: u64) {
    let _ = tokio::time::timeout(Duration::from_secs(secs), std::future::pending::<()>()).await;
}

fn limited(rate: u64) -> Arc<Throttle> {
    let throttle = Arc::new(Throttle::default());
    throttle.set_rate(Some(rate));
    throttle
}

#[tokio::test(start_paused = true)]
async fn clients_share_the_rate_and_not_its_connections() {
    let throttle = limited(RATE);
    let network = Network::serve_limited(Files, &throttle);
    let mut tasks = JoinSet::new();
    let one = download(&network, "192.0.2.1", 1, &mut tasks).await;
    let many = download(&network, "198.51.100.7", 20, &mut tasks).await;
    pass(20).await;
    let (one, many) = (one.load(Ordering::Relaxed), many.load(Ordering::Relaxed));
    let due = RATE * 20;
    assert!((one + many).abs_diff(due) < due / 50, "{} of {due}", one + many);
    assert!(one.abs_diff(many) < due / 20, "{one} and {many}");
    assert!(throttle.sent() >= one + many, "counted {}, received {}", throttle.sent(), one + many);
}

#[tokio::test(start_paused = true)]
async fn one_alone_takes_what_others_leave() {
    let throttle = limited(RATE);
    let network = Network::serve_limited(Files, &throttle);
    let mut tasks = JoinSet::new();
    let alone = download(&network, "192.0.2.1", 1, &mut tasks).await;
    pass(20).await;
    let (alone, due) = (alone.load(Ordering::Relaxed), RATE * 20);
    assert!(alone.abs_diff(due) < due / 50, "{alone} of {due}");
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_passes_a_crowd() {
    let throttle = limited(RATE);
    let network = Network::serve_limited(Files, &throttle);
    let mut tasks = JoinSet::new();
    for client in 0..50 {
        download(&network, &format!("192.0.2.{client}"), 2, &mut tasks).await;
    }
    pass(5).await;
    let asked = Instant::now();
    let reply = get(&mut network.connect_from("198.51.100.7").await, "GET", "/line").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "a line\n"));
    // Virtual time: one piece of somebody else's, and never a round of all of them (5 s).
    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_without_a_limit() {
    let throttle = Arc::new(Throttle::default());
    let network = Network::serve_limited(Files, &throttle);
    let asked = Instant::now();
    let mut caller = network.connect().await;
    for _ in 0..10 {
        assert_eq!(get(&mut caller, "GET", "/middling").await.body.len(), 100_000);
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert!(throttle.sent() > 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_spent_allowance_cuts_what_is_under_way_and_refusals_still_go_out() {
    let throttle = Arc::new(Throttle::default());
    throttle.allow_up_to(3_000_000);
    let network = Network::serve_limited(Files, &throttle);
    let mut tasks = JoinSet::new();
    let received = download(&network, "192.0.2.1", 3, &mut tasks).await;
    throttle.low().await;
    pass(1).await;
    let before = received.load(Ordering::Relaxed);
    assert!(before <= 3_000_000 && before > 2_000_000, "{before}");
    // More is allowed: the same answers go on.
    throttle.allow_up_to(4_000_000);
    pass(1).await;
    assert!(received.load(Ordering::Relaxed) > before);
    throttle.spend();
    tasks.join_all().await;
    let all = received.load(Ordering::Relaxed);
    assert!(all <= 4_000_000, "{all} of the 4 MB that were allowed");
    let mut late = network.connect_from("192.0.2.2").await;
    assert_eq!(get(&mut late, "GET", "/line").await.status, 200);
    late.write_all(b"GET /middling HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let cut = text_of(&mut late).await;
    assert!(!cut.contains('y') || cut.matches('y').count() < 100_000, "broken off, not sent");
    throttle.allow_up_to(u64::MAX);
    assert_eq!(get(&mut network.connect().await, "GET", "/middling").await.body.len(), 100_000);
    assert_eq!(throttle.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_the_line() {
    let throttle = limited(50_000);
    let network = Network::serve_limited(Files, &throttle);
    let mut tasks = JoinSet::new();
    download(&network, "192.0.2.1", 30, &mut tasks).await;
    pass(1).await;
    assert!(throttle.waiting() >= 29, "{}", throttle.waiting());
    tasks.shutdown().await;
    network.settled(0).await;
    assert_eq!(throttle.waiting(), 0);
}
