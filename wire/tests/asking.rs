//! The vetted client against servers that lead it astray, lie about lengths, compress, stall or never end.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use odi_wire::client::{Ask, Client, ClientError, ClientPolicy, Guise, UrlRefusal};
use odi_wire::http::StatusCode;
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

fn policy() -> ClientPolicy {
    ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }
}

fn client() -> Client {
    Client::new(policy()).unwrap()
}

/// Shows what it was asked, and redirects as its paths say.
struct Mirror;

impl Service for Mirror {
    async fn call(&self, mut request: Request) -> Response {
        let port = request.headers["host"].to_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let to = |location: &str| Response::redirect(StatusCode::FOUND, location).unwrap();
        match request.target() {
            "/once" => to("/shown"),
            "/loop" => to("/loop"),
            "/ftp" => to("ftp://127.0.0.1/"),
            "/mail" => to("http://127.0.0.1:25/"),
            "/user" => to(&format!("http://user:pass@127.0.0.1:{port}/shown")),
            "/nonsense" => to("http://["),
            "/nowhere" => Response::new(StatusCode::FOUND),
            _ => {
                let body = request.read_body(100).await.unwrap();
                let mut lines: Vec<String> = request
                    .headers
                    .iter()
                    .filter(|(name, _)| *name != "host")
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                    .collect();
                lines.sort();
                let body = String::from_utf8_lossy(&body);
                Response::ok(
                    "text/plain",
                    format!("{} {}\n{}\n\n{body}", request.method, request.target(), lines.join("\n")),
                )
            }
        }
    }
}

async fn mirror() -> (Running, Url) {
    let server = Server::bind(&[([127, 0, 0, 1], 0).into()], Limits::default()).await.unwrap();
    let running = server.spawn(Arc::new(Mirror));
    let base = Url::parse(&format!("http://{}/", running.local_addrs()[0])).unwrap();
    (running, base)
}

/// A server that answers every connection with these bytes, then does nothing, or closes.
async fn canned(reply: &'static [u8], closes: bool) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(reply).await.unwrap();
            if closes {
                socket.shutdown().await.unwrap();
            }
            open.push(socket);
        }
    });
    Url::parse(&base).unwrap()
}

#[tokio::test]
async fn it_says_what_it_is_told_to_and_no_more() {
    let (_running, base) = mirror().await;
    let ask = Ask::post(&base.join("/x?y=z").unwrap(), "application/cbor", "body");
    let reply = client().send(ask).await.unwrap();
    let shown = String::from_utf8(reply.body.collect().await.unwrap().to_vec()).unwrap();
    let expected = format!(
        "POST /x?y=z\naccept-encoding: identity\naccept: */*\ncontent-length: 4\ncontent-type: application/cbor\n\
         user-agent: odi/{}\n\nbody",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(shown, expected);
    let ranged = client().send(Ask::get(&base).range(10..20)).await.unwrap();
    let shown = ranged.body.collect().await.unwrap();
    assert!(String::from_utf8_lossy(&shown).contains("range: bytes=10-19\n"));
}

/// The names of fields too are written as others write them: whoever looks at a relay must not be known by that.
#[tokio::test]
async fn a_look_reads_like_a_request_of_the_program_that_it_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut agents = BTreeSet::new();
    for draw in 0..9 {
        let ask =
            Ask::get(&Url::parse(&format!("{base}/a")).unwrap()).range(7..9).disguised(Guise::drawn(draw));
        let client = client();
        let asking = tokio::spawn(async move { client.send(ask).await.map(|reply| reply.status) });
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), StatusCode::NO_CONTENT);
        let head = String::from_utf8(head).unwrap();
        let lines: Vec<&str> = head.trim_end().lines().collect();
        assert_eq!(lines[..2], ["GET /a HTTP/1.1", &format!("Host: {}", &base[7..])]);
        assert!(lines.contains(&"Range: bytes=7-8"), "{head}");
        assert!(lines[1..].iter().all(|line| line.starts_with(|c: char| c.is_ascii_uppercase())), "{head}");
        assert!(!head.to_ascii_lowercase().contains("odi/"), "{head}");
        agents.extend(lines.iter().filter_map(|line| line.strip_prefix("User-Agent: ")).map(str::to_owned));
    }
    assert_eq!(agents.len(), 9, "{agents:?}");
}

