//! A server raises its own limit of open files. Alone in its process, since the limit is the process's.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use odi_wire::serve::{Limits, Request, Response, Server, Service};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Here;

impl Service for Here {
    async fn call(&self, _request: Request) -> Response {
        Response::ok("text/plain", "here")
    }
}

#[tokio::test]
async fn many_idle_callers_leave_room_for_the_next() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: limit.maximum }).unwrap();
    let limits = Limits { connections: 400, ..Limits::default() };
    let server = Server::bind(&[([127, 0, 0, 1], 0).into()], limits).await.unwrap();
    let running = server.spawn(Arc::new(Here));
    let addr = running.local_addrs().first().copied().unwrap();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(addr).await.unwrap());
    }
    let mut caller = TcpStream::connect(addr).await.unwrap();
    caller.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    caller.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("here"), "{reply}");
}
