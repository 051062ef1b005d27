//! `odi status --wait`, the real binary, against a daemon that takes its time.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use odi_wire::http::StatusCode;
use odi_wire::serve::{Limits, Request, Response, Running, Server, Service};
use serde_json::{Value, json};

/// A directory that is not there at the first look, not ready at the second, and ready from some look on.
struct Directory {
    looks: AtomicU32,
    ready_at: u32,
}

impl Service for Directory {
    async fn call(&self, request: Request) -> Response {
        assert_eq!(request.target(), "/odi/v1/status");
        match self.looks.fetch_add(1, Ordering::Relaxed) {
            0 => Response::new(StatusCode::SERVICE_UNAVAILABLE),
            look => Response::ok("application/json", document(look >= self.ready_at).to_string()),
        }
    }
}

fn document(ready: bool) -> Value {
    let key = odi_manifest::SigningKey::from_seed(&[7; 32]).public_key();
    json!({
        "v": 1, "kind": "directory", "id": key, "version": "0", "started": 1_000_000, "ready": ready,
        "catalogs": [], "carried_bytes": 0, "carry_budget": 1000,
        "relays": { "ready": 0, "probation": 0, "unproven": 0, "quarantined": 0 },
    })
}

async fn start(ready_at: u32) -> (String, Arc<Directory>, Running) {
    let directory = Arc::new(Directory { looks: AtomicU32::new(0), ready_at });
    let server = Server::bind(&[([127, 0, 0, 1], 0).into()], Limits::default()).await.unwrap();
    let url = format!("http://{}/", server.local_addrs()[0]);
    (url, Arc::clone(&directory), server.spawn(Arc::clone(&directory)))
}

async fn status(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi"));
    command.arg("status").args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_looks_again_until_the_daemon_is_ready() {
    let (url, directory, running) = start(3).await;
    let waited = status(&[&url, "--wait", "ready", "--timeout", "60s", "--json"]).await;
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&waited.stdout).unwrap(), document(true));
    assert_eq!(directory.looks.load(Ordering::Relaxed), 4);
    running.drain(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_up_when_its_patience_ends() {
    let (url, directory, running) = start(u32::MAX).await;
    let waited = status(&[&url, "--wait", "ready", "--timeout", "1s"]).await;
    assert_eq!(waited.status.code(), Some(8));
    let said = String::from_utf8_lossy(&waited.stderr);
    assert_eq!(said, "odi: waited 1 s in vain: it is not ready\n");
    assert!(waited.stdout.is_empty());
    assert!(directory.looks.load(Ordering::Relaxed) > 1);
    running.drain(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_waiting_the_first_answer_counts() {
    let (url, _, running) = start(1).await;
    assert_eq!(status(&[&url]).await.status.code(), Some(8));
    let second = status(&[&url]).await;
    assert!(String::from_utf8_lossy(&second.stdout).starts_with("directory "), "{second:?}");
    running.drain(Duration::from_secs(1)).await;
}
