//! Telling the operator's own programs what has changed: a POST to a URL, a program with the news on its standard input, or both.
//!
//! Invariants
//! - Nothing waits for it: what finds the queue full is counted and left out, and the next news says how many were.
//! - Nothing of what strangers say is on a command line.
//! - Both tasks end with the directory; what is not delivered by then is not.

mod change;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odi_manifest::{PublicKey, SigningKey, Timestamp};
use odi_wire::chain;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::HeaderValue;
use odi_wire::message::JSON;
use odi_wire::off_worker::off_worker;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use change::{Catalog, Change, Kind, Relay, Scene, changes};

use crate::catalog::lifetime::Terms;
use crate::config::HookConfig;
use crate::directory::Directory;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a start, relays get this long to be heard of before their silence is news.
const RELAYS_COUNT_AFTER: Duration = Duration::from_secs(90);
/// News that waits to be delivered.
const QUEUE: usize = 256;
/// Before each further attempt.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];
/// The longest that an answer may take.
const POST_MAX: Duration = Duration::from_secs(10);
/// The longest that a program may take.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Between two looks at a program that runs.
const COMMAND_LOOK: Duration = Duration::from_millis(20);
/// What is signed begins with this.
const SIGNED: &[u8] = b"ODI hook v1\0";

/// What is delivered.
#[derive(Clone, Debug, Serialize)]
struct News {
    v: u8,
    directory: PublicKey,
    at: Timestamp,
    /// How many changes were left out before this one.
    left_out: u64,
    #[serde(flatten)]
    change: Change,
}

/// Looks and delivers until `stop` is cancelled.
pub(crate) async fn run(directory: Arc<Directory>, hook: HookConfig, stop: CancellationToken) {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let delivery = deliver(Arc::clone(&directory), hook, waiting);
    let watching = watch(&directory, queue);
    stop.run_until_cancelled(async { tokio::join!(watching, delivery) }).await;
}

async fn watch(directory: &Directory, queue: mpsc::Sender<News>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut before, mut left_out) = (Scene::default(), 0);
    loop {
        ticks.tick().await;
        let now = directory.clock.now();
        let after = look(directory, now);
        let relays_count = now.since(directory.started) >= RELAYS_COUNT_AFTER;
        for change in changes(&before, &after) {
            if change.relay.is_some() && !relays_count {
                continue;
            }
            let news = News { v: 1, directory: directory.id, at: now, left_out, change };
            match queue.try_send(news) {
                Ok(()) => left_out = 0,
                Err(_) => left_out += 1,
            }
        }
        before = after;
    }
}

fn look(directory: &Directory, now: Timestamp) -> Scene {
    let relays = {
        let roster = directory.relays.roster();
        let proved = roster.members().filter(|member| member.is_proved());
        let relay = |member: &crate::roster::Member| {
            let shut = roster.shut_out(member, now);
            let url = member.urls().first().map(ToString::to_string);
            let reason = shut.and_then(|_| member.reason()).map(str::to_owned);
            (member.relay(), Relay { url, shut, reason })
        };
        proved.map(relay).collect()
    };
    let catalogs: BTreeMap<_, _> = directory
        .configured
        .now()
        .values()
        .map(|catalog| {
            let equivocations = catalog.recorded().map_or(0, |recorded| recorded.equivocations.len());
            let shown = Catalog {
                name: catalog.name().to_string(),
                lifetime: Terms::of(&catalog.believed(), now).nearest(),
                fault: catalog.standing().fault,
                equivocations,
            };
            (catalog.id(), shown)
        })
        .collect();
    Scene { relays, catalogs }
}

async fn deliver(directory: Arc<Directory>, hook: HookConfig, mut waiting: mpsc::Receiver<News>) {
    // The operator's own, wherever it is.
    let policy = ClientPolicy {
        allow_private_addresses: true,
        extra_roots: directory.config.extra_roots.clone(),
        ..ClientPolicy::default()
    };
    let client = match Client::new(policy) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = chain::of(&error), "the hook cannot be called");
            return std::future::pending().await;
        }
    };
    while let Some(news) = waiting.recv().await {
        let body = odi_wire::message::to_json(&news);
        let mut left = hook.clone();
        for again in AGAIN.into_iter().map(Some).chain([None]) {
            let Err(error) = call(&client, &directory.identity, &mut left, &body).await else { break };
            tracing::warn!(error, news = news.change.words, "the hook did not take the news");
            let Some(again) = again else { break };
            tokio::time::sleep(again).await;
        }
    }
}

/// Calls what is left to be called; what has taken the news is left no more.
async fn call(
    client: &Client,
    identity: &SigningKey,
    left: &mut HookConfig,
    body: &[u8],
) -> Result<(), String> {
    let (command, news) = (left.command.clone(), body.to_vec());
    // Side by side: one that hangs is no reason for the other to wait.
    let running = off_worker(move || run_command(&command, &news));
    let posting = tokio::time::timeout(POST_MAX, post(client, identity, left.url.as_ref(), body));
    let (posted, ran) = tokio::join!(posting, running);
    let posted = posted.unwrap_or_else(|_| Err(format!("no answer within {} s", POST_MAX.as_secs())));
    if posted.is_ok() {
        left.url = None;
    }
    if ran.is_ok() {
        left.command.clear();
    }
    posted.and(ran)
}

async fn post(client: &Client, identity: &SigningKey, url: Option<&Url>, body: &[u8]) -> Result<(), String> {
    if let Some(url) = url {
        let signature = identity.sign_now(&[SIGNED, body].concat());
        let signature = HeaderValue::from_str(&data_encoding::BASE64.encode(signature.as_bytes()))
            .map_err(|error| error.to_string())?;
        let ask = Ask::post(url, JSON, body.to_vec()).header("odi-signature", signature);
        let reply = client.send(ask).await.map_err(|error| chain::of(&error))?;
        if !reply.status.is_success() {
            return Err(format!("{url} answers {}", reply.status));
        }
    }
    Ok(())
}

/// Runs a program with the news on its standard input. Blocking.
fn run_command(command: &[String], body: &[u8]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read is no fault; the news is shorter than a pipe.
        let _ = stdin.write_all(body);
    }
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{program}: {status}")),
            None if begun.elapsed() > COMMAND_MAX => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program}: over {} s", COMMAND_MAX.as_secs()));
            }
            None => std::thread::sleep(COMMAND_LOOK),
        }
    }
}
