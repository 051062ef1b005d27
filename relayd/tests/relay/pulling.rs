//! Pulls: what a relay answers to another one that fills too (wire/PROTOCOL.md § Pulls).

use odi_manifest::{BlobId, CHUNK_BYTES, Pin, SigningKey};
use odi_relayd::sourcing::{ORIGIN_RANKS, Ranked, Ranking};
use odi_wire::client::Ask;
use odi_wire::fetch::{PULL, Pull};
use odi_wire::message::{IdRanges, PublicUrl, RATE_UNNAMED};

use crate::lab::{Got, Lab, Relay, noise};
use crate::web::{Behaviour, Web};

const CHUNK: usize = 256 << 10;

async fn pull(
    lab: &Lab,
    relay: &Relay,
    pin: &Pin,
    path: &str,
    pull: Pull,
    range: std::ops::Range<u64>,
) -> Got {
    let url = format!("{}/{pin}/{path}", relay.url).parse().unwrap();
    lab.ask(Ask::get(&url).range(range).header(PULL, pull.header())).await
}

async fn following(relay: &Relay) {
    relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_assigned_is_nobody_elses_errand() {
    let large = noise(50, 600_000);
    let lab = Lab::start(&[("large", &large)]).await;
    lab.directory.assign(IdRanges::none());
    let relay = lab.relay().await;
    following(&relay).await;
    let pin = lab.publisher.pin();
    for kind in [Pull::Held, Pull::Home, Pull::List] {
        let got = pull(&lab, &relay, &pin, "large", kind, 0..600_000).await;
        assert_eq!(got.status, 404, "{kind:?}");
    }
    assert_eq!(lab.origin.body_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_is_given_as_such_and_the_rest_is_said_to_come() {
    let large = noise(51, 4 * CHUNK);
    let lab = Lab::start(&[("large", &large)]).await;
    lab.origin.behave(Behaviour::Stall);
    let relay = lab.relay().await;
    following(&relay).await;
    let (pin, size) = (lab.publisher.pin(), 4 * CHUNK_BYTES);
    // The home fetches what it is asked for, and half of it comes.
    let got = pull(&lab, &relay, &pin, "large", Pull::Home, 0..size).await;
    let got =
        if got.status == 503 { pull(&lab, &relay, &pin, "large", Pull::Home, 0..size).await } else { got };
    assert_eq!(got.status, 206);
    let body = got.body.as_deref().unwrap();
    assert!(!body.is_empty() && body.len() <= 2 * CHUNK && body.len().is_multiple_of(CHUNK));
    assert!(large.starts_with(body));
    assert_eq!(got.header("content-range"), format!("bytes 0-{}/{size}", body.len() - 1));

    let got = pull(&lab, &relay, &pin, "large", Pull::Held, 3 * CHUNK_BYTES..size).await;
    assert_eq!((got.status.as_u16(), got.header("odi-pull")), (503, "coming"));
    let list = pull(&lab, &relay, &pin, "large", Pull::List, 0..size).await;
    assert_eq!(list.body.map(|list| list.len()), Some(4 * 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_given_whole_and_a_later_state_is_waited_for() {
    let small = noise(52, 5000);
    let lab = Lab::start(&[("small", &small)]).await;
    let pin = lab.publisher.pin();
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let got = pull(&lab, &relay, &pin, "small", Pull::Held, 0..5000).await;
    assert!(got.is(&small));

    let later = next_pin(&pin);
    let got = pull(&lab, &relay, &later, "small", Pull::Held, 0..5000).await;
    assert_eq!((got.status.as_u16(), got.header("odi-pull")), (503, "coming"), "a head that it will hear of");
    let plain = lab.get(&format!("{}/{later}/small", relay.url)).await;
    assert_eq!(plain.status, 404, "to others it is no state");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_relay_ask_the_origin_that_is_not_among_the_first_for_a_stripe() {
    let files: Vec<(String, Vec<u8>)> =
        (0..40_u8).map(|n| (format!("file-{n:02}"), noise(100 + n, 1000))).collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&named).await;
    lab.directory.assign(IdRanges::none());
    let pin = lab.publisher.pin();
    // Twelve other relays, with whom everything is only ever coming.
    let others =
        Web::start(files.iter().map(|(path, bytes)| (format!("{pin}/{path}"), bytes.clone())).collect());
    others.behave(Behaviour::Coming);
    let keys: Vec<SigningKey> = (1..=12).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
    for key in &keys {
        let claim = lab.publisher.claim(IdRanges::none());
        lab.directory.plant_inventory(key, PublicUrl::parse(&others.url()).unwrap(), claim);
    }
    let relay = lab.relay().await;
    let shared = relay.server.relay();
    relay.until("known to it", |_| shared.peers.of(&lab.publisher.id()).len() == keys.len()).await;
    lab.directory.assign(IdRanges::all());
    relay.until("assigned", |status| status.catalogs.iter().any(|catalog| catalog.assigned)).await;

    let ranked: Vec<Ranked> = [relay.key()]
        .into_iter()
        .chain(keys.iter().map(SigningKey::public_key))
        .map(|key| Ranked { key: *key.as_bytes(), rate: RATE_UNNAMED })
        .collect();
    let rank = |bytes: &[u8]| Ranking::of(&BlobId::of(bytes), 0, &ranked).rank(0).unwrap();
    let far = files.iter().filter(|(_, bytes)| rank(bytes) >= ORIGIN_RANKS);
    for (path, _) in far.take(3) {
        let got = pull(&lab, &relay, &pin, path, Pull::Home, 0..1000).await;
        assert_eq!((got.status.as_u16(), got.header("odi-pull")), (503, "coming"), "{path}");
        assert!(lab.origin.seen(|seen| seen == path).is_empty(), "{path}");
    }
    let (near, bytes) = files.iter().find(|(_, bytes)| rank(bytes) < ORIGIN_RANKS).unwrap();
    let mut got = pull(&lab, &relay, &pin, near, Pull::Home, 0..1000).await;
    while got.header("odi-pull") == "coming" {
        got = pull(&lab, &relay, &pin, near, Pull::Home, 0..1000).await;
    }
    assert!(got.is(bytes), "{}", got.status);
}

/// The pin of a state that nobody has published yet.
fn next_pin(pin: &Pin) -> Pin {
    let text = pin.to_string();
    let (_, prefix) = text.split_once('-').unwrap();
    let seq = pin.seq() + 1;
    format!("@{seq}-{prefix}").parse().unwrap()
}
