//! HTTP/2: the bounds that HTTP/1.1 has, and those against what only HTTP/2 allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use odi_wire::http::header::{CONTENT_LENGTH, HOST};
use odi_wire::http::{Method, StatusCode, Version};
use odi_wire::serve::{Drained, Limits, Request, Response, Service};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::in_memory::Network;
use super::{Corpus, LARGE, limits};

type Sender = SendRequest<Full<Bytes>>;

/// A caller whose windows for each answer are this wide.
async fn dial(network: &Network, window: u32) -> Sender {
    let io = TokioIo::new(network.connect().await);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn caller(network: &Network) -> Sender {
    dial(network, 1 << 20).await
}

fn request(method: Method, target: &str, body: &'static str) -> hyper::Request<Full<Bytes>> {
    let uri = format!("https://x{target}");
    hyper::Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body))).unwrap()
}

fn get(target: &str) -> hyper::Request<Full<Bytes>> {
    request(Method::GET, target, "")
}

async fn text(response: hyper::Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn answers_as_http1_does() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut caller = caller(&network).await;
    for _ in 0..3 {
        let response = caller.send_request(get("/peer")).await.unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
        assert_eq!(text(response).await, "192.0.2.1");
    }
    let large = caller.send_request(get("/large")).await.unwrap();
    assert_eq!(text(large).await.len() as u64, LARGE);
    let head = caller.send_request(request(Method::HEAD, "/large", "")).await.unwrap();
    assert_eq!(head.headers()[CONTENT_LENGTH], LARGE.to_string());
    assert_eq!(text(head).await, "");
    let none = caller.send_request(get("/nothing")).await.unwrap();
    assert_eq!((none.status(), none.headers().get(CONTENT_LENGTH)), (StatusCode::NOT_MODIFIED, None));
    let echoed = caller.send_request(request(Method::POST, "/echo", "hello")).await.unwrap();
    assert_eq!(text(echoed).await, "hello");
    let panicked = caller.send_request(get("/panic")).await.unwrap();
    assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let hung = caller.send_request(get("/hang")).await.unwrap();
    assert_eq!(hung.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(network.running.open_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_an_error_and_the_connection_goes_on() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut caller = caller(&network).await;
    for path in ["/broken", "/short"] {
        let response = caller.send_request(get(path)).await.unwrap();
        assert!(response.into_body().collect().await.is_err(), "{path}");
    }
    assert_eq!(caller.send_request(get("/peer")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_could_be_read_in_two_ways_is_refused() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut caller = caller(&network).await;
    let status = async |caller: &mut Sender, request| caller.send_request(request).await.unwrap().status();
    let mut other_host = get("/peer");
    other_host.headers_mut().insert(HOST, "y".parse().unwrap());
    assert_eq!(status(&mut caller, other_host).await, StatusCode::BAD_REQUEST);
    let mut two_hosts = get("/peer");
    two_hosts.headers_mut().append(HOST, "x".parse().unwrap());
    two_hosts.headers_mut().append(HOST, "x".parse().unwrap());
    assert_eq!(status(&mut caller, two_hosts).await, StatusCode::BAD_REQUEST);
    let mut many = get("/peer");
    for number in 0..limits().head_fields + 1 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        many.headers_mut().insert(name, "y".parse().unwrap());
    }
    assert_eq!(status(&mut caller, many).await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(status(&mut caller, get(&"/a".repeat(4000))).await, StatusCode::URI_TOO_LONG);
    let mut long_upload = request(Method::POST, "/echo", "x");
    *long_upload.body_mut() = Full::new(Bytes::from(vec![b'x'; 1001]));
    assert_eq!(status(&mut caller, long_upload).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status(&mut caller, get("/peer")).await, StatusCode::OK, "and the connection goes on");
}

/// Remembers how many requests were at work at once; answers none.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for Gauge {
    async fn call(&self, _: Request) -> Response {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        let _counted = Counted(&self.now);
        self.most.fetch_max(now, Ordering::SeqCst);
        std::future::pending().await
    }
}

struct Shared(Arc<Gauge>);

impl Service for Shared {
    async fn call(&self, request: Request) -> Response {
        self.0.call(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_only_so_many_requests_at_work() {
    let gauge = Arc::new(Gauge::default());
    let limits = Limits { h2_streams: 3, ..limits() };
    let network = Network::serve_http2(Shared(Arc::clone(&gauge)), limits);
    let caller = caller(&network).await;
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let mut caller = caller.clone();
        asking.spawn(async move { caller.send_request(get("/")).await.map(|response| response.status()) });
    }
    while let Some(joined) = asking.join_next().await {
        assert_eq!(joined.unwrap().unwrap(), StatusCode::SERVICE_UNAVAILABLE, "it took too long");
    }
    assert_eq!(gauge.most.load(Ordering::SeqCst), 3);
    assert_eq!(gauge.now.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn all_connections_together_have_only_so_many_requests_at_work() {
    let gauge = Arc::new(Gauge::default());
    let network = Network::serve_http2(Shared(Arc::clone(&gauge)), Limits { h2_requests: 4, ..limits() });
    let mut callers = Vec::new();
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let caller = caller(&network).await;
        for _ in 0..3 {
            let mut caller = caller.clone();
            asking.spawn(
                async move { (caller.send_request(get("/")).await.unwrap().status(), Instant::now()) },
            );
        }
        callers.push(caller);
    }
    let began = Instant::now();
    let mut refused_at_once = 0;
    while let Some(joined) = asking.join_next().await {
        let (status, at) = joined.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        refused_at_once += usize::from(at - began < Duration::from_secs(1));
    }
    assert_eq!((refused_at_once, gauge.most.load(Ordering::SeqCst)), (8, 4));
}

/// Rapid reset: a request is taken back as soon as it is under way, so that it never counts as open.
#[tokio::test(start_paused = true)]
async fn whoever_takes_back_every_request_is_cut_off() {
    let gauge = Arc::new(Gauge::default());
    let limits = Limits { h2_abandoned: 20, ..limits() };
    let network = Network::serve_http2(Shared(Arc::clone(&gauge)), limits);
    let mut attacker = caller(&network).await;
    let mut taken_back = 0;
    while attacker.ready().await.is_ok() {
        let answer = tokio::time::timeout(Duration::from_millis(1), attacker.send_request(get("/"))).await;
        if answer.is_ok() {
            break;
        }
        taken_back += 1;
        assert!(taken_back < 1000, "never cut off");
    }
    assert!((20..30).contains(&taken_back), "{taken_back}");
    network.settled(0).await;
    assert_eq!(gauge.now.load(Ordering::SeqCst), 0, "nothing works on for nobody");
}

#[tokio::test(start_paused = true)]
async fn whoever_now_and_then_breaks_off_is_not() {
    let network = Network::serve_http2(Corpus::default(), Limits { h2_abandoned: 5, ..limits() });
    let mut caller = caller(&network).await;
    for _ in 0..50 {
        assert_eq!(caller.send_request(get("/peer")).await.unwrap().status(), StatusCode::OK);
        let broken_off = caller.send_request(get("/hang"));
        assert!(tokio::time::timeout(Duration::from_millis(1), broken_off).await.is_err());
        // A download that breaks off was answered.
        drop(caller.send_request(get("/large")).await.unwrap());
    }
}

/// The window of one answer is shut while the socket takes everything.
#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_nothing_is_cut_off() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut caller = dial(&network, 1000).await;
    let began = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(caller.send_request(get("/large")).await.unwrap());
    }
    network.settled(0).await;
    let stall = limits().stall_interval;
    assert!(began.elapsed() >= stall && began.elapsed() <= stall * 3, "{:?}", began.elapsed());
    for answer in answers {
        assert!(answer.into_body().collect().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_little_gets_everything() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut caller = dial(&network, 16 * 1024).await;
    let mut body = caller.send_request(get("/large")).await.unwrap().into_body();
    let mut got = 0;
    while let Some(frame) = body.frame().await {
        got += frame.expect("not cut off").into_data().unwrap().len() as u64;
        tokio::time::advance(limits().stall_interval / 2).await;
    }
    assert_eq!(got, LARGE);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let network = Network::serve_http2(Corpus::default(), limits());
    let mut polite = caller(&network).await;
    assert_eq!(polite.send_request(get("/peer")).await.unwrap().status(), StatusCode::OK);
    // One that shakes hands and then does nothing, not even read.
    let _silent = network.connect_from("192.0.2.2").await;
    network.settled(2).await;
    let began = Instant::now();
    network.settled(0).await;
    let bound = limits().head_timeout + limits().h2_ping_timeout + limits().stall_interval;
    assert!(began.elapsed() <= bound, "{:?}", began.elapsed());
    assert!(polite.ready().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_answers_finish_and_takes_no_more() {
    let corpus = Corpus::default();
    let gate = Arc::clone(&corpus.gate);
    let network = Network::serve_http2(corpus, limits());
    let mut idle = caller(&network).await;
    assert_eq!(idle.send_request(get("/peer")).await.unwrap().status(), StatusCode::OK);
    let mut busy = caller(&network).await;
    let mut download = busy.send_request(get("/gated")).await.unwrap().into_body();
    let first = download.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first");
    let drain = tokio::spawn(network.running.drain(Duration::from_secs(60)));
    while busy.send_request(get("/peer")).await.is_ok() {
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert!(!drain.is_finished(), "the download goes on");
    gate.notify_one();
    assert_eq!(download.collect().await.unwrap().to_bytes(), "second");
    assert_eq!(drain.await.unwrap(), Drained { cut: 0 });
}
