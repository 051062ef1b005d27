//! News for the operator: a post that is signed and tried again, a program that reads it, and a hook that never answers and holds up
//! nobody.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::Signature;
use odi_wire::http::StatusCode;
use odi_wire::http::header::HeaderMap;
use odi_wire::serve::{self, Request, Response, Running, Service};
use serde_json::Value;

use crate::fake_relay::FakeRelay;
use crate::publisher::{Publisher, large};
use crate::world::World;

/// What a hook was sent, and what it answers next.
#[derive(Default)]
struct Heard {
    posts: Mutex<Vec<(HeaderMap, Bytes)>>,
    refusals: Mutex<u32>,
    hangs: bool,
}

struct Listener(Arc<Heard>);

impl Service for Listener {
    async fn call(&self, mut request: Request) -> Response {
        if self.0.hangs {
            return std::future::pending().await;
        }
        let body = request.read_body(1 << 20).await.unwrap();
        let mut refusals = self.0.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Response::new(StatusCode::SERVICE_UNAVAILABLE);
        }
        self.0.posts.lock().unwrap().push((request.headers, body));
        Response::new(StatusCode::NO_CONTENT)
    }
}

async fn listen(heard: &Arc<Heard>) -> (Running, String) {
    let listening = serve::Server::bind(&["127.0.0.1:0".parse().unwrap()], serve::Limits::default()).await;
    let running = listening.unwrap().spawn(Arc::new(Listener(Arc::clone(heard))));
    let url = format!("http://{}/odi", running.local_addrs()[0]);
    (running, url)
}

impl Heard {
    /// All news so far; every signature is checked as the guide says.
    fn news(&self, world: &World) -> Vec<Value> {
        let read = |(headers, body): &(HeaderMap, Bytes)| {
            let signature = data_encoding::BASE64.decode(headers["odi-signature"].as_bytes()).unwrap();
            let signed = [b"ODI hook v1\0".as_slice(), body].concat();
            assert!(world.id().accepts(&signed, &Signature::from_bytes(signature.try_into().unwrap())));
            serde_json::from_slice(body).unwrap()
        };
        self.posts.lock().unwrap().iter().map(read).collect()
    }

    fn kinds(&self, world: &World) -> Vec<String> {
        self.news(world).iter().map(|news| news["kind"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn what_happens_is_posted_signed_and_posted_again_until_it_is_taken() {
    let mut publisher = Publisher::new();
    let big = large(1);
    let pin = publisher.publish(&[("big", &big)]);
    let origin = publisher.serve().await;
    let heard = Arc::new(Heard { refusals: Mutex::new(1), ..Heard::default() });
    let (_running, url) = listen(&heard).await;
    let hook = format!("[hook]\nurl = \"{url}\"\n");
    let world = World::start_with(&publisher.id, Some(&origin.url()), &hook).await;
    world.until_served(1).await;
    let mut relay = FakeRelay::start(11).await;
    relay.hold(&pin, &[("big", &big)]);
    // Past the time in which silence is no news.
    world.clock.advance(Duration::from_secs(100));
    let heads = [publisher.newest().id()];
    relay.join(&world, &publisher.id, &heads).await;
    world.until(async || heard.kinds(&world) == ["relay-back"]).await;
    let news = heard.news(&world)[0].clone();
    assert_eq!((&news["directory"], &news["left_out"]), (&world.id().to_string().into(), &0.into()));
    assert_eq!(news["relay"], relay.key.public_key().to_string());
    assert_eq!(news["words"], format!("relay {}: it takes clients", relay.url));

    world.clock.advance(Duration::from_secs(61));
    world.until(async || heard.kinds(&world) == ["relay-back", "relay-silent"]).await;
    relay.announce(&world, &publisher.id, &heads).await;
    world.until(async || heard.kinds(&world).last().is_some_and(|kind| kind == "relay-back")).await;
}

#[tokio::test]
async fn a_program_gets_it_on_its_standard_input_and_a_url_that_hangs_holds_up_nobody() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (program, got) = (folder.path().join("told"), folder.path().join("news"));
    std::fs::write(&program, format!("#!/bin/sh\ncat >> {}\n", got.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let heard = Arc::new(Heard { hangs: true, ..Heard::default() });
    let (_running, url) = listen(&heard).await;
    let hook = format!("[hook]\nurl = \"{url}\"\ncommand = [\"{}\"]\n", program.display());
    let world = World::start_with(&publisher.id, Some(&origin.url()), &hook).await;
    world.until_served(1).await;
    // The catalog's head and root end now.
    publisher.times.1 = odi_manifest::Timestamp(crate::world::START.0 + 3000);
    publisher.publish(&[("a", b"two")]);
    world.pull(&publisher.id, 2).await;
    world.clock.advance(Duration::from_secs(3000));
    let told = || std::fs::read_to_string(&got).unwrap_or_default();
    world.until(async || told().contains("\"kind\":\"catalog-ended\"")).await;
    assert_eq!(told().matches("catalog-ended").count(), 1, "the URL alone is tried again");
    assert!(world.get("/world/a").await.status.is_redirection(), "two states, and nobody waits");
}
