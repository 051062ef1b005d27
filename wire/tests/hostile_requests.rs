//! Bytes on a real socket that no decent client sends: smuggling, giants, escapes, ranges without end; plain, and inside TLS.
//!
//! Every case ends in a named refusal or a closed connection, and the server goes on serving.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_fixtures::TestAuthority;
use odi_manifest::BlobId;
use odi_wire::file_response::{Caching, FileMeta, plan};
use odi_wire::media_type::MediaType;
use odi_wire::refusal::Refusal;
use odi_wire::route::{self, Route};
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use odi_wire::tls::{Certificate, Certificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const CONTENT: &[u8] = &[b'x'; 100_000];

/// Answers every artifact with the same file, and everything with the name that it understood.
struct OneFile;

impl Service for OneFile {
    async fn call(&self, request: Request) -> Response {
        match route::parse(&request.method, request.target()) {
            Ok(Route::Artifact { .. }) => {
                let file = FileMeta {
                    size: CONTENT.len() as u64,
                    blob: BlobId::of(CONTENT),
                    sha256: None,
                    mtime: Some(1),
                    media: MediaType::OCTETS,
                    caching: Caching::Pinned,
                };
                plan(&request.method, &request.headers, &file).respond_from(&Bytes::from_static(CONTENT))
            }
            Ok(_) => Response::ok("text/plain", "another route"),
            Err(refusal) => Refusal::into_response(refusal),
        }
    }
}

/// One way to the service.
struct Target {
    addr: SocketAddr,
    /// What a client of a TLS listener believes.
    tls: Option<Arc<ClientConfig>>,
    server: Arc<(Running, tokio::runtime::Runtime)>,
}

/// The plain listener and the one with TLS: what is inside is read by the same rules.
fn targets() -> [Target; 2] {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limits = Limits { head_timeout: Duration::from_secs(2), ..Limits::default() };
    let authority = TestAuthority::new();
    let (chain, key) = authority.issue(&["127.0.0.1"]);
    let certificates = Arc::new(Certificates::default());
    certificates.replace(Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    let running = runtime.block_on(async {
        let any = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let server = Server::bind_public(&any, &any, Some(certificates), limits).await.unwrap();
        server.spawn(Arc::new(OneFile))
    });
    let (secure, plain) = (running.local_addrs()[0], running.local_addrs()[1]);
    let server = Arc::new((running, runtime));
    let tls = Some(believing(&authority));
    [Target { addr: plain, tls: None, server: Arc::clone(&server) }, Target { addr: secure, tls, server }]
}

fn target() -> Target {
    let [plain, _] = targets();
    plain
}

fn believing(authority: &TestAuthority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Sends all of it and reads to the end, as far as either goes: the server may answer and close before it has read everything.
fn say(mut stream: impl Read + Write, request: &[u8]) -> Vec<u8> {
    let _sent = stream.write_all(request).and_then(|()| stream.flush());
    let mut reply = Vec::new();
    let _closed = stream.read_to_end(&mut reply);
    reply
}

impl Target {
    /// Sends bytes and reads until the server closes, which it does at the latest when the head timeout ends.
    fn exchange(&self, request: &[u8]) -> String {
        assert!(!self.server.0.local_addrs().is_empty(), "the server runs");
        let socket = TcpStream::connect(self.addr).unwrap();
        let reply = match &self.tls {
            None => say(socket, request),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let session = ClientConnection::new(Arc::clone(config), name).unwrap();
                say(StreamOwned::new(session, socket), request)
            }
        };
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// The same for a request that is well formed but for what it tests, and is the last of its connection.
    fn exchange_one(&self, request: &str) -> String {
        self.exchange(request.replacen("\r\nHost:", "\r\nConnection: close\r\nHost:", 1).as_bytes())
    }

    fn statuses(&self, request: &[u8]) -> Vec<u16> {
        statuses_in(&self.exchange(request))
    }

    fn status(&self, request: &str) -> u16 {
        statuses_in(&self.exchange_one(request)).first().copied().unwrap_or(0)
    }
}

fn statuses_in(reply: &str) -> Vec<u16> {
    let marker = "HTTP/1.1 ";
    let heads = reply.match_indices(marker);
    heads.map(|(at, _)| reply[at + marker.len()..][..3].parse().unwrap()).collect()
}

const SMUGGLED: &str = "GET /smuggled/x HTTP/1.1\r\nHost: x\r\n\r\n";

/// What counts is that the second, smuggled request is never answered.
#[test]
fn framing_that_two_servers_could_read_differently_ends_the_connection() {
    for target in targets() {
        let chunked = format!("0\r\n\r\n{SMUGGLED}");
        let long = chunked.len();
        for head in [
            format!("Content-Length: {long}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {long}\r\n\r\n{chunked}"),
            format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: chunked\r\n\r\n0;ext=\"a\nb\"\r\n\r\n{SMUGGLED}"),
            format!("Transfer-Encoding: xchunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: identity, chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding : chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding:\u{b}chunked\r\n\r\n{chunked}"),
            format!(" Transfer-Encoding: chunked\r\n\r\n{chunked}"),
            format!("X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            format!("Content-Length: 0\r\nContent-Length: {long}\r\n\r\n{chunked}"),
            format!("Content-Length: 0, 0\r\n\r\n{SMUGGLED}"),
            format!("Content-Length: +0\r\n\r\n{SMUGGLED}"),
            format!("Content-Length: -1\r\n\r\n{SMUGGLED}"),
            format!("Content-Length: 0x0\r\n\r\n{SMUGGLED}"),
            format!("Content-Length: 18446744073709551616\r\n\r\n{SMUGGLED}"),
            format!("Content-Length :0\r\n\r\n{SMUGGLED}"),
            format!("Host: y\r\n\r\n{SMUGGLED}"),
            format!("X: a\0b\r\n\r\n{SMUGGLED}"),
            format!("X: a\rY: b\r\n\r\n{SMUGGLED}"),
        ] {
            let statuses =
                target.statuses(format!("POST /debian/x HTTP/1.1\r\nHost: x\r\n{head}").as_bytes());
            assert!(statuses.len() <= 1, "{head:?} was answered {statuses:?}");
            assert!(
                statuses.iter().all(|status| (400..500).contains(status)),
                "{head:?} was answered {statuses:?}"
            );
        }
    }
}

/// RFC 9112 § 2.2 lets a lone LF end a line. It does so in every header alike, so nothing hides behind one.
#[test]
fn a_bare_line_feed_hides_no_header() {
    for target in targets() {
        let statuses = target.statuses(
        format!("POST /debian/x HTTP/1.1\r\nHost: x\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}").as_bytes(),
    );
        assert_eq!(statuses, [411]);
        let statuses = target.statuses(
            format!(
                "POST /debian/x HTTP/1.1\r\nHost: x\r\nContent-Length: {}\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            )
            .as_bytes(),
        );
        assert!(statuses.len() <= 1, "{statuses:?}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for target in targets() {
        let two = "GET /debian/x HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\nGET /blake3/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(target.statuses(two.as_bytes()), [206, 404]);
    }
}

#[test]
fn heads_have_a_size_and_a_number_of_fields() {
    for target in targets() {
        let get = |fields: &str| format!("GET /debian/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let many: String = (0..200).map(|i| format!("X-{i}: y\r\n")).collect();
        assert_eq!(target.status(&get(&many)), 431);
        let giant = format!("X: {}\r\n", "y".repeat(100_000));
        // Closing on unread bytes may reset the connection before the answer is read.
        assert!(matches!(target.status(&get(&giant)), 0 | 431));
        let long = format!("GET /debian/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(10_000));
        assert_eq!(target.status(&long), 414);
        let endless = format!("GET /{}", "a".repeat(200_000));
        assert!(matches!(target.status(&endless), 0 | 414 | 431));
        assert_eq!(target.status(&get("")), 200, "and the server goes on");
    }
}

#[test]
fn request_lines_that_are_none() {
    for target in targets() {
        for line in [
            "GET /debian/x",
            "GET  /debian/x HTTP/1.1",
            "GET /debian/x HTTP/2.0",
            "GET /debian/x HTTP/1.1 x",
            "GET /debian/\u{1}x HTTP/1.1",
            "GET debian/x HTTP/1.1",
            "get\0 /debian/x HTTP/1.1",
            "GET /debian/x y HTTP/1.1",
            "CONNECT example.org:443 HTTP/1.1",
            "CONNECT /debian/x HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "PRI * HTTP/2.0",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        ] {
            let status = target.status(&format!("{line}\r\nHost: x\r\n\r\n"));
            assert!(status == 0 || (400..600).contains(&status), "{line:?} was answered {status}");
        }
        assert_eq!(target.status("GET /debian/x HTTP/1.1\r\n\r\n"), 400, "no Host");
        assert_eq!(target.status("GET /debian/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400, "two Hosts");
        assert!(target.exchange(b"GET /debian/x HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
        assert_eq!(target.status("GET http://elsewhere.example/debian/x HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    }
}

#[test]
fn escapes_and_bytes_in_the_target() {
    for target in targets() {
        for (path, expected) in [
            ("/debian/%00", 400),
            ("/debian/%", 400),
            ("/debian/%zz", 400),
            ("/debian/%c0%ae%c0%ae/x", 400),
            ("/debian/%2e%2e/%2e%2e/etc/passwd", 404),
            ("/debian/../../etc/passwd", 404),
            ("/debian/..%5c..%5cx", 404),
            ("/debian/x%0d%0aSet-Cookie:%20a=b", 404),
            ("/debian/x%252e", 200),
            ("/debian/a%2fb", 200),
        ] {
            let reply =
                target.exchange_one(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n"));
            let status: u16 = reply.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(if status == 206 { 200 } else { status }, expected, "{path}");
            assert!(!reply.to_ascii_lowercase().contains("set-cookie"), "{path}");
        }
        let raw = b"GET /debian/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n";
        assert!(target.statuses(raw).iter().all(|status| (400..500).contains(status)));
    }
}

#[test]
fn ranges_without_end_cost_no_more_than_the_file() {
    for target in targets() {
        let length = |ranges: &str| -> (u16, usize) {
            let reply = target
                .exchange_one(&format!("GET /debian/x HTTP/1.1\r\nHost: x\r\nRange: bytes={ranges}\r\n\r\n"));
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            (head.split(' ').nth(1).unwrap().parse().unwrap(), body.len())
        };
        let overlapping = vec!["0-"; 3000].join(",");
        assert_eq!(length(&overlapping), (200, CONTENT.len()));
        // Just within the largest head.
        let many: Vec<String> = (0..2500).map(|i| format!("{}-{}", i * 10, i * 10)).collect();
        assert_eq!(length(&many.join(",")), (200, CONTENT.len()));
        let (status, bytes) = length("0-9,50000-50009,-10");
        assert!(status == 206 && bytes < 1000, "{status} {bytes}");
        assert_eq!(length("100000-").0, 416);
    }
}

/// Nothing that a caller claims about itself comes back to it.
#[test]
fn claims_about_the_host_change_nothing() {
    for target in targets() {
        let reply = |host: &str, fields: &str| {
            let text = target.exchange_one(&format!(
                "GET /debian/x HTTP/1.1\r\nHost: {host}\r\nRange: bytes=0-0\r\n{fields}\r\n"
            ));
            text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
        };
        let plain = reply("x", "");
        assert_eq!(reply("evil.example", ""), plain);
        assert_eq!(reply("x", "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n"), plain);
        assert_eq!(
            reply("x", "Forwarded: host=evil.example;proto=https\r\nX-Original-URL: /odi/v1/status\r\n"),
            plain
        );
    }
}

#[test]
fn two_hundred_slow_callers_hold_up_nobody_and_are_cut_off() {
    let target = target();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(target.addr).unwrap()).collect();
    for socket in &mut slow {
        socket.write_all(b"GET /debian/x HTTP/1.1\r\nHost: ").unwrap();
    }
    assert_eq!(target.status("GET /debian/x HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n"), 206);
    for socket in &mut slow {
        let mut rest = Vec::new();
        let _closed = socket.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
    }
}
