//! TLS listeners: real sockets on loopback, certificates of an authority that only these tests believe.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use odi_fixtures::{ManualClock, TestAuthority};
use odi_manifest::Timestamp;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::config::{PrivateAddresses, TlsConfig};
use odi_wire::finding::Severity;
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use odi_wire::tls::{CertificateFiles, Tls, findings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

const NAME: &str = "relay.odi.test";

/// Says how it was asked.
struct HowAsked;

impl Service for HowAsked {
    async fn call(&self, request: Request) -> Response {
        Response::ok("text/plain", format!("{} {}", request.scheme.as_str(), request.uri.path()))
    }
}

/// A listener with a certificate from files, and one without.
struct Lab {
    authority: TestAuthority,
    folder: TempDir,
    tls: Tls,
    running: Running,
}

impl Lab {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let authority = TestAuthority::new();
        let folder = tempfile::tempdir().unwrap();
        authority.issue_into(folder.path(), &[NAME, "127.0.0.1"]).unwrap();
        let tls = open(folder.path()).await.unwrap();
        let certificates = Some(Arc::clone(tls.certificates()));
        let any = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let server = Server::bind_public(&any, &any, certificates, limits).await.unwrap();
        let running = server.spawn(Arc::new(HowAsked));
        Self { authority, folder, tls, running }
    }

    fn secure(&self) -> SocketAddr {
        self.running.local_addrs()[0]
    }

    fn plain(&self) -> SocketAddr {
        self.running.local_addrs()[1]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn connect(
        &self,
        name: &str,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.root().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(self.secure()).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(name.to_owned()).unwrap(), socket)
            .await
    }

    /// The first certificate that the listener shows now.
    async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.connect(NAME, &[], rustls::ALL_VERSIONS).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }
}

async fn open(folder: &Path) -> Result<Tls, odi_wire::tls::TlsError> {
    let urls = vec![Url::parse(&format!("https://{NAME}")).unwrap()];
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000)));
    Tls::open(&TlsConfig::Files(files(folder)), urls, folder, PrivateAddresses::Allowed, clock).await
}

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles { certificate: folder.join("server.pem"), key: folder.join("server.key") }
}

fn pem(chain: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
}

async fn exchange(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut reply = Vec::new();
    let _closed = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn both_versions_serve_http1_to_whatever_name_is_asked() {
    let lab = Lab::start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (name, alpn) in [(NAME, &["http/1.1"][..]), (NAME, &[]), ("127.0.0.1", &["http/1.1"])] {
            let mut stream = lab.connect(name, alpn, &[version]).await.unwrap();
            let request = format!("GET /a HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
            let reply = exchange(&mut stream, request.as_bytes()).await;
            assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("https /a"), "{name}: {reply}");
        }
    }
    let elsewhere = lab.connect("elsewhere.odi.test", &[], rustls::ALL_VERSIONS).await;
    assert!(elsewhere.is_err(), "a client refuses a certificate for another name");
}

#[tokio::test]
async fn http2_is_agreed_on_and_never_assumed() {
    let lab = Lab::start().await;
    let stream = lab.connect(NAME, &["h2", "http/1.1"], rustls::ALL_VERSIONS).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request =
        |path| hyper::Request::get(format!("https://{NAME}{path}")).body(Empty::<Bytes>::new()).unwrap();
    let answers = futures_util::future::join_all(
        (0..20).map(|number| sender.clone().send_request(request(format!("/{number}")))),
    );
    for (number, answer) in answers.await.into_iter().enumerate() {
        let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("https /{number}"));
    }
    let drained = tokio::spawn(lab.running.drain(Duration::from_secs(60)));
    assert_eq!(drained.await.unwrap().cut, 0);
    connection.await.unwrap().unwrap();
    assert!(sender.ready().await.is_err(), "GOAWAY");
}

#[tokio::test]
async fn an_http2_preface_without_agreement_is_refused() {
    let lab = Lab::start().await;
    let mut stream = lab.connect(NAME, &["http/1.1"], rustls::ALL_VERSIONS).await.unwrap();
    let reply = exchange(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!reply.contains(" 200 "), "{reply}");
}

/// The client that daemons use, with the root of a laboratory.
#[tokio::test]
async fn the_vetted_client_believes_an_extra_root_and_otherwise_nobody() {
    let lab = Lab::start().await;
    let policy =
        |extra_roots| ClientPolicy { allow_private_addresses: true, extra_roots, ..ClientPolicy::default() };
    let ask = |addr| Ask::get(&Url::parse(&format!("https://{addr}/x")).unwrap());
    let believing = Client::new(policy(vec![lab.file("root.pem")])).unwrap();
    let reply = believing.send(ask(lab.secure())).await.unwrap();
    assert_eq!(reply.body.collect().await.unwrap(), "https /x");
    assert!(believing.send(ask(lab.plain())).await.is_err(), "no TLS there");
    let strict = Client::new(policy(Vec::new())).unwrap();
    assert!(strict.send(ask(lab.secure())).await.is_err());
    let missing = Client::new(policy(vec![lab.file("nothing.pem")])).unwrap_err();
    assert!(missing.to_string().contains("nothing.pem"), "{missing}");
    fs::write(lab.file("empty.pem"), "").unwrap();
    assert!(Client::new(policy(vec![lab.file("empty.pem")])).is_err());
}

