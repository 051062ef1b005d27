//! Joining: from nothing to serving, and what a directory hears on the way.

use crate::lab::{Lab, noise};

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
