//! Hostile directories and the network between (docs/threats.md): assignments beyond what was offered, requests that are
//! replayed or changed, sources that shift, alternate or call themselves from the inside.

use odi_manifest::{BlobId, Clock, SystemClock};
use odi_wire::client::Ask;
use odi_wire::http::HeaderValue;
use odi_wire::message::{AssignedCatalog, CBOR, Challenge, IdRanges};
use odi_wire::request_signature::{key_id, sign};

use crate::directory::FakeDirectory;
use crate::lab::{Lab, Relay, noise};
use crate::web::Behaviour;

/// The store may go over its budget by what is being written while it makes room.
const SLACK: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_head_names_and_nobody_wanted_is_not_taken_whoever_assigns_it() {
    let large = noise(1, 400_000);
    let lab = Lab::start(&[("a", &large)]).await;
    let unknown = BlobId::of(b"in no manifest");
    lab.directory.assign_also(AssignedCatalog {
        cat: odi_manifest::CatalogId::of(b"another catalog"),
        name: "another".to_owned(),
        ranges: IdRanges::all(),
        plus: vec![unknown],
    });
    lab.directory.assign_beside(vec![unknown]);
    let relay = lab.relay().await;
    let status = relay.until("ready", |status| status.ready).await;
    assert_eq!(status.catalogs.len(), 1, "{status:?}");
    assert!(!relay.server.relay().store.contains(&unknown));
    assert!(lab.origin.seen(|path| path.contains(&unknown.to_string())).is_empty());
    assert_eq!(lab.get(&format!("{}/blake3/{unknown}", relay.url)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_beyond_the_disk_is_cut_to_it() {
    let files: Vec<(String, Vec<u8>)> =
        (0..32).map(|n| (format!("file-{n:02}"), noise(n, 4 << 20))).collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&named).await;
    let disk = 70_000_000;
    let relay = Relay::start(&[&lab.directory], tempfile::tempdir().unwrap(), "70 MB").await;
    let status = relay.until_full(1).await;
    assert!(status.budget.disk_used <= disk + SLACK, "{} of {disk}", status.budget.disk_used);
    let inventory = lab.directory.until(|| {
        let inventory = lab.directory.inventory(&relay.key())?;
        inventory.catalog(&lab.publisher.id()).is_some_and(|held| held.full.is_some()).then_some(inventory)
    });
    let inventory = inventory.await;
    let held = inventory.catalog(&lab.publisher.id()).unwrap();
    assert!(held.ranges != IdRanges::all() && !held.ranges.is_empty(), "it says what it took");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_counts_once_for_one_relay_and_also_after_a_restart() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let other = FakeDirectory::start(41).await;
    let relay = Relay::start(&[&lab.directory, &other], tempfile::tempdir().unwrap(), "1 GB").await;
    let known = lab.directory.until(|| lab.directory.registration(&relay.key())).await;
    let url: url::Url = format!("{}/.well-known/odi/challenge", relay.url).parse().unwrap();
    let challenge = |dir| Challenge { v: 1, dir, nonce: [9; 32] }.encode().unwrap();
    let signed = |dir: odi_manifest::PublicKey, body: Vec<u8>, nonce: u8| {
        let key = known.psk.request_key(&dir, &relay.key());
        let id = key_id(&dir, known.generation);
        sign(Ask::post(&url, CBOR, body), &key, id, SystemClock.now(), [nonce; 16])
    };
    let own = lab.directory.key();
    let captured = signed(own, challenge(own), 1);
    assert_eq!(lab.ask(captured.clone()).await.status, 200);
    assert_eq!(lab.ask(captured.clone()).await.status, 401, "sent again");
    // One directory's key says nothing in another's name.
    assert_eq!(lab.ask(signed(other.key(), challenge(other.key()), 2)).await.status, 401);
    for (name, value) in [
        ("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
        ("signature", "odi=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
        ("signature-input", "odi=();created=1;nonce=\"x\";keyid=\"y\";alg=\"hmac-sha256\";tag=\"z\""),
        ("content-type", "text/plain"),
    ] {
        let changed = signed(own, challenge(own), 3).header(name, HeaderValue::from_str(value).unwrap());
        assert_eq!(lab.ask(changed).await.status, 401, "{name}");
    }
    // Signatures count whole seconds: this one was made in an earlier second than the relay's new start.
    let made = SystemClock.now();
    let relay = relay
        .restart_after(|_| {
            while SystemClock.now() <= made {
                std::thread::yield_now();
            }
        })
        .await;
    assert_eq!(lab.ask(captured).await.status, 401, "sent again after a restart");
    relay.until("well", |status| status.ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_at_wrong_places_and_bytes_that_change_between_requests_are_not_stored() {
    let large = noise(2, 1_300_000);
    for behaviour in [Behaviour::Shift, Behaviour::Alternate] {
        let lab = Lab::start(&[("large", &large)]).await;
        lab.origin.behave(behaviour);
        let relay = lab.relay().await;
        relay.until("misled", |_| !lab.origin.seen(|path| path == "large").is_empty()).await;
        let got = lab.get(&format!("{}/{}/large", relay.url, lab.publisher.pin())).await;
        assert!(got.body.as_deref().is_none_or(|body| got.status != 200 || body == large), "{behaviour:?}");
        lab.origin.behave(Behaviour::Proper);
        relay.until_full(1).await;
        assert!(lab.get(&format!("{}/sample/large", relay.url)).await.is(&large), "{behaviour:?}");
    }
}
