//! Joining: from nothing to serving, and what a directory hears on the way.

use odi_manifest::Timestamp;
use odi_wire::client::Ask;
use odi_wire::message::{CBOR, Challenge, DaemonKind, RelayReg, RelayState, WellKnown, from_json};

use crate::directory::FakeDirectory;
use crate::lab::{Lab, Relay, noise};
use crate::publisher::Publisher;

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_registers_fills_from_the_origin_announces_and_serves() {
    let large = noise(1, 3 << 20);
    let lab = Lab::start(&[("pool/large.bin", &large), ("pool/small.txt", b"small\n"), ("empty", b"")]).await;
    let relay = lab.relay().await;
    let status = relay.until_full(1).await;
    assert_eq!(status.catalogs[0].missing_blobs, 0);
    relay.until("ready", |status| status.ready).await;

    let pin = lab.publisher.pin();
    for (path, bytes) in [("pool/large.bin", &large[..]), ("pool/small.txt", b"small\n"), ("empty", b"")] {
        for place in [pin.to_string(), "sample".to_owned()] {
            let got = lab.get(&format!("{}/{place}/{path}", relay.url)).await;
            assert_eq!(got.status, 200, "{place}/{path}");
            assert_eq!(got.body.as_deref(), Some(bytes), "{place}/{path}");
        }
        let by_content = format!("{}/blake3/{}", relay.url, odi_manifest::BlobId::of(bytes));
        assert_eq!(lab.get(&by_content).await.body.as_deref(), Some(bytes));
    }
    let inventory = lab.directory.until_announced_full(&relay.key(), &lab.publisher).await;
    let held = inventory.catalog(&lab.publisher.id()).unwrap();
    assert!(held.holds(&odi_manifest::BlobId::of(&large), true));
    assert_eq!(lab.origin.body_bytes(), large.len() as u64 + 6, "the origin gave each byte once");

    relay.server.drain(std::time::Duration::from_secs(5)).await;
    assert_eq!(lab.directory.left().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_lost_its_roster_is_told_again() {
    let mut lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until("ready", |status| status.ready).await;
    lab.directory.forget_everybody();
    // News make the relay announce at once.
    lab.publish(&[("b", Some(b"b"))]);
    lab.directory.until(|| lab.directory.is_proved(&relay.key()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_directory_has_a_secret_of_its_own_and_an_identity_lasts() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let other = FakeDirectory::start(41).await;
    let relay = Relay::start(&[&lab.directory, &other], tempfile::tempdir().unwrap(), "1 GB").await;
    let key = relay.key();
    let first = lab.directory.until(|| lab.directory.registration(&key)).await;
    let second = other.until(|| other.registration(&key)).await;
    assert_ne!(first.psk.expose(), second.psk.expose());
    assert_eq!((first.dir, second.dir), (lab.directory.key(), other.key()));

    let announced = lab.directory.until(|| lab.directory.inventory(&key)).await;
    let relay = relay.restart().await;
    assert_eq!(relay.key(), key);
    let again =
        lab.directory.until(|| lab.directory.registration(&key).filter(|r| r.generation > first.generation));
    let again = again.await;
    assert_eq!(again.psk.expose(), first.psk.expose());
    assert!(again.generation > announced.generation, "statements go on rising over a restart");
    assert!(relay.data_dir().join("identity.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_secret_is_replaced_and_the_former_one_is_good_until_the_new_one_is_used() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until("ready", |status| status.ready).await;
    let key = relay.key();
    let first = lab.directory.until(|| lab.directory.registration(&key)).await;
    // The record of a relay that was set up long ago.
    let relay = relay
        .restart_after(|data_dir| {
            let record =
                std::fs::read_dir(data_dir.join("directories")).unwrap().next().unwrap().unwrap().path();
            let text = std::fs::read_to_string(&record).unwrap();
            let mut known: serde_json::Value = serde_json::from_str(&text).unwrap();
            known["psk_since"] = 1_700_000_000.into();
            std::fs::write(&record, known.to_string()).unwrap();
        })
        .await;
    let changed = || {
        let now = lab.directory.registration(&key)?;
        (now.psk.expose() != first.psk.expose()).then_some(now)
    };
    let second = lab.directory.until(changed).await;
    lab.directory.until(|| lab.directory.is_proved(&key).then_some(())).await;
    assert!(second.generation > first.generation);
    let told = |registration| lab.directory.notice_by(&registration, &relay.url, &[]);
    assert_eq!(lab.ask(told(second.clone())).await.status, 204);
    assert_eq!(lab.ask(told(first.clone())).await.status, 204, "the directory may not have written it yet");
    let forged = RelayReg { psk: first.psk.clone(), ..second };
    assert_eq!(lab.ask(told(forged)).await.status, 401, "each is good for its registrations alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_without_the_shared_key_is_not_answered() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    let url = format!("{}/.well-known/odi/challenge", relay.url).parse().unwrap();
    let challenge = Challenge { v: 1, dir: lab.directory.key(), nonce: [1; 32] }.encode().unwrap();
    assert_eq!(lab.ask(Ask::post(&url, CBOR, challenge)).await.status, 401);
    let introduction = lab.get(&format!("{}/.well-known/odi", relay.url)).await;
    let introduction: WellKnown = from_json(&introduction.body.unwrap(), "an introduction").unwrap();
    assert_eq!((introduction.kind, introduction.id), (DaemonKind::Relay, relay.key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_unreachable_directory_is_tried_again_is_said() {
    let mut lab = Lab::start(&[("a", b"a")]).await;
    lab.directory.stop().await;
    let relay = lab.relay().await;
    let status = relay.until("waiting", |status| status.directories[0].next_try.is_some()).await;
    let link = &status.directories[0];
    assert!(link.fault.is_some() && link.next_try > Some(status.started), "{link:?}");
    relay.until("still waiting, longer", |status| status.directories[0].next_try > link.next_try).await;
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    let status = relay.until_full(1).await;
    assert_eq!(status.directories[0].next_try, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_another_key_than_it_had_is_told_in_words() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let former = odi_manifest::SigningKey::from_seed(&[77; 32]).public_key().to_string();
    let present = lab.directory.key().to_string();
    let relay = relay
        .restart_after(|data| {
            let record = std::fs::read_dir(data.join("directories")).unwrap().next().unwrap().unwrap().path();
            let text = std::fs::read_to_string(&record).unwrap();
            assert!(text.contains(&present), "{text}");
            std::fs::write(&record, text.replace(&present, &former)).unwrap();
        })
        .await;
    let status = relay.until("warned", |status| status.directories[0].fault.is_some()).await;
    let fault = status.directories[0].fault.clone().unwrap();
    assert!(fault.contains(&format!("has the key {present}, it used to have {former}")), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stays_with_the_catalog_that_had_it_first() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let mut impostor = Publisher::new("impostor", Timestamp(1), vec![lab.origin.url()]);
    impostor.publish(&[("a", Some(b"evil"))]);
    lab.directory.withdraw(&lab.publisher.id());
    lab.directory.offer("sample", &impostor);
    let relay = relay.restart().await;
    relay.until("warned", |status| status.directories[0].fault.is_some()).await;
    let fault = relay.status().await.directories[0].fault.clone().unwrap();
    assert!(fault.contains("used to be"), "{fault}");
    assert_eq!(lab.get(&format!("{}/sample/a", relay.url)).await.body.as_deref(), Some(&b"a"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradicted_name_costs_neither_the_other_names_nor_the_lease() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let offer = |name: &str, seed: &str| {
        let mut publisher = Publisher::new(seed, Timestamp(1), vec![lab.origin.url()]);
        publisher.publish(&[("b", Some(b"b"))]);
        lab.origin.put([("b".to_owned(), b"b".to_vec())]);
        lab.directory.offer(name, &publisher);
    };
    lab.directory.withdraw(&lab.publisher.id());
    offer("sample", "impostor");
    offer("second", "second");
    let relay = relay.restart().await;
    let status = relay
        .until("warned, ready, and following the other name", |status| {
            let directory = &status.directories[0];
            directory.fault.as_ref().is_some_and(|fault| fault.contains("used to be"))
                && directory.state == RelayState::Ready
                && status.catalogs.iter().any(|catalog| catalog.name == "second" && catalog.full.is_some())
        })
        .await;
    assert!(status.directories[0].lease_until.is_some());
    let sample = status.catalogs.iter().filter(|catalog| catalog.name == "sample");
    assert!(sample.into_iter().all(|catalog| catalog.id == lab.publisher.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_never_tells_assignments_is_announced_to_all_the_same() {
    let mut lab = Lab::start(&[("a", b"a")]).await;
    lab.directory.hang_over_assignments();
    let relay = lab.relay().await;
    let key = relay.key();
    let serves = |seen: &Lab| {
        let inventory = seen.directory.inventory(&key)?;
        inventory.catalog(&seen.publisher.id())?.served.contains(&seen.publisher.head().id()).then_some(())
    };
    lab.directory.until(|| serves(&lab)).await;
    lab.publish(&[("b", Some(b"b"))]);
    lab.directory.until(|| serves(&lab)).await;
    relay.until("ready", |status| status.directories[0].state == RelayState::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_directory_that_keeps_silent_about_a_new_head_does_not_hide_it() {
    let mut lab = Lab::start(&[("a", b"a")]).await;
    let other = FakeDirectory::start(42).await;
    let relay = Relay::start(&[&lab.directory, &other], tempfile::tempdir().unwrap(), "1 GB").await;
    relay.until_full(1).await;
    // The first directory goes on offering state 1, and holds every question for a newer one.
    lab.publisher.publish(&[("a", Some(b"a fix"))]);
    lab.origin.put(lab.publisher.files.clone());
    other.offer("sample", &lab.publisher);
    // The relay looks at what is offered when it joins.
    let relay = relay.restart().await;
    relay.until_full(2).await;
    assert_eq!(lab.get(&format!("{}/sample/a", relay.url)).await.body.as_deref(), Some(&b"a fix"[..]));
}
