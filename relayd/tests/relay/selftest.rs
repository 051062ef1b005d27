//! Every directory's self-test catalog is taken without being asked for, and nothing large passes under its name.

use odi_manifest::Timestamp;
use odi_wire::message::{IdRanges, RelayState, RelayStatus};
use odi_wire::selftest::SELFTEST_BYTES_MAX;

use crate::directory::FakeDirectory;
use crate::lab::{Lab, Relay, noise};
use crate::publisher::Publisher;

/// A directory's own catalog, its bytes at the lab's origin.
fn selftest(lab: &Lab, name: &str, bytes: &[u8]) -> Publisher {
    let mut publisher = Publisher::new(name, Timestamp(1), vec![lab.origin.url()]);
    publisher.publish(&[(name, Some(bytes))]);
    lab.origin.put(publisher.files.clone());
    publisher
}

#[tokio::test(flavor = "multi_thread")]
async fn the_self_test_of_each_directory_is_taken_although_nobody_named_it() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let other = FakeDirectory::start(41).await;
    // Nothing is assigned, by nobody.
    lab.directory.assign(IdRanges::none());
    let tests = [selftest(&lab, "one", &noise(1, 300_000)), selftest(&lab, "two", &noise(2, 300_000))];
    lab.directory.offer("odi-selftest", &tests[0]);
    other.offer("odi-selftest", &tests[1]);
    let relay = Relay::wanting(&[&lab.directory, &other], "something-else").await;
    let status = relay
        .until("full of both", |status| {
            status.catalogs.iter().filter(|catalog| catalog.full.is_some()).count() == 2
        })
        .await;
    assert!(status.catalogs.iter().all(|catalog| catalog.name == "odi-selftest"), "{status:?}");
    for (directory, test) in [(&lab.directory, &tests[0]), (&other, &tests[1])] {
        directory.until_announced_full(&relay.key(), test).await;
        let name = if test.id() == tests[0].id() { "one" } else { "two" };
        assert_eq!(lab.get(&format!("{}/{}/{name}", relay.url, test.pin())).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_large_passes_for_a_self_test() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let large = selftest(&lab, "large", &noise(3, usize::try_from(SELFTEST_BYTES_MAX).unwrap() + 1));
    let other = FakeDirectory::start(41).await;
    other.offer("odi-selftest", &large);
    let relay = Relay::start(&[&lab.directory, &other], tempfile::tempdir().unwrap(), "1 GB").await;
    let status = relay.until("ready", |status| status.ready).await;
    assert!(status.directories.iter().any(|link| link.state == RelayState::Ready));
    assert!(status.catalogs.iter().all(|catalog| catalog.id != large.id()), "{status:?}");
    assert_eq!(lab.origin.seen(|path| path == "large").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_head_behind_a_small_offer_is_refused_before_its_tree_is_asked_for() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let large = selftest(&lab, "large", &noise(3, usize::try_from(SELFTEST_BYTES_MAX).unwrap() + 1));
    let other = FakeDirectory::start(41).await;
    other.offer("odi-selftest", &large);
    other.understate(&large.id());
    let relay = Relay::start(&[&lab.directory, &other], tempfile::tempdir().unwrap(), "1 GB").await;
    let fault = |status: &RelayStatus| {
        let catalog = status.catalogs.iter().find(|catalog| catalog.id == large.id())?;
        catalog.fault.clone()
    };
    let status = relay.until("refused, and otherwise well", |s| s.ready && fault(s).is_some()).await;
    assert!(fault(&status).unwrap().contains("more than is taken"), "{status:?}");
    let catalog = status.catalogs.iter().find(|catalog| catalog.id == large.id()).unwrap();
    assert!(catalog.served.is_none());
    assert_eq!(lab.origin.seen(|path| path == "large").len(), 0);
}
