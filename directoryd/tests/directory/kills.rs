//! `kill -9` over the real `odi-directoryd` while heads arrive: nothing that it showed is ever taken back, and what it
//! serves is right.

use std::time::Duration;

use odi_fixtures::{DaemonProcess, kills};
use odi_manifest::{Head, Unverified};
use odi_wire::client::Ask;

use crate::publisher::Publisher;

/// A round lasts no longer before its kill.
const ROUND_MILLIS: u64 = 700;

fn daemon_of(publisher: &Publisher, origin: &str) -> DaemonProcess {
    let settings = format!(
        "[[catalog]]\nname = \"world\"\nid = \"{}\"\norigin = \"{origin}\"\npoll = \"1d\"\n",
        publisher.id
    );
    DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &settings)
}

/// An artifact, wherever it is carried.
async fn artifact(daemon: &DaemonProcess, path: &str) -> Option<Vec<u8>> {
    daemon.ask(Ask::get(&daemon.url(path)).following(3)).await
}

/// The number of the newest head that it shows.
async fn shown(daemon: &DaemonProcess, publisher: &Publisher) -> Option<u64> {
    let head = daemon.get(&format!("odi/v1/catalogs/{}/head", publisher.id)).await?;
    Some(Unverified::<Head>::decode(&head).unwrap().claims().seq)
}

async fn trigger(daemon: &DaemonProcess, publisher: &Publisher) {
    let url = daemon.url(&format!("odi/v1/catalogs/{}/trigger", publisher.id));
    // It may be dead already.
    let _ = daemon.ask(Ask::post(&url, "application/cbor", Vec::new())).await;
}

fn publish(publisher: &mut Publisher, number: u64) {
    let text = format!("state {number}");
    publisher.publish(&[("a", text.as_bytes()), ("b", b"always")]);
}

#[tokio::test]
async fn killed_at_any_point_it_goes_back_on_nothing() {
    let mut publisher = Publisher::new();
    let mut published = 1;
    publish(&mut publisher, published);
    let origin = publisher.serve().await;
    let mut daemon = daemon_of(&publisher, &origin.url());
    let mut highest = 0;
    for round in 0..kills() {
        daemon.start().await;
        if highest > 0 {
            let again = shown(&daemon, &publisher).await;
            assert!(again.is_some_and(|seq| seq >= highest), "round {round}: {again:?} after {highest}");
            let body = String::from_utf8(artifact(&daemon, "world/b").await.unwrap()).unwrap();
            assert_eq!(body, "always", "round {round}");
        }
        let draw = blake3::hash(&round.to_le_bytes()).as_bytes()[0];
        let until_kill = Duration::from_millis(u64::from(draw) * ROUND_MILLIS / 256);
        let working = async {
            loop {
                published += 1;
                publish(&mut publisher, published);
                trigger(&daemon, &publisher).await;
                highest = highest.max(shown(&daemon, &publisher).await.unwrap_or(0));
            }
        };
        // The kill comes wherever the work is by then.
        let _ = tokio::time::timeout(until_kill, working).await;
        daemon.kill();
    }
    daemon.start().await;
    trigger(&daemon, &publisher).await;
    daemon.until(async || shown(&daemon, &publisher).await == Some(published)).await;
    let newest = format!("state {published}");
    daemon.until(async || artifact(&daemon, "world/a").await.as_deref() == Some(newest.as_bytes())).await;
}