/// No connection is even tried.
#[tokio::test]
async fn private_addresses_are_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, mut connected) = mpsc::channel(1);
    tokio::spawn(async move {
        let _connection = listener.accept().await;
        told.send(()).await.unwrap();
    });
    let strict = Client::new(ClientPolicy { allow_private_addresses: false, ..policy() }).unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "a.localhost"] {
        let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
        let refused = strict.send(Ask::get(&url)).await.unwrap_err();
        assert!(matches!(refused, ClientError::Refused { .. }), "{host}: {refused:?}");
    }
    assert!(connected.try_recv().is_err());
    client().send(Ask::get(&Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap())).await.unwrap_err();
    assert_eq!(connected.recv().await, Some(()), "the policy is what refused");
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_and_vetted_each() {
    let (_running, base) = mirror().await;
    let client = client();
    let ask = |path: &str| Ask::get(&base.join(path).unwrap());
    assert_eq!(client.send(ask("/once")).await.unwrap().status, 302);
    let followed = client.send(ask("/once").following(1).range(0..5)).await.unwrap();
    assert_eq!((followed.status.as_u16(), followed.url.path()), (200, "/shown"));
    assert!(String::from_utf8_lossy(&followed.body.collect().await.unwrap()).contains("range: bytes=0-4\n"));
    let refusal = async |path: &str| client.send(ask(path).following(5)).await.unwrap_err();
    assert!(matches!(refusal("/loop").await, ClientError::TooManyRedirects { .. }));
    for path in ["/nonsense", "/nowhere", "/ftp"] {
        assert!(matches!(refusal(path).await, ClientError::BadRedirect { .. }), "{path}");
    }
    for (path, why) in [("/mail", UrlRefusal::Port(25)), ("/user", UrlRefusal::Credentials)] {
        match refusal(path).await {
            ClientError::Refused { source, .. } => assert_eq!(source, why, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn compressed_replies_are_refused() {
    let url =
        canned(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", false).await;
    assert!(
        matches!(client().send(Ask::get(&url)).await, Err(ClientError::Encoded { encoding, .. }) if encoding == "gzip")
    );
    let url =
        canned(b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", false).await;
    assert_eq!(client().send(Ask::get(&url)).await.unwrap().body.collect().await.unwrap(), "abc");
}

#[tokio::test]
async fn a_reply_has_a_largest_size() {
    let declared = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", false).await;
    let too_large = client().send(Ask::get(&declared).reply_bytes_max(3)).await;
    assert!(matches!(too_large, Err(ClientError::TooLarge { max_bytes: 3, .. })));
    assert!(client().send(Ask::get(&declared).reply_bytes_max(4)).await.is_ok());
    let chunked =
        canned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", false).await;
    let reply = client().send(Ask::get(&chunked).reply_bytes_max(3)).await.unwrap();
    assert!(matches!(reply.body.collect().await, Err(ClientError::TooLarge { .. })));
    let endless = canned(b"HTTP/1.1 200 OK\r\n\r\nabcd", true).await;
    let reply = client().send(Ask::get(&endless).reply_bytes_max(4)).await.unwrap();
    assert_eq!(reply.body.collect().await.unwrap(), "abcd");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_not_a_short_file() {
    let url = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true).await;
    let mut body = client().send(Ask::get(&url)).await.unwrap().body;
    assert_eq!(body.declared_len(), Some(10));
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    assert!(matches!(body.chunk().await, Err(ClientError::Transport { .. })));
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let short = Duration::from_millis(200);
    let impatient = ClientPolicy { head_timeout: short, ..policy() };
    let client = Client::new(impatient).unwrap();
    let silent = canned(b"", false).await;
    assert!(matches!(client.send(Ask::get(&silent)).await, Err(ClientError::NoAnswer { .. })));
    let stalls = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", false).await;
    let impatient = ClientPolicy { stall_interval: short, stall_bytes: 10, ..policy() };
    let reply = Client::new(impatient).unwrap().send(Ask::get(&stalls)).await.unwrap();
    assert!(matches!(reply.body.collect().await, Err(ClientError::Stalled { .. })));
}

#[tokio::test]
async fn what_is_no_http_is_the_peers_fault() {
    for reply in [&b"hello"[..], b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
        let url = canned(reply, true).await;
        let refused = client().send(Ask::get(&url)).await.unwrap_err();
        assert!(matches!(refused, ClientError::Transport { .. }), "{refused:?}");
    }
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    assert!(matches!(client().send(Ask::get(&nobody)).await, Err(ClientError::Connect { .. })));
}
