//! Withdrawn content: it goes from the disk, stays away, and is missed by nobody; another catalog's entry brings it back.

use std::path::Path;
use std::sync::Arc;

use odi_manifest::{BlobId, Clock, Reason, Revocation, Revoked, SystemClock};
use odi_store::{RealDisk, Store, StoreOptions};

use crate::lab::{Lab, Relay, noise};
use crate::publisher::Publisher;
use crate::web::Web;

const BAD: usize = 3 << 20;

fn withdraws(bytes: &[u8]) -> Revocation {
    Revocation { what: Revoked::Blob(BlobId::of(bytes)), reason: Reason::COMPROMISED, since: 2 }
}

impl Lab {
    fn withdraw(&mut self, bytes: &[u8]) {
        self.publisher.revoke(withdraws(bytes));
        self.publish(&[]);
    }
}

impl Relay {
    fn contains(&self, bytes: &[u8]) -> bool {
        self.server.relay().store.contains(&BlobId::of(bytes))
    }

    async fn by_content(&self, lab: &Lab, bytes: &[u8]) -> u16 {
        lab.get(&format!("{}/blake3/{}", self.url, BlobId::of(bytes))).await.status.as_u16()
    }
}

/// Whether any file below a folder has these bytes somewhere.
fn on_disk(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return on_disk(&path, needle);
        }
        // A pack may be removed between the listing and this.
        std::fs::read(&path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_bytes_leave_the_disk_and_stay_away_while_the_relay_is_whole() {
    let bad = noise(30, BAD);
    let mut lab = Lab::start(&[("bad", &bad), ("good", b"good")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let needle = &bad[1000..1064];
    assert!(on_disk(&relay.data_dir(), needle));
    lab.withdraw(&bad);
    relay.until("off the disk", |_| !on_disk(&relay.data_dir(), needle)).await;
    relay.until_full(3).await;
    let relay = relay.restart().await;
    lab.publish(&[("news", Some(b"news"))]);
    relay.until_full(4).await;
    relay.until("ready", |status| status.ready && status.catalogs[0].missing_blobs == 0).await;
    assert_eq!(lab.get(&format!("{}/sample/news", relay.url)).await.status, 200);
    assert_eq!(relay.by_content(&lab, &bad).await, 410);
    assert!(!on_disk(&relay.data_dir(), needle));
    assert_eq!(lab.origin.body_bytes(), (BAD + 8) as u64, "it was not fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_withdrawn_blob_leaves_the_disk_though_most_of_its_pack_is_needed() {
    let (bad, good) = (noise(31, 5000), noise(32, BAD));
    let mut lab = Lab::start(&[("bad", &bad), ("good", &good)]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let needle = &bad[1000..1064];
    assert!(on_disk(&relay.data_dir(), needle));
    lab.withdraw(&bad);
    relay.until("off the disk", |_| !on_disk(&relay.data_dir(), needle)).await;
    relay.until_full(3).await;
    assert!(relay.contains(&good));
    assert_eq!(lab.get(&format!("{}/sample/good", relay.url)).await.body, Some(good));
    assert_eq!(lab.origin.body_bytes(), (BAD + 5000) as u64, "nothing was fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_comes_later_never_asks_for_what_is_withdrawn() {
    let mut lab = Lab::start(&[("bad", b"malware"), ("good", b"good")]).await;
    lab.withdraw(b"malware");
    let relay = lab.relay().await;
    relay.until_full(3).await;
    relay.until("ready", |status| status.ready).await;
    assert_eq!(lab.get(&format!("{}/sample/bad", relay.url)).await.status, 410);
    assert_eq!((relay.contains(b"malware"), lab.origin.body_bytes()), (false, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_of_withdrawn_content_goes_at_the_next_start() {
    let mut lab = Lab::start(&[("bad", b"malware"), ("good", b"good")]).await;
    let relay = lab.relay().await;
    lab.withdraw(b"malware");
    relay.until_full(3).await;
    relay.until("purged", |_| !relay.contains(b"malware")).await;
    let relay = relay
        .restart_after(|data_dir| {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let options = StoreOptions { budget_bytes: 1 << 30, clock, ..StoreOptions::default() };
            let store = Store::open(Arc::new(RealDisk), &data_dir.join("store"), options).unwrap();
            store.lift(&BlobId::of(b"malware")).unwrap();
            store.ingest(&BlobId::of(b"malware"), b"malware").unwrap();
            assert!(store.contains(&BlobId::of(b"malware")));
        })
        .await;
    relay.until("purged again", |_| !relay.contains(b"malware")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_catalog_stands_by_is_taken_in_again_until_it_too_withdraws_it() {
    let mut lab = Lab::start(&[("bad", b"malware"), ("good", b"good")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    lab.withdraw(b"malware");
    relay.until("purged", |_| !relay.contains(b"malware")).await;

    let web = Web::start(Default::default());
    let mut other = Publisher::new("other", SystemClock.now(), vec![web.url()]);
    other.publish(&[("specimen", Some(b"malware"))]);
    web.put(other.files.clone());
    lab.directory.offer("other", &other);
    // The relay looks at what is offered when it joins.
    let relay = relay.restart().await;
    relay.until("taken in", |_| relay.contains(b"malware")).await;
    let place = format!("{}/other/specimen", relay.url);
    assert_eq!(lab.get(&place).await.body.as_deref(), Some(&b"malware"[..]));
    assert_eq!(lab.get(&format!("{}/sample/bad", relay.url)).await.status, 410);
    let blob = BlobId::of(b"malware");
    relay.until("standing", |_| relay.server.relay().withdrawn.stands(&blob)).await;
    assert_eq!(relay.by_content(&lab, b"malware").await, 200);

    other.revoke(withdraws(b"malware"));
    web.put(other.files.clone());
    lab.directory.offer("other", &other);
    relay.until("purged", |_| !relay.contains(b"malware")).await;
    assert_eq!(relay.by_content(&lab, b"malware").await, 410);
    assert_eq!(lab.get(&place).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_head_names_any_more_goes_with_the_next_withdrawal() {
    let mut lab = Lab::start(&[("bad", b"bad"), ("good", b"good")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    // What a head left behind that is served no longer: a withdrawal of its path cannot say which blob that was.
    let former = noise(33, 5000);
    let store = relay.server.relay().store.clone();
    store.ingest(&BlobId::of(&former), &former).unwrap();
    assert_eq!(relay.by_content(&lab, &former).await, 200);
    lab.withdraw(b"bad");
    relay.until("nobody names it", |_| !relay.contains(&former)).await;
    assert_eq!(relay.by_content(&lab, &former).await, 404);
    assert!(relay.contains(b"good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thief_published_leaves_the_disk_when_the_maintainers_open_a_new_epoch() {
    let (bad, good) = (noise(34, BAD), noise(35, BAD));
    let mut lab = Lab::start(&[("good", &good)]).await;
    let floor = lab.publisher.snapshot();
    lab.publish(&[("good", None), ("bad", Some(&bad))]);
    let relay = lab.relay().await;
    relay.until_full(2).await;
    assert_eq!(relay.by_content(&lab, &bad).await, 200);
    lab.publisher.fall_back(floor, 10);
    lab.publish(&[("bad", None), ("good", Some(&good)), ("news", Some(b"news"))]);
    relay.until_full(10).await;
    relay.until("gone", |_| !relay.contains(&bad)).await;
    assert_eq!(relay.by_content(&lab, &bad).await, 404);
    assert!(relay.contains(&good), "the floor and what follows it stay");
    let relay = relay.restart().await;
    relay.until_full(10).await;
    assert!(relay.contains(&good) && !relay.contains(&bad));
}
