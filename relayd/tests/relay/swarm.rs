//! Several relays that fill at once: one copy from the origin, and nobody's wrong byte anywhere (threat rows 31-36).

use odi_manifest::BlobId;

use crate::lab::{Lab, Relay, noise};

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_start_together_pull_one_copy_from_the_origin() {
    let mut files: Vec<(String, Vec<u8>)> =
        (0..24_u8).map(|n| (format!("small/{n}"), noise(n, 20_000 + usize::from(n)))).collect();
    files.extend((30..34_u8).map(|n| (format!("wheels/{n}"), noise(n, 700_000))));
    files.push(("images/large".to_owned(), noise(40, 17 << 20)));
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&named).await;
    let relays: Vec<Relay> =
        futures_util::future::join_all((0..4).map(|_| lab.relay())).await.into_iter().collect();
    for relay in &relays {
        relay.until_full(1).await;
        let store = &relay.server.relay().store;
        assert!(files.iter().all(|(_, bytes)| store.contains(&BlobId::of(bytes))));
    }
    let content: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let sent = lab.origin.body_bytes();
    assert!(sent <= content * 11 / 10, "the origin sent {sent} bytes of {content}");
    assert!(sent >= content, "nobody else could have had them");
}