#[tokio::test]
async fn the_plain_listener_stays_plain() {
    let lab = Lab::start().await;
    let mut plain = TcpStream::connect(lab.plain()).await.unwrap();
    plain.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    plain.read_to_string(&mut reply).await.unwrap();
    assert!(reply.ends_with("http /a"), "{reply}");
    let mut wrong = TcpStream::connect(lab.secure()).await.unwrap();
    wrong.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _closed = wrong.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "nothing in clear");
}

#[tokio::test]
async fn new_files_are_taken_up_and_open_connections_go_on() {
    let mut lab = Lab::start().await;
    let mut open = lab.connect(NAME, &["http/1.1"], rustls::ALL_VERSIONS).await.unwrap();
    let former = lab.shown().await;
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, former, "nothing has changed");
    let (chain, key) = lab.authority.issue(&[NAME]);
    fs::write(lab.file("server.pem"), &chain).unwrap();
    fs::write(lab.file("server.key"), &key).unwrap();
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, pem(&chain));
    let reply = exchange(&mut open, b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(reply.ends_with("https /a"), "{reply}");
}

#[tokio::test]
async fn a_pair_that_is_not_whole_changes_nothing() {
    let mut lab = Lab::start().await;
    let former = lab.shown().await;
    let (chain, key) = lab.authority.issue(&[NAME]);
    // The chain is new and the key still the former one's.
    fs::write(lab.file("server.pem"), &chain).unwrap();
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, former, "the key does not match");
    // Half of the key.
    fs::write(lab.file("server.key"), &key[..key.len() / 2]).unwrap();
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, former, "half a key");
    fs::remove_file(lab.file("server.key")).unwrap();
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, former, "no key");
    fs::write(lab.file("server.key"), &key).unwrap();
    lab.tls.reload().await;
    assert_eq!(lab.shown().await, pem(&chain), "whole at last");
}

#[tokio::test]
async fn a_start_without_a_usable_pair_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    authority.issue_into(folder.path(), &[NAME]).unwrap();
    fs::write(folder.path().join("server.key"), authority.issue(&[NAME]).1).unwrap();
    let mismatch = odi_wire::chain::of(&open(folder.path()).await.unwrap_err());
    assert!(mismatch.contains("server.key") && mismatch.contains("does not belong"), "{mismatch}");
    fs::remove_file(folder.path().join("server.key")).unwrap();
    let missing = odi_wire::chain::of(&open(folder.path()).await.unwrap_err());
    assert!(missing.contains("cannot read") && missing.contains("server.key"), "{missing}");
}

#[test]
fn check_says_in_words_what_clients_would_run_into() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    authority.issue_into(folder.path(), &[NAME]).unwrap();
    let config = TlsConfig::Files(files(folder.path()));
    let said = |url: &str, now| {
        let urls = [Url::parse(url).unwrap()];
        let found = findings(Some(&config), &urls, folder.path(), Timestamp(now));
        let first = &found[0];
        (first.severity, first.words.clone())
    };
    let (severity, words) = said(&format!("https://{NAME}"), 1_800_000_000);
    assert_eq!(severity, Severity::Fine, "{words}");
    let (severity, words) = said("https://other.odi.test", 1_800_000_000);
    assert!(severity == Severity::Fatal && words.contains("does not cover other.odi.test"), "{words}");
    let (severity, words) = said(&format!("https://{NAME}"), 100_000_000_000);
    assert!(severity == Severity::Fatal && words.contains("expired"), "{words}");
    let behind_a_proxy =
        findings(None, &[Url::parse("https://x.example").unwrap()], folder.path(), Timestamp(0));
    assert!(behind_a_proxy[0].words.contains("proxy"), "{behind_a_proxy:?}");
    fs::write(folder.path().join("server.key"), "nonsense").unwrap();
    let (severity, words) = said(&format!("https://{NAME}"), 1_800_000_000);
    assert!(severity == Severity::Fatal && words.contains("no private key"), "{words}");
    fs::remove_file(folder.path().join("server.pem")).unwrap();
    let (severity, words) = said(&format!("https://{NAME}"), 1_800_000_000);
    assert!(severity == Severity::Fatal && words.contains("cannot read"), "{words}");
}

#[tokio::test]
async fn whoever_does_not_shake_hands_is_cut_off_and_holds_up_nobody() {
    let short = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let lab = Lab::with(short).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        let mut socket = TcpStream::connect(lab.secure()).await.unwrap();
        // The beginning of a handshake.
        socket.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        silent.push(socket);
    }
    let mut stream = lab.connect(NAME, &["http/1.1"], rustls::ALL_VERSIONS).await.unwrap();
    let reply = exchange(&mut stream, b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(reply.ends_with("https /a"), "{reply}");
    for mut socket in silent {
        let mut rest = Vec::new();
        let _closed = socket.read_to_end(&mut rest).await;
    }
}
