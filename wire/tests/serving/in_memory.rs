//! A network without sockets: connections are pipes, addresses are claims.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use odi_wire::serve::{Limits, Listen, Protocol, Running, Scheme, Server, Service, Throttle};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};

const PIPE_BYTES: usize = 8 * 1024;

struct Pipes {
    protocol: Protocol,
    incoming: Mutex<mpsc::Receiver<(DuplexStream, SocketAddr)>>,
}

impl Listen for Pipes {
    type Accepted = DuplexStream;
    type Stream = DuplexStream;

    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        Ok(self.incoming.lock().await.recv().await.expect("the test broke the accept loop"))
    }

    async fn open(&self, accepted: DuplexStream) -> io::Result<(DuplexStream, Protocol)> {
        Ok((accepted, self.protocol))
    }

    fn turn_away(&self, mut accepted: DuplexStream, answer: &'static [u8]) {
        tokio::spawn(async move { accepted.write_all(answer).await });
    }
}

/// A server and the way to it.
pub(crate) struct Network {
    pub(crate) running: Running,
    dial: Option<mpsc::Sender<(DuplexStream, SocketAddr)>>,
}

impl Network {
    pub(crate) fn serve(service: impl Service, limits: Limits) -> Self {
        Self::start(service, |server| server, limits, Protocol::Http1)
    }

    /// The same over HTTP/2.
    pub(crate) fn serve_http2(service: impl Service, limits: Limits) -> Self {
        Self::start(service, |server| server, limits, Protocol::Http2)
    }

    /// The same, held to a budget.
    pub(crate) fn serve_limited(service: impl Service, throttle: &Arc<Throttle>) -> Self {
        Self::start(
            service,
            |server| server.limited_by(Arc::clone(throttle)),
            Limits::default(),
            Protocol::Http1,
        )
    }

    fn start(
        service: impl Service,
        with: impl FnOnce(Server<Pipes>) -> Server<Pipes>,
        limits: Limits,
        protocol: Protocol,
    ) -> Self {
        let (dial, incoming) = mpsc::channel(100);
        let pipes = Pipes { protocol, incoming: Mutex::new(incoming) };
        let addr = SocketAddr::from(([192, 0, 2, 0], 80));
        let running = with(Server::over(vec![(pipes, addr)], limits)).spawn(Arc::new(service));
        Self { running, dial: Some(dial) }
    }

    pub(crate) async fn connect(&self) -> DuplexStream {
        self.connect_from("192.0.2.1").await
    }

    pub(crate) async fn connect_from(&self, address: &str) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let peer = SocketAddr::new(address.parse().unwrap(), 1024);
        self.dial.as_ref().unwrap().send((theirs, peer)).await.unwrap();
        ours
    }

    /// Waits until so many connections are open.
    pub(crate) async fn settled(&self, connections: usize) {
        while self.running.open_connections() != connections {
            tokio::time::advance(std::time::Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn break_accept(&mut self) {
        self.dial = None;
    }
}

/// One reply, read to its `Content-Length`.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header field, or nothing.
    pub(crate) fn header(&self, name: &str) -> String {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    }
}

pub(crate) async fn get(
    caller: &mut (impl AsyncRead + AsyncWrite + Unpin),
    method: &str,
    target: &str,
) -> Reply {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    caller.write_all(request.as_bytes()).await.unwrap();
    reply(caller, method).await
}

pub(crate) async fn reply(caller: &mut (impl AsyncRead + Unpin), method: &str) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(caller.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: String::new() };
    let length = if method == "HEAD" { 0 } else { reply.header("content-length").parse().unwrap_or(0) };
    let mut body = vec![0; length];
    caller.read_exact(&mut body).await.expect("as many bytes as promised");
    reply.body = String::from_utf8(body).unwrap();
    reply
}

/// Everything until the connection ends.
pub(crate) async fn text_of(caller: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    while let Ok(read) = caller.read(&mut some).await {
        if read == 0 {
            break;
        }
        all.extend_from_slice(&some[..read]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
